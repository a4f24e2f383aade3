from __future__ import annotations

from collections import Counter
from string import ascii_letters

import pytest

from tests.unit.graph.made_graph import make_flows
from tests.unit.graph.word_encoder import make_tool
from toolflow.errors import GraphError
from toolflow.graph.graph import ToolGraph
from toolflow.graph.link import Shape, ToolSet
from toolflow.graph.sampling.sampler import GraphSampler, SizeRange
from toolflow.graph.sampling.shapes import ShapeWeights

# A row p → q → r → s, a producer with three consumers, a consumer with three producers.
READERS = ("reader x", "reader y", "reader z")
GIVERS = ("giver x", "giver y", "giver z")
TOOLS = [make_tool(name) for name in ("p", "q", "r", "s", "source", *READERS, "sink", *GIVERS)]
FLOWS = [
    *(("p", "q"), ("q", "r"), ("r", "s")),
    *(("source", name) for name in READERS),
    *((name, "sink") for name in GIVERS),
]


@pytest.fixture(scope="module")
def graph() -> ToolGraph:
    return make_flows(TOOLS, FLOWS)


def drawn(graph: ToolGraph, shape: Shape, size: int = 3) -> list[ToolSet]:
    sampler = GraphSampler(graph, sizes=SizeRange(size, size), shapes=ShapeWeights.only(shape))
    return [sampler.sample(index) for index in range(60)]


def flows(one: ToolSet) -> set[tuple[str, str]]:
    return {(link.from_tool, link.to_tool) for link in one.links}


def test_chains_carry_each_result_into_the_next_call(graph: ToolGraph) -> None:
    chains = [one for one in drawn(graph, "chain") if one.shape == "chain"]
    assert {tuple(tool.name for tool in one.tools) for one in chains} == {("p", "q", "r"), ("q", "r", "s")}


def test_a_fan_out_feeds_several_consumers_from_one_producer(graph: ToolGraph) -> None:
    fans = [one for one in drawn(graph, "fan-out") if one.shape == "fan-out"]
    assert fans
    for one in fans:
        assert one.tools[0].name == "source"
        assert flows(one) == {("source", tool.name) for tool in one.tools[1:]}


def test_a_merge_feeds_one_consumer_from_several_producers(graph: ToolGraph) -> None:
    merges = [one for one in drawn(graph, "merge") if one.shape == "merge"]
    assert merges
    for one in merges:
        assert one.tools[0].name == "sink"
        assert flows(one) == {(tool.name, "sink") for tool in one.tools[1:]}


@pytest.mark.parametrize("shape", ["chain", "fan-out", "merge"])
def test_what_a_shape_leaves_open_a_walk_fills(graph: ToolGraph, shape: Shape) -> None:
    sets = drawn(graph, shape, size=4)
    assert {len(one.tools) for one in sets} == {4}
    assert {one.shape for one in sets} == {shape, "walk"}
    assert all(len(one.links) == 3 for one in sets)  # each component holds four tools


@pytest.mark.parametrize("shape", ["chain", "fan-out", "merge"])
def test_one_tool_shows_no_shape(graph: ToolGraph, shape: Shape) -> None:
    assert {one.shape for one in drawn(graph, shape, size=1)} == {"walk"}
    assert shape in {one.shape for one in drawn(graph, shape, size=2)}


def test_shapes_are_mixed_by_their_weights() -> None:
    ring = [make_tool(f"tool {letter}") for letter in ascii_letters]
    flows = [(ring[index].name, ring[index - step].name) for index in range(len(ring)) for step in (1, 2, 3)]
    sampler = GraphSampler(
        make_flows(ring, flows),
        sizes=SizeRange(3, 3),
        shapes=ShapeWeights(walk=0, chain=1, fan_out=2, merge=1),
    )
    shapes = Counter(sampler.sample(index).shape for index in range(400))
    assert shapes["fan-out"] == pytest.approx(200, abs=50)
    assert shapes["chain"] == pytest.approx(100, abs=40)
    assert shapes["merge"] == pytest.approx(100, abs=40)


@pytest.mark.parametrize("weights", [(0, 0, 0, 0), (-1, 1, 1, 1), (float("nan"), 1, 1, 1)])
def test_impossible_weights_are_refused(weights: tuple[float, float, float, float]) -> None:
    with pytest.raises(GraphError, match="shapes"):
        ShapeWeights(*weights)
