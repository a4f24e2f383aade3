"""Schemas in the words of a language or a source become JSON Schema; the words are kept beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from toolflow.catalog.entry import EntryError
from toolflow.catalog.schema import compile_schema
from toolflow.errors import CatalogueError

NATIVE_TYPE = "x-native-type"
"""The annotation that keeps a type word that JSON Schema lacks."""

JSON_TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})

_SCHEMAS_BY_NAME = ("properties", "patternProperties", "$defs", "definitions")
EXCLUSIVE = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}
"""The keyword of each exclusive bound to that of the inclusive one."""

_LISTING = frozenset({"const", "enum", "type", "title"})
_FIELDS_BY_KEY = frozenset({"properties", "patternProperties"})
_ONE_SCHEMA = ("items", "additionalProperties", "not")
_MANY_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")


@dataclass(frozen=True, slots=True)
class TypeWords:
    """A source's words for types.

    Attributes:
        plain: Words that say no more than the JSON type they stand for.
        native: Words that say more, to their JSON type: kept as ``x-native-type``. A word that is in neither
            mapping and is no JSON type is kept too, and the value left unconstrained.
    """

    plain: Mapping[str, str]
    native: Mapping[str, str]

    def translate(self, word: str) -> dict[str, Any]:
        """The schema keywords that a type word stands for."""
        plain = self.plain.get(word, word)
        if plain in JSON_TYPES:
            return {"type": plain}
        known = self.native.get(word)
        return {NATIVE_TYPE: word} if known is None else {"type": known, NATIVE_TYPE: word}


JSON_WORDS = TypeWords(plain={}, native={})
"""For sources that use the types of JSON Schema."""

PYTHON_WORDS = TypeWords(
    plain={},
    native={
        "str": "string",
        "int": "integer",
        "float": "number",
        "bool": "boolean",
        **dict.fromkeys(("list", "tuple", "set"), "array"),
        "dict": "object",
    },
)
"""The types of Python, each of which says more than its JSON type."""


def named_fields(fields: Any, words: TypeWords, key: str) -> dict[str, dict[str, Any]]:
    """Schemas by name, of a list of fields with ``name``, ``type`` and ``description`` (or ``desc``).

    Args:
        fields: The list, or None.
        words: The source's words for types.
        key: The name of the list in the source.

    Raises:
        EntryError: It is no list of JSON objects with names.
    """
    if not isinstance(fields or [], list):
        raise EntryError("must be a list", field=key)
    named: dict[str, dict[str, Any]] = {}
    for field in fields or ():
        if not isinstance(field, dict) or not isinstance(field.get("name"), str):
            raise EntryError("a field must be a JSON object with a name", field=key)
        word, text = field.get("type"), field.get("description", field.get("desc"))
        schema = words.translate(word) if isinstance(word, str) and word else {}
        if isinstance(text, str):
            schema["description"] = text
        named.setdefault(field["name"], schema)
    return named


def exclusive_bound(schema: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An exclusive bound of a schema as a number: in older drafts it is a flag beside the bound."""
    value = schema.get(key)
    bound = schema.get(EXCLUSIVE[key]) if value is True else value
    is_number = isinstance(bound, int | float) and not isinstance(bound, bool)
    return {key: bound} if is_number else {}


def clean_pattern(pattern: Any) -> dict[str, Any]:
    """The keyword for a pattern: what no engine of JSON Schema takes is kept as ``x-pattern``."""
    if not isinstance(pattern, str):
        return {}
    return {"pattern" if _compiles(pattern) else "x-pattern": pattern}


@lru_cache(maxsize=4_096)
def _compiles(pattern: str) -> bool:
    try:
        compile_schema({"pattern": pattern})
    except CatalogueError:
        return False
    return True


def to_json_schema(schema: Any, words: TypeWords) -> Any:
    """The schema with its type words translated, at every depth; other keywords stay as they are.

    Habits of older drafts are brought up to date: a list of ``items`` becomes ``prefixItems``, ``required``
    as a flag on a property is dropped, as are an empty ``required`` and ``$schema``; an exclusive bound that
    is a flag takes the bound's value. A pattern that does not compile becomes ``x-pattern``. A mapping whose
    keys are listed (``dict[Literal["lat", "lon"], float]``) becomes an object with those properties. What is
    no object is given back unchanged, for the validation to refuse.
    """
    if not isinstance(schema, dict):
        return schema
    translated: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, str):
            translated |= words.translate(value)
        elif key == "pattern":
            translated |= clean_pattern(value)
        elif key in EXCLUSIVE:
            translated |= exclusive_bound(schema, key)
        elif key == "items" and isinstance(value, list):
            translated["prefixItems"] = _parts("prefixItems", value, words)
        elif key != "$schema" and (key != "required" or (isinstance(value, list) and value)):
            translated[key] = _parts(key, value, words)
    return listed_keys(translated)


def listed_keys(schema: dict[str, Any]) -> dict[str, Any]:
    """Keys listed by ``propertyNames`` as properties: it takes the same values, and has fields to be seen."""
    names = schema.get("propertyNames")
    if not isinstance(names, dict) or not names.keys() <= _LISTING or not _FIELDS_BY_KEY.isdisjoint(schema):
        return schema
    listed = [names["const"]] if "const" in names else names.get("enum")
    if not isinstance(listed, list):
        return schema
    value = schema.get("additionalProperties", True)
    return {key: kept for key, kept in schema.items() if key != "propertyNames"} | {
        "properties": {name: value for name in listed if isinstance(name, str)},
        "additionalProperties": False,
    }


def _parts(key: str, value: Any, words: TypeWords) -> Any:
    """A keyword's value with the schemas in it translated."""
    if key in _ONE_SCHEMA:
        return to_json_schema(value, words)
    if key in _MANY_SCHEMAS and isinstance(value, list):
        return [to_json_schema(each, words) for each in value]
    if key in _SCHEMAS_BY_NAME and isinstance(value, dict):
        return {name: to_json_schema(each, words) for name, each in value.items()}
    return value
