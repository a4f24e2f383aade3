"""The native files of RapidAPI as ToolBench collected them: one product a file, with its ``api_list``.

Each endpoint becomes a tool that is named as in ToolBench, ``<endpoint>_for_<product>``. The folder is the
category.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from toolflow.catalog.entry import Entry, EntryError, Format
from toolflow.catalog.native_schema import NATIVE_TYPE, TypeWords
from toolflow.catalog.record import Record
from toolflow.catalog.results import clean_schema, names_fields, schema_of_example

_NOT_IN_NAME = re.compile("[^一-龥a-zA-Z0-9]+")
_RESERVED_NAMES = frozenset({"from", "class", "return", "false", "true", "id", "and"})
_LONGEST_NAME = 64

_DATES = frozenset({"DATE (YYYY-MM-DD)", "DATEPICKER"})
_WORDS = TypeWords(
    plain={word: word.lower() for word in ("STRING", "NUMBER", "BOOLEAN")},
    native={
        **dict.fromkeys(
            (
                *_DATES,
                *("ENUM", "SELECT", "BINARY", "FILE", "CREDENTIALS"),
                *("TIME (24-hour HH:MM)", "GEOPOINT (latitude, longitude)"),
            ),
            "string",
        ),
        **dict.fromkeys(("ARRAY", "LIST"), "array"),
        **dict.fromkeys(("OBJECT", "MAP", "JSON"), "object"),
        "FLOAT": "number",
    },
)

# What RapidAPI's editor puts in for endpoints whose author declared nothing.
_STUB_FIELDS = ["get", "parameters", "errors", "results", "response"]
_STUB_BODY = {"key1": "value", "key2": "value"}


def _recognises(record: Mapping[str, Any]) -> bool:
    return "api_list" in record and ("tool_name" in record or "title" in record)


def _entries(record: Record) -> Iterator[Entry]:
    category = record.source.folder or None
    product = record.source.stem or str(record.value.get("tool_name"))
    for line, endpoint in record.items("api_list"):
        yield Entry(line, partial(_canonical, endpoint, product, category))


def _canonical(endpoint: Any, product: str, category: str | None) -> dict[str, Any]:
    if not isinstance(endpoint, dict):
        raise EntryError("an endpoint must be a JSON object", field="api_list")
    name = endpoint.get("name")
    if not isinstance(name, str) or not name.strip():
        raise EntryError("must be a non-empty string", field="name")
    try:
        parameters = _parameters(endpoint)
    except EntryError as error:
        error.tool = name
        raise
    description = endpoint.get("description")
    return {
        "name": f"{_endpoint_name(name)}_for_{_snake_case(product)}"[-_LONGEST_NAME:].strip("_"),
        "description": description.strip() if isinstance(description, str) else description,
        "parameters": parameters,
        "returns": _returns(endpoint),
        "category": category,
        "source": "rapidapi-toolbench",
        "source_id": "/".join(part for part in (category, product, name) if part),
    }


def _snake_case(text: str) -> str:
    return _NOT_IN_NAME.sub("_", text).strip("_").lower()


def _endpoint_name(text: str) -> str:
    name = _snake_case(text)
    if name in _RESERVED_NAMES:
        return f"is_{name}"
    return f"get_{name}" if name[:1].isdigit() else name


def _parameters(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: dict[str, None] = {}  # as an ordered set: some endpoints list a parameter twice
    for key in ("required_parameters", "optional_parameters"):
        parameters = endpoint.get(key) or []
        if not isinstance(parameters, list):
            raise EntryError("must be a list", field=key)
        for parameter in parameters:
            if not isinstance(parameter, dict) or not isinstance(parameter.get("name"), str):
                raise EntryError("a parameter must be a JSON object with a name", field=key)
            properties.setdefault(parameter["name"], _property(parameter))
            if key == "required_parameters":
                required[parameter["name"]] = None
    schema = {"type": "object", "properties": properties}
    return schema | {"required": list(required)} if required else schema


def _property(parameter: Mapping[str, Any]) -> dict[str, Any]:
    word = parameter.get("type")
    schema = _WORDS.translate(word) if isinstance(word, str) and word else {}
    description = parameter.get("description")
    if isinstance(description, str) and description.strip():
        schema["description"] = description.strip()
    default = parameter.get("default")
    # The text of an object is an example of a request, not a value that the endpoint falls back on.
    if default not in (None, "") and not (schema.get("type") == "object" and isinstance(default, str)):
        schema["default"] = default
    if schema.get(NATIVE_TYPE) in _DATES:
        schema["format"] = "date"
    return schema


def _returns(endpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """The declared schema where it tells something, else the types of the example, else None."""
    declared = clean_schema(endpoint.get("schema"))
    if names_fields(declared) and list(declared.get("properties", ())) != _STUB_FIELDS:
        return declared
    for key in ("body", "test_endpoint"):
        example = _decoded(endpoint.get(key))
        inferred = {} if example == _STUB_BODY else schema_of_example(example)
        if names_fields(inferred):
            return inferred
    return None


def _decoded(example: Any) -> Any:
    """Some examples are JSON inside a string."""
    if isinstance(example, str) and example.lstrip()[:1] in ("{", "["):
        try:
            return msgspec.json.decode(example)
        except (msgspec.DecodeError, RecursionError):
            return None
    return example


FORMAT = Format("rapidapi", "RapidAPI (ToolBench)", _recognises, _entries)
