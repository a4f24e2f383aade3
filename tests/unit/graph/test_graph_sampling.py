from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.unit.graph.made_graph import make_flows, make_graph
from tests.unit.graph.word_encoder import make_tool
from toolflow.catalog.load import load_catalogue, load_sample
from toolflow.errors import GraphError
from toolflow.graph.encoder import WordLlamaEncoder
from toolflow.graph.graph import ToolGraph, build_graph
from toolflow.graph.sampling.sampler import GraphSampler, Sampler, SizeRange, UniformSampler

# A chain a - b - c, a pair d - e, and f alone.
CHAINED = [make_tool(letter) for letter in "abcdef"]


@pytest.fixture(scope="module")
def chained() -> ToolGraph:
    return make_flows(CHAINED, [("a", "b"), ("b", "c"), ("d", "e")])


def share_with_a_flow(sampler: Sampler, sets: int = 300) -> float:
    drawn = [sampler.sample(index) for index in range(sets)]
    return sum(any(link.kind == "return-parameter" for link in one.links) for one in drawn) / sets


def test_sets_follow_the_links(chained: ToolGraph) -> None:
    sampler = GraphSampler(chained, sizes=SizeRange(2, 2))
    for index in range(100):
        drawn = sampler.sample(index)
        assert len(drawn.links) == 1
        assert {tool.name for tool in drawn.tools} == {drawn.links[0].from_tool, drawn.links[0].to_tool}


def test_isolated_tools_come_last(chained: ToolGraph) -> None:
    sampler = GraphSampler(chained, sizes=SizeRange(5, 5))
    assert all("f" not in {tool.name for tool in sampler.sample(index).tools} for index in range(50))


def test_every_linked_tool_is_drawn_sooner_or_later(chained: ToolGraph) -> None:
    sampler = GraphSampler(chained, sizes=SizeRange(2, 3))
    drawn = Counter(tool.name for index in range(200) for tool in sampler.sample(index).tools)
    assert set(drawn) >= set("abcde")


def test_without_links_the_sets_are_uniform() -> None:
    tools = [make_tool(f"tool {letter}") for letter in "abcdefgh"]
    graph = make_graph(tools, [])
    sampler = GraphSampler(graph, sizes=SizeRange(4, 4))
    drawn = Counter(tool.name for index in range(400) for tool in sampler.sample(index).tools)
    assert set(drawn) == {tool.name for tool in tools}
    assert all(150 <= count <= 250 for count in drawn.values())  # 200 expected


def test_every_size_of_the_range_is_drawn(chained: ToolGraph) -> None:
    for sampler in (GraphSampler(chained), UniformSampler(CHAINED)):
        assert {len(sampler.sample(index).tools) for index in range(100)} == {3, 4, 5, 6}  # six tools in all


def test_one_tool_is_a_set_of_one() -> None:
    graph = make_graph(CHAINED[:1], [])
    for sampler in (GraphSampler(graph), UniformSampler(graph.tools)):
        assert sampler.sample(0).tools == (CHAINED[0],)


def test_an_empty_catalogue_cannot_be_sampled() -> None:
    with pytest.raises(GraphError, match="no tool"):
        GraphSampler(make_graph([], []))
    with pytest.raises(GraphError, match="no tool"):
        UniformSampler([])


@pytest.mark.parametrize(("fewest", "most"), [(0, 3), (4, 3), (-1, -1)])
def test_an_empty_range_of_sizes_is_refused(fewest: int, most: int) -> None:
    for make in (GraphSampler, lambda graph, sizes: UniformSampler(graph.tools, sizes=sizes)):
        with pytest.raises(GraphError, match=f"from {fewest} to {most}"):
            make(make_graph(CHAINED, []), sizes=SizeRange(fewest, most))


def test_sizes_are_drawn_as_often_as_their_weights_say(chained: ToolGraph) -> None:
    sizes = SizeRange(2, 4, weights=(3, 0, 1))
    for sampler in (GraphSampler(chained, sizes=sizes), UniformSampler(CHAINED, sizes=sizes)):
        drawn = Counter(len(sampler.sample(index).tools) for index in range(400))
        assert set(drawn) == {2, 4}
        assert 250 <= drawn[2] <= 350  # 300 expected


@pytest.mark.parametrize("weights", [(1.0,), (1.0, -1.0), (0.0, 0.0), (1.0, float("nan"))])
def test_weights_that_do_not_fit_the_sizes_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(GraphError, match="weights"):
        SizeRange(3, 4, weights)


def test_runs_of_different_seeds_draw_different_sets(chained: ToolGraph) -> None:
    for one, other in (
        (GraphSampler(chained, 1), GraphSampler(chained, 2)),
        (UniformSampler(CHAINED, 1), UniformSampler(CHAINED, 2)),
    ):
        assert [one.sample(index) for index in range(9)] != [other.sample(index) for index in range(9)]


def test_distractors_have_no_link_to_the_set(chained: ToolGraph) -> None:
    sampler = GraphSampler(chained, sizes=SizeRange(2, 2), distractors=SizeRange(1, 2))
    counts = Counter[int]()
    for index in range(200):
        drawn = sampler.sample(index)
        counts[len(drawn.distractors)] += 1
        for distractor in drawn.distractors:
            for tool in drawn.tools:
                assert not chained.links_among([tool.name, distractor.name])
                assert tool.name != distractor.name
    assert set(counts) == {1, 2}


def test_where_all_tools_are_related_the_least_related_distract() -> None:
    links = [(0, 1, 1, 1.0), (0, 2, 1, 0.8), (0, 3, 1, 0.5), (1, 2, 1, 0.7), (1, 3, 1, 0.4), (2, 3, 1, 0.3)]
    graph = make_graph(CHAINED[:4], links)
    sampler = GraphSampler(graph, sizes=SizeRange(2, 2), distractors=SizeRange(1, 1))
    drawn = [sampler.sample(index) for index in range(40)]
    beside = {frozenset(t.name for t in one.tools): one.distractors[0].name for one in drawn}
    assert beside[frozenset("ab")] == "d"
    assert beside[frozenset("ac")] == "d"


def test_there_are_no_more_distractors_than_other_tools(chained: ToolGraph) -> None:
    for sampler in (
        GraphSampler(chained, sizes=SizeRange(5, 5), distractors=SizeRange(3, 3)),
        UniformSampler(CHAINED, sizes=SizeRange(5, 5), distractors=SizeRange(3, 3)),
    ):
        drawn = sampler.sample(0)
        assert (len(drawn.tools), len(drawn.distractors)) == (5, 1)
        assert {tool.name for tool in (*drawn.tools, *drawn.distractors)} == set("abcdef")


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
