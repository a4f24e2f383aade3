"""Schemas in the words of a programming language become JSON Schema; the words are kept beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NATIVE_TYPE = "x-native-type"
"""The annotation that keeps a type word that JSON Schema lacks."""

JSON_TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})

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


def to_json_schema(schema: Any, words: TypeWords) -> Any:
    """The schema with its type words translated, at every depth; other keywords stay as they are.

    Habits of older drafts are brought up to date: a list of ``items`` becomes ``prefixItems``, ``required``
    as a flag on a property is dropped, as is an empty ``required``. What is no object is given back
    unchanged, for the validation to refuse.
    """
    if not isinstance(schema, dict):
        return schema
    translated: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, str):
            translated |= words.translate(value)
        elif key == "properties" and isinstance(value, dict):
            translated[key] = {name: to_json_schema(each, words) for name, each in value.items()}
        elif key == "items" and isinstance(value, list):
            translated["prefixItems"] = [to_json_schema(each, words) for each in value]
        elif key in _ONE_SCHEMA:
            translated[key] = to_json_schema(value, words)
        elif key in _MANY_SCHEMAS and isinstance(value, list):
            translated[key] = [to_json_schema(each, words) for each in value]
        elif key != "required" or (isinstance(value, list) and value):
            translated[key] = value
    return translated
