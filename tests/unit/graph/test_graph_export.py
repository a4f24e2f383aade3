from __future__ import annotations

import io
import json
from pathlib import Path

import networkx as nx
import pytest

from tests.unit.graph.word_encoder import TEXT, WordEncoder, make_tool
from tests.unit.invoking import fail, run
from toolflow.errors import UsageError
from toolflow.graph.edges import edge_lines, graphml, node_link
from toolflow.graph.graph import ToolGraph, build_graph

TOOLS = (
    make_tool("find_flight", {"origin_city": TEXT}, {"flight_id": TEXT}, description="a\u0000b\u001b"),
    make_tool("book_flight", {"flight_id": TEXT}, category="flights"),
    make_tool("lamp", {"brightness": TEXT}),
)


@pytest.fixture
def graph() -> ToolGraph:
    return build_graph(TOOLS, WordEncoder())


@pytest.fixture
def saved(graph: ToolGraph, tmp_path: Path) -> Path:
    graph.save(tmp_path / "tools.graph")
    return tmp_path / "tools.graph"


def test_edges_are_all_pairs_strongest_first(graph: ToolGraph) -> None:
    edges = [json.loads(line) for line in edge_lines(graph)]
    assert edges == [link.to_json() for link in graph.all_pairs()]
    assert set(edges[0]) == {"from_tool", "to_tool", "kind", "from_field", "to_field", "weight"}
    assert [edge["weight"] for edge in edges] == sorted((edge["weight"] for edge in edges), reverse=True)
    assert (edges[0]["from_tool"], edges[0]["to_tool"]) == ("find_flight", "book_flight")
    flows = {(edge["from_tool"], edge["to_tool"]) for edge in edges if edge["kind"] == "return-parameter"}
    assert len(flows) == 6


def test_networkx_reads_what_is_written(graph: ToolGraph) -> None:
    linked = nx.node_link_graph(json.loads(node_link(graph)), edges="edges")
    drawn = nx.read_graphml(io.BytesIO(graphml(graph)), force_multigraph=True)
    for read in (linked, drawn):
        assert set(read) == {tool.name for tool in TOOLS}
        assert read.number_of_edges() == len(graph.table)
    assert linked.nodes["book_flight"]["category"] == "flights"
    assert drawn.nodes["find_flight"]["description"] == "ab"
    assert "category" not in drawn.nodes["find_flight"]


@pytest.mark.parametrize("form", ["edges", "graphml", "node-link"])
def test_export_writes_to_a_file_or_to_standard_output(saved: Path, tmp_path: Path, form: str) -> None:
    export = ("graph", "export", saved, "--format", form)
    printed = run(*export)
    target = tmp_path / "out"
    run(*export, "-o", target)
    assert target.read_bytes() == printed.stdout_bytes
    assert b"find_flight" in target.read_bytes()


def test_a_place_that_cannot_be_written_is_told(saved: Path, tmp_path: Path) -> None:
    error = fail(UsageError, "graph", "export", saved, "-o", tmp_path / "no" / "out")
    assert "cannot be written" in error.message


def test_score_prints_the_graph_beside_the_baselines(saved: Path, tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    gold.write_text('{"from_tool": "find_flight", "to_tool": "book_flight", "kind": "sequence"}\n')
    score = ("graph", "score", saved, "--gold", gold, "--calibrate")
    text = run(*score).stdout
    assert "exact-name" in text
    assert "--threshold" in text
    facts = json.loads(run(*score, "--json").stdout)
    assert (facts["tools"], facts["gold_pairs"], facts["gold_missing"]) == (3, 1, 0)
    assert [score["method"] for score in facts["scores"]] == ["graph", "cosine", "exact-name"]
    assert 0 <= facts["calibrated"]["threshold"] <= 1
