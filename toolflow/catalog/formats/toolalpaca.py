"""The native files of ToolAlpaca: services whose ``Documentation`` is an OpenAPI document in a string."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from toolflow.catalog.entry import Entry, EntryError, Format
from toolflow.catalog.openapi_operation import operations
from toolflow.catalog.record import Record


def _recognises(record: Mapping[str, Any]) -> bool:
    return "Documentation" in record and "Name" in record


def _entries(record: Record) -> Iterator[Entry]:
    text = record.value.get("Documentation")
    try:
        document = msgspec.json.decode(text) if isinstance(text, str) else text
    except (msgspec.DecodeError, RecursionError) as error:
        raise EntryError(f"not valid JSON: {error}", field="Documentation") from error
    if not isinstance(document, dict):
        raise EntryError("must be an OpenAPI document", field="Documentation")
    service = str(record.value.get("Name"))
    origin = {"category": record.value.get("Category"), "source": "toolalpaca"}
    for operation in operations(document):
        source_id = {"source_id": f"{service}#{operation.place}"}
        yield Entry(record.line, partial(_with_origin, operation.build, origin | source_id))


def _with_origin(build: Callable[[], dict[str, Any]], origin: Mapping[str, Any]) -> dict[str, Any]:
    return {**build(), **origin}


FORMAT = Format("toolalpaca", "ToolAlpaca", _recognises, _entries)
