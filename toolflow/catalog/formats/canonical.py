"""The canonical format: one tool an object, as ``toolflow tools import`` writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from toolflow.catalog.entry import Entry, Format
from toolflow.catalog.record import Record

_OWN = frozenset({"returns", "category", "source", "source_id"})
_ALL = _OWN | {"name", "description", "parameters", "provenance"}


def _recognises(record: Mapping[str, Any]) -> bool:
    if _OWN.isdisjoint(record):
        return False
    return "parameters" in record or ("name" in record and _ALL.issuperset(record))


def _entries(record: Record) -> Iterator[Entry]:
    yield Entry(record.line, lambda: record.value)


FORMAT = Format("canonical", "canonical JSONL", _recognises, _entries)
