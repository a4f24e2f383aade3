"""The native files of Seal-Tools: one tool a line, in types of Python, with its ``responses``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from toolflow.catalog.entry import Entry, EntryError, Format
from toolflow.catalog.native_schema import PYTHON_WORDS, to_json_schema
from toolflow.catalog.record import Record


def _recognises(record: Mapping[str, Any]) -> bool:
    return "api_name" in record and "parameters" in record


def _entries(record: Record) -> Iterator[Entry]:
    yield Entry(record.line, partial(_canonical, record.value))


def _canonical(tool: Mapping[str, Any]) -> dict[str, Any]:
    name = tool.get("api_name")
    try:
        parameters = _object(tool.get("parameters"), "parameters")
        returns = _object(tool.get("responses"), "responses")
    except EntryError as error:
        error.tool = name if isinstance(name, str) else None
        raise
    required = tool.get("required")
    return {
        "name": name,
        "description": tool.get("api_description"),
        "category": tool.get("field"),
        "parameters": parameters | ({"required": required} if required else {}),
        "returns": returns if returns["properties"] else None,
        "source": "seal-tools",
        "source_id": name,
    }


def _object(fields: Any, key: str) -> dict[str, Any]:
    """An object schema of the fields, which the source gives by name."""
    if not isinstance(fields or {}, dict):
        raise EntryError("must be an object with a schema for each name", field=key)
    schema = {"type": "object", "properties": fields or {}}
    read: dict[str, Any] = to_json_schema(schema, PYTHON_WORDS)
    return read


FORMAT = Format("seal-tools", "Seal-Tools", _recognises, _entries)
