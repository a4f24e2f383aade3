"""Plugin manifests (``name_for_model``, ``description_for_model``), as MetaTool collected them.

A manifest tells what a plugin is for and not what it takes: the tool has no parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from toolflow.catalog.entry import Entry, Format
from toolflow.catalog.record import Record


def _recognises(record: Mapping[str, Any]) -> bool:
    return "name_for_model" in record and "description_for_model" in record


def _entries(record: Record) -> Iterator[Entry]:
    yield Entry(record.line, partial(_canonical, record.value))


def _canonical(manifest: Mapping[str, Any]) -> dict[str, Any]:
    name = manifest.get("name_for_model")
    return {
        "name": name,
        "description": manifest.get("description_for_model"),
        "parameters": {"type": "object", "properties": {}},
        "source": "metatool",
        "source_id": name,
    }


FORMAT = Format("metatool", "plugin manifests (MetaTool)", _recognises, _entries)
