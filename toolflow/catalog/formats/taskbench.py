"""The native files of TaskBench (``tool_desc.json``): tools as nodes.

A node has ``parameters``, or only the kinds of its inputs and outputs (``text``, ``image`` …): each kind
becomes a field of that name, and the second of a kind ``<kind>_2``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from toolflow.catalog.entry import Entry, EntryError, Format
from toolflow.catalog.native_schema import NATIVE_TYPE, TypeWords, named_fields
from toolflow.catalog.record import Record

_WORDS = TypeWords(
    plain={}, native=dict.fromkeys(("date", "time", "text", "image", "audio", "video", "url"), "string")
)


def _recognises(record: Mapping[str, Any]) -> bool:
    nodes = record.get("nodes")
    return isinstance(nodes, list) and any(
        isinstance(node, dict)
        and "id" in node
        and ("input-type" in node or isinstance(node.get("parameters"), list))
        for node in nodes
    )


def _entries(record: Record) -> Iterator[Entry]:
    domain = record.source.stem
    for line, node in record.items("nodes"):
        yield Entry(line, partial(_canonical, node, domain))


def _canonical(node: Any, domain: str) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise EntryError("a node must be a JSON object", field="nodes")
    name = node.get("id")
    try:
        if "parameters" in node:
            properties = named_fields(node["parameters"], _WORDS, "parameters")
        else:
            kinds = _of_kinds(node, "input-type")
            properties = {
                field: schema | {"description": f"input of type {schema[NATIVE_TYPE]}"}
                for field, schema in kinds.items()
            }
        returned = _of_kinds(node, "output-type")
    except EntryError as error:
        error.tool = name if isinstance(name, str) else None
        raise
    parameters = {"type": "object", "properties": properties}
    return {
        "name": name,
        "description": node.get("desc"),
        "category": domain,
        "parameters": parameters | ({"required": list(properties)} if properties else {}),
        "returns": {"type": "object", "properties": returned} if returned else None,
        "source": "taskbench",
        "source_id": f"{domain}/{name}",
    }


def _of_kinds(node: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]]:
    kinds = node.get(key) or []
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        raise EntryError("must be a list of words", field=key)
    fields: dict[str, dict[str, Any]] = {}
    for index, kind in enumerate(kinds):
        nth = kinds[: index + 1].count(kind)
        fields[kind if nth == 1 else f"{kind}_{nth}"] = {"type": "string", NATIVE_TYPE: kind}
    return fields


FORMAT = Format("taskbench", "TaskBench", _recognises, _entries)
