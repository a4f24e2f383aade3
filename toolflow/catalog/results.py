"""Return schemas from what a source gives: a declared schema of any quality, or an example of a result."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from toolflow.catalog.native_schema import JSON_TYPES

# Results of web interfaces run deep and wide; beyond this they tell about one answer, not about the tool.
_DEEPEST = 4
_MOST_DECLARED_FIELDS = 40
_MOST_EXAMPLE_FIELDS = 120
_LONGEST_DESCRIPTION = 160

_KINDS = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"))  # a bool is an int, too


def schema_of_example(value: Any, *, depth: int = 0) -> dict[str, Any]:
    """The types in an example result, as a JSON Schema that holds no value of it.

    Five levels and 120 fields of an object are followed; an array is told by its first item; a null tells
    nothing.
    """
    if isinstance(value, dict):
        schema: dict[str, Any] = {"type": "object"}
        if value and depth < _DEEPEST:
            fields = islice(value.items(), _MOST_EXAMPLE_FIELDS)
            schema["properties"] = {name: schema_of_example(each, depth=depth + 1) for name, each in fields}
        return schema
    if isinstance(value, list):
        items = schema_of_example(value[0], depth=depth + 1) if value and depth < _DEEPEST else {}
        return {"type": "array", "items": items} if items else {"type": "array"}
    return next(({"type": word} for kind, word in _KINDS if isinstance(value, kind)), {})


def clean_schema(schema: Any, *, depth: int = 0) -> dict[str, Any]:
    """What can be relied on in a schema of unknown quality: types, fields and descriptions.

    Five levels and 40 fields of an object are followed. Whatever is no valid JSON Schema is left out.
    """
    if not isinstance(schema, dict):
        return {}
    clean: dict[str, Any] = {}
    types = schema.get("type")
    if (isinstance(types, str) and types in JSON_TYPES) or _are_types(types):
        clean["type"] = types
    description = schema.get("description")
    if isinstance(description, str) and description.strip():
        clean["description"] = description.strip()[:_LONGEST_DESCRIPTION]
    if isinstance(schema.get("format"), str):
        clean["format"] = schema["format"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        clean["enum"] = schema["enum"]
    if depth < _DEEPEST:
        clean |= _clean_parts(schema, depth + 1)
    return clean


def names_fields(schema: Mapping[str, Any]) -> bool:
    """Whether a return schema tells more than a type: it names fields of an object or of a list's objects."""
    if schema.get("type") == "array":
        schema = schema.get("items", {})
    return bool(schema.get("properties"))


def _clean_parts(schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    properties = schema.get("properties")
    if isinstance(properties, dict) and properties:
        fields = islice(properties.items(), _MOST_DECLARED_FIELDS)
        parts["properties"] = {name: clean_schema(each, depth=depth) for name, each in fields}
        required = schema.get("required")
        if isinstance(required, list):
            kept = [name for name in parts["properties"] if name in required]
            parts |= {"required": kept} if kept else {}
    items = schema.get("items")
    items = clean_schema(items[0] if isinstance(items, list) and items else items, depth=depth)
    return parts | ({"items": items} if items else {})


def _are_types(types: Any) -> bool:
    return isinstance(types, list) and bool(types) and JSON_TYPES.issuperset(map(str, types))
