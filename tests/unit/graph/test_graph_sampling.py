from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.unit.graph.word_encoder import TEXT, WordEncoder, make_tool
from toolflow.catalog.load import load_catalogue, load_sample
from toolflow.errors import GraphError
from toolflow.graph.encoder import WordLlamaEncoder
from toolflow.graph.graph import ToolGraph, build_graph
from toolflow.graph.sampling import GraphSampler, Sampler, SizeRange, UniformSampler

# A chain a - b - c, a pair d - e, and f alone.
CHAINED = [
    make_tool("a", None, {"red_thing": TEXT}),
    make_tool("b", {"red_thing": TEXT}, {"blue_item": TEXT}),
    make_tool("c", {"blue_item": TEXT}),
    make_tool("d", None, {"warm_place": TEXT}),
    make_tool("e", {"warm_place": TEXT}),
    make_tool("f", {"lonely_word": TEXT}),
]


@pytest.fixture(scope="module")
def chained() -> ToolGraph:
    graph = build_graph(CHAINED, WordEncoder())
    assert {frozenset((link.from_tool, link.to_tool)) for link in graph.links()} == {
        frozenset("ab"),
        frozenset("bc"),
        frozenset("de"),
    }
    return graph


def share_with_a_flow(sampler: Sampler, sets: int = 300) -> float:
    drawn = [sampler.sample(seed) for seed in range(sets)]
    return sum(any(link.kind == "return-parameter" for link in one.links) for one in drawn) / sets


def test_sets_follow_the_links(chained: ToolGraph) -> None:
    sampler = GraphSampler(chained, SizeRange(2, 2))
    for seed in range(100):
        drawn = sampler.sample(seed)
        assert len(drawn.links) == 1
        assert {tool.name for tool in drawn.tools} == {drawn.links[0].from_tool, drawn.links[0].to_tool}


def test_isolated_tools_come_last(chained: ToolGraph) -> None:
    sampler = GraphSampler(chained, SizeRange(5, 5))
    assert all("f" not in {tool.name for tool in sampler.sample(seed).tools} for seed in range(50))


def test_every_linked_tool_is_drawn_sooner_or_later(chained: ToolGraph) -> None:
    sampler = GraphSampler(chained, SizeRange(2, 3))
    drawn = Counter(tool.name for seed in range(200) for tool in sampler.sample(seed).tools)
    assert set(drawn) >= set("abcde")


def test_without_links_the_sets_are_uniform() -> None:
    tools = [make_tool(f"tool{letter}", {f"thing{letter}": TEXT}) for letter in "abcdefgh"]
    graph = build_graph(tools, WordEncoder())
    assert len(graph.table) == 0
    sampler = GraphSampler(graph, SizeRange(4, 4))
    drawn = Counter(tool.name for seed in range(400) for tool in sampler.sample(seed).tools)
    assert set(drawn) == {tool.name for tool in tools}
    assert all(150 <= count <= 250 for count in drawn.values())  # 200 expected


def test_every_size_of_the_range_is_drawn(chained: ToolGraph) -> None:
    for sampler in (GraphSampler(chained), UniformSampler(CHAINED)):
        assert {len(sampler.sample(seed).tools) for seed in range(100)} == {3, 4, 5, 6}  # six tools in all


def test_one_tool_is_a_set_of_one() -> None:
    graph = build_graph(CHAINED[:1], WordEncoder())
    for sampler in (GraphSampler(graph), UniformSampler(graph.tools)):
        assert sampler.sample(0).tools == (CHAINED[0],)


def test_an_empty_catalogue_cannot_be_sampled() -> None:
    with pytest.raises(GraphError, match="no tool"):
        GraphSampler(build_graph([], WordEncoder()))
    with pytest.raises(GraphError, match="no tool"):
        UniformSampler([])


@pytest.mark.parametrize(("fewest", "most"), [(0, 3), (4, 3), (-1, -1)])
def test_an_empty_range_of_sizes_is_refused(fewest: int, most: int) -> None:
    with pytest.raises(GraphError, match=f"from {fewest} to {most}"):
        SizeRange(fewest, most)


def test_sets_of_the_sample_catalogue_belong_together() -> None:
    graph = build_graph(load_sample(), WordLlamaEncoder())
    assert share_with_a_flow(GraphSampler(graph)) > 0.95
    booking = {(link.from_tool, link.from_field) for link in graph.links_of("book_flight")}
    assert ("search_flights", "flights[].flight_id") in booking


def test_sets_of_real_tools_belong_together(shared_data: Path) -> None:
    report = load_catalogue(
        [shared_data / "tools" / "rapidapi_core.jsonl.gz"], limit=2_000, skip_invalid=True
    )
    graph = build_graph(report.catalogue, WordLlamaEncoder())
    assert share_with_a_flow(GraphSampler(graph)) > 0.85
    assert share_with_a_flow(UniformSampler(graph.tools, graph=graph)) < 0.25
