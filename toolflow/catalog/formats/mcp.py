"""Tools as MCP servers list them: a saved result of ``tools/list``, and files that collect such results.

A record is a result (``{"tools": [{"name", "description", "inputSchema", "outputSchema"?}]}``), the JSON-RPC
answer that holds one, one tool by itself, or an entry of LiveMCPBench (``tools`` by server). Tools that say
``input_schema``, as Anthropic's do, are read the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from toolflow.catalog.entry import Entry, EntryError, Format
from toolflow.catalog.native_schema import JSON_WORDS, to_json_schema
from toolflow.catalog.openapi_schema import SchemaReader
from toolflow.catalog.record import Record

_INPUTS = ("inputSchema", "input_schema")


def _recognises(record: Mapping[str, Any]) -> bool:
    if _is_tool(record) or _servers(record):
        return True
    tools = _result(record).get("tools")
    return isinstance(tools, list) and any(map(_is_tool, tools))


def _entries(record: Record) -> Iterator[Entry]:
    stem = record.source.stem
    if _is_tool(record.value):
        yield Entry(record.line, partial(_canonical, record.value, {"source": stem}))
        return
    if servers := _servers(record.value):
        project, category = record.value.get("name"), record.value.get("category")
        for server, listed in servers.items():
            for tool in listed["tools"]:
                origin = {"source": "livemcpbench", "category": category}
                yield Entry(record.line, partial(_canonical, tool, origin, f"{project}/{server}"))
        return
    result = _result(record.value)
    if result is record.value:
        lined = record.items("tools")
    else:
        tools = result.get("tools") or []
        if not isinstance(tools, list):
            raise EntryError("result.tools must be a list of tools")
        lined = ((record.line, tool) for tool in tools)
    for line, tool in lined:
        yield Entry(line, partial(_canonical, tool, {"source": stem}, stem))


def _is_tool(value: Any) -> bool:
    return isinstance(value, dict) and "name" in value and any(key in value for key in _INPUTS)


def _result(record: Mapping[str, Any]) -> Mapping[str, Any]:
    result = record.get("result")
    return result if "jsonrpc" in record and isinstance(result, dict) else record


def _servers(record: Mapping[str, Any]) -> dict[str, Any]:
    """The servers of an entry of LiveMCPBench by name, each with its tools."""
    tools = record.get("tools")
    servers = tools if isinstance(tools, dict) else {}
    return {
        name: each
        for name, each in servers.items()
        if isinstance(each, dict) and isinstance(each.get("tools"), list)
    }


def _canonical(tool: Any, origin: Mapping[str, Any], place: str | None = None) -> dict[str, Any]:
    if not isinstance(tool, dict):
        raise EntryError("a tool must be a JSON object with a name and an inputSchema")
    name = tool.get("name")
    fields: dict[str, Any] = {"name": name, "description": tool.get("description")}
    try:
        for field, keys in (("parameters", _INPUTS), ("returns", ("outputSchema",))):
            schema = next((tool[key] for key in keys if tool.get(key) is not None), None)
            fields[field] = to_json_schema(_without_references(schema), JSON_WORDS)
    except EntryError as error:
        error.tool = name if isinstance(name, str) else None
        raise
    # A file may hold the tools of many servers: the server tells those of one name apart.
    return {**fields, **origin, **({"source_id": f"{place}/{name}"} if place else {})}


def _without_references(schema: Any) -> Any:
    """Whoever reads a tool sees its fields at once; most servers send schemas without references anyway."""
    return SchemaReader(schema).read(schema) if b'"$ref"' in msgspec.json.encode(schema) else schema


FORMAT = Format("mcp", "MCP tools/list results", _recognises, _entries)
