"""OpenAPI documents: 2.0 (Swagger), 3.0 and 3.1. Each operation becomes a tool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from toolflow.catalog.entry import Entry, Format
from toolflow.catalog.openapi_operation import operations
from toolflow.catalog.record import Record


def _recognises(record: Mapping[str, Any]) -> bool:
    return ("openapi" in record or "swagger" in record) and ("paths" in record or "info" in record)


def _entries(record: Record) -> Iterator[Entry]:
    info = record.value.get("info")
    title = info.get("title") if isinstance(info, dict) else None
    title = title.strip() if isinstance(title, str) and title.strip() else record.source.stem
    line, read_to = record.line, 0
    for operation in operations(record.value):
        # The paths stand in the text in their order, each as a key.
        found = max(record.raw.find(msgspec.json.encode(operation.path), read_to), read_to)
        line += record.raw.count(b"\n", read_to, found)
        read_to = found
        origin = {"category": title, "source": "openapi", "source_id": f"{title}#{operation.place}"}
        yield Entry(line, partial(_with_origin, operation.build, origin))


def _with_origin(build: Callable[[], dict[str, Any]], origin: Mapping[str, Any]) -> dict[str, Any]:
    return {**build(), **origin}


FORMAT = Format("openapi", "OpenAPI 2 and 3 (JSON, YAML)", _recognises, _entries)
