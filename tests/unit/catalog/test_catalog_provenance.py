"""The marks of what was invented go wherever a tool goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolflow.catalog.entry import EntryError
from toolflow.catalog.load import load_catalogue
from toolflow.catalog.tool import Tool
from toolflow.catalog.validate import tool_from
from toolflow.catalog.write import write_canonical
from toolflow.graph.encoder import WordLlamaEncoder
from toolflow.graph.graph import ToolGraph, build_graph

TOOL = Tool("a", "Does.", {"type": "object", "properties": {}}, provenance={"description": "model"})


def test_provenance_survives_the_canonical_file_and_the_graph_file(tmp_path: Path) -> None:
    write_canonical([TOOL], tmp_path / "tools.jsonl")
    assert load_catalogue([tmp_path / "tools.jsonl"]).catalogue.tools == (TOOL,)
    build_graph([TOOL], WordLlamaEncoder()).save(tmp_path / "graph")
    assert ToolGraph.load(tmp_path / "graph").tools == (TOOL,)


def test_a_tool_without_provenance_says_nothing_of_it() -> None:
    plain = Tool("a", "Does.", {"type": "object", "properties": {}})
    assert "provenance" not in plain.to_canonical()
    assert tool_from(plain.to_canonical() | {"provenance": {}}) == plain


@pytest.mark.parametrize("value", ["model", ["description"], {"description": True}])
def test_provenance_of_another_shape_is_refused(value: object) -> None:
    with pytest.raises(EntryError) as caught:
        tool_from(TOOL.to_canonical() | {"provenance": value})
    assert caught.value.field == "provenance"
