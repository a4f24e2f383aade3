"""The native file of T-Eval: services with their ``api_list``, each of which names its ``return_data``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from toolflow.catalog.entry import Entry, EntryError, Format
from toolflow.catalog.native_schema import TypeWords, named_fields
from toolflow.catalog.record import Record

_WORDS = TypeWords(
    plain={word: word.lower() for word in ("STRING", "NUMBER", "BOOLEAN", "INTEGER", "ARRAY", "OBJECT")}
    | {"FLOAT": "number", "INT": "integer", "LIST": "array"},
    native={},
)


def _recognises(record: Mapping[str, Any]) -> bool:
    functions = record.get("api_list")
    return (
        "name" in record
        and isinstance(functions, list)
        and any(isinstance(each, dict) and "return_data" in each for each in functions)
    )


def _entries(record: Record) -> Iterator[Entry]:
    service = str(record.value.get("name"))
    for line, function in record.items("api_list"):
        yield Entry(line, partial(_canonical, function, service))


def _canonical(function: Any, service: str) -> dict[str, Any]:
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise EntryError("a function must be a JSON object with a name", field="api_list")
    name = f"{service}.{function['name']}"
    try:
        required = named_fields(function.get("required_parameters"), _WORDS, "required_parameters")
        optional = named_fields(function.get("optional_parameters"), _WORDS, "optional_parameters")
        returned = named_fields(function.get("return_data"), _WORDS, "return_data")
    except EntryError as error:
        error.tool = name
        raise
    parameters = {"type": "object", "properties": required | optional}
    return {
        "name": name,
        "description": function.get("description"),
        "category": service,
        "parameters": parameters | ({"required": list(required)} if required else {}),
        "returns": {"type": "object", "properties": returned} if returned else None,
        "source": "t-eval",
        "source_id": f"{service}/{function['name']}",
    }


FORMAT = Format("t-eval", "T-Eval", _recognises, _entries)
