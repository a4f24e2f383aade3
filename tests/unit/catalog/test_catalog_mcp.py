from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.catalog.catalogue_files import write_document, write_lines
from toolflow.catalog.load import load_catalogue
from toolflow.catalog.tool import Tool
from toolflow.errors import CatalogueError

INPUT = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
OUTPUT = {"type": "object", "properties": {"hits": {"type": "array", "items": {"type": "string"}}}}
SEARCH = {"name": "search", "description": "Searches.", "inputSchema": INPUT, "outputSchema": OUTPUT}
EXPECTED = Tool("search", "Searches.", INPUT, OUTPUT, source="web", source_id="web/search")


@pytest.mark.parametrize(
    "document",
    [
        {"tools": [SEARCH]},
        {"tools": [SEARCH], "nextCursor": None, "_meta": {}},
        {"jsonrpc": "2.0", "id": 3, "result": {"tools": [SEARCH]}},
    ],
)
def test_results_of_tools_list(tmp_path: Path, document: Any) -> None:
    report = load_catalogue([write_document(tmp_path, document, "web.json")])
    assert report.catalogue.tools == (EXPECTED,)
    assert report.formats == {"mcp": 1}


def test_tools_by_themselves_and_those_of_anthropic(tmp_path: Path) -> None:
    other = {"name": "read", "description": "Reads.", "input_schema": {"type": "object"}}
    report = load_catalogue([write_lines(tmp_path, SEARCH, other, name="web.jsonl")])
    assert [(tool.name, tool.parameters) for tool in report.catalogue] == [
        ("search", INPUT),
        ("read", {"type": "object"}),
    ]


def test_entries_of_livemcpbench(tmp_path: Path) -> None:
    server = {"server_name": "bing", "version": "1", "tools": [SEARCH]}
    entry = {"name": "Bing MCP", "category": "Discovery", "config": {}, "tools": {"bing": server}}
    (tool,) = load_catalogue([write_document(tmp_path, [entry])]).catalogue.tools
    assert (tool.source, tool.category) == ("livemcpbench", "Discovery")
    assert tool.source_id == "Bing MCP/bing/search"


def test_servers_may_use_one_name(tmp_path: Path) -> None:
    write_document(tmp_path, {"tools": [SEARCH]}, "one.json")
    write_document(tmp_path, {"tools": [SEARCH | {"description": "Other."}]}, "two.json")
    assert [tool.name for tool in load_catalogue([tmp_path]).catalogue] == ["search", "search_2"]


def test_schemas_of_older_drafts_and_references(tmp_path: Path) -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "page": {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
            "filter": {"anyOf": [{"$ref": "#/$defs/Filter"}, {"type": "null"}]},
        },
        "$defs": {
            "Filter": {"type": "object", "properties": {"inner": {"$ref": "#/$defs/Filter"}}},
        },
    }
    document = {"tools": [{"name": "list", "inputSchema": schema}]}
    (tool,) = load_catalogue([write_document(tmp_path, document)]).catalogue.tools
    assert tool.properties == {
        "page": {"type": "integer", "minimum": 0, "exclusiveMinimum": 0},
        "filter": {
            "anyOf": [{"type": "object", "properties": {"inner": {"type": "object"}}}, {"type": "null"}]
        },
    }


def test_a_closed_schema_stays_closed(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "additionalProperties": False}
    document = {"tools": [{"name": "list", "inputSchema": schema | {"$defs": {"A": {"type": "string"}}}}]}
    (tool,) = load_catalogue([write_document(tmp_path, document)]).catalogue.tools
    assert tool.argument_problems({"a": "x"}) == []
    assert tool.argument_problems({"b": "x"}) != []


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        ("search", "a tool must be a JSON object"),
        ({"name": "bad", "inputSchema": {"$ref": "https://example.org/schema"}}, "outside the document"),
        ({"name": "bad", "inputSchema": {"type": "string"}}, "must be 'object'"),
        ({"name": "bad", "inputSchema": []}, "JSON Schema"),
        ({"inputSchema": INPUT}, "non-empty string"),
    ],
)
def test_a_wrong_tool_is_refused_alone(tmp_path: Path, tool: Any, message: str) -> None:
    path = write_document(tmp_path, {"tools": [SEARCH, tool]})
    with pytest.raises(CatalogueError, match=message):
        load_catalogue([path])
    assert len(load_catalogue([path], skip_invalid=True).catalogue) == 1


def test_a_result_whose_tools_are_no_list_is_refused(tmp_path: Path) -> None:
    good = {"jsonrpc": "2.0", "result": {"tools": [SEARCH]}}
    bad = {"jsonrpc": "2.0", "result": {"tools": 1}}
    path = write_lines(tmp_path, good, bad, name="web.jsonl")
    with pytest.raises(CatalogueError, match=r"result\.tools must be a list of tools"):
        load_catalogue([path])
