"""An entry in the canonical shape becomes a tool, or is refused with the field that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolflow.catalog.entry import EntryError
from toolflow.catalog.schema import compile_schema
from toolflow.catalog.tool import Schema, Tool
from toolflow.errors import CatalogueError

_TYPES = "string, number, integer, boolean, object, array or null"


def tool_from(fields: Any) -> Tool:
    """Make a tool of an entry in the canonical shape.

    Args:
        fields: Decoded JSON with ``name`` and, all optional, ``description``, ``parameters``, ``returns``,
            ``category``, ``source``, ``source_id`` and ``provenance``. Other fields are left out.

    Raises:
        EntryError: A field is wrong.
    """
    if not isinstance(fields, dict):
        raise EntryError("a tool must be a JSON object")
    name = fields.get("name")
    if not isinstance(name, str) or not name.strip():
        raise EntryError("must be a non-empty string", field="name")
    try:
        return Tool(
            name=name,
            description=_text(fields, "description") or "",
            parameters=_parameters(fields.get("parameters")),
            returns=_returns(fields.get("returns")),
            category=_text(fields, "category"),
            source=_text(fields, "source"),
            source_id=_text(fields, "source_id"),
            provenance=_provenance(fields.get("provenance")),
        )
    except EntryError as error:
        error.tool = name
        raise


def _text(fields: Mapping[str, Any], key: str) -> str | None:
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise EntryError("must be a string", field=key)
    return value


def _provenance(value: Any) -> Mapping[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(origin, str) for origin in value.values()):
        raise EntryError("must be an object of strings", field="provenance")
    return value or None


def _parameters(schema: Any) -> Schema:
    if schema is None or schema == {}:
        return {"type": "object", "properties": {}}
    if not isinstance(schema, dict):
        raise EntryError("must be a JSON Schema of type object", field="parameters")
    parameters: dict[str, Any] = schema
    if "type" not in parameters and "properties" in parameters:
        parameters = {"type": "object"} | parameters
    if parameters.get("type") != "object":
        raise EntryError("must be 'object': a call's arguments are a JSON object", field="parameters.type")
    _compile(parameters, "parameters")
    properties = parameters.get("properties", {})
    for name in parameters.get("required", ()):
        if name not in properties:
            raise EntryError(
                f"{name!r} is required but not among the properties", field="parameters.required"
            )
    return parameters


def _returns(schema: Any) -> Schema | None:
    if schema is None:
        return None
    if not isinstance(schema, dict):
        raise EntryError("must be a JSON Schema or null", field="returns")
    returns: dict[str, Any] = schema
    _compile(returns, "returns")
    return returns


def _compile(schema: Mapping[str, Any], field: str) -> None:
    try:
        compile_schema(schema)
    except CatalogueError as error:
        steps = [str(step) for step in getattr(error.__cause__, "instance_path", ())]
        where = ".".join([field, *steps])
        if steps and steps[-1] == "type":
            raise EntryError(f"is not a JSON Schema type ({_TYPES})", field=where) from error
        raise EntryError(error.message, field=where) from error
