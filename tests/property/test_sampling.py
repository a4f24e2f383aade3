"""Whatever the graph and the seed: samplers end, give distinct tools, and are pure."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.graph.made_graph import make_graph
from toolflow.graph.graph import ToolGraph
from toolflow.graph.link import ToolSet
from toolflow.graph.sampling.sampler import GraphSampler, Sampler, SizeRange, UniformSampler
from toolflow.graph.sampling.shapes import ShapeWeights


@st.composite
def graphs(draw: st.DrawFn) -> ToolGraph:
    tools = draw(st.integers(1, 12))
    end = st.integers(0, tools - 1)
    edges = draw(st.lists(st.tuples(end, end, st.integers(0, 1), st.floats(0.01, 1)), max_size=30))
    return make_graph(tools, edges)


sizes = st.integers(1, 8).flatmap(
    lambda fewest: st.builds(SizeRange, st.just(fewest), st.integers(fewest, 9))
)
seeds = st.integers(0, 2**63 - 1)


def assert_sound(drawn: ToolSet, graph: ToolGraph, wanted: SizeRange) -> None:
    names = [tool.name for tool in drawn.tools]
    assert len(set(names)) == len(names)
    assert all(graph.tool(tool.name) is tool for tool in drawn.tools)
    assert min(wanted.fewest, len(graph)) <= len(names) <= min(wanted.most, len(graph))
    assert drawn.links == graph.links_among(names)


weights = st.one_of(
    st.builds(ShapeWeights),
    st.sampled_from([ShapeWeights.only(shape) for shape in ("walk", "chain", "fan-out", "merge")]),
)
indices = st.integers(0, 200)


@given(graphs(), sizes, weights, seeds, indices)
def test_every_set_is_sound(
    graph: ToolGraph, wanted: SizeRange, shapes: ShapeWeights, seed: int, index: int
) -> None:
    samplers: tuple[Sampler, ...] = (
        GraphSampler(graph, seed, sizes=wanted, shapes=shapes, distractors=SizeRange(0, 3)),
        UniformSampler(graph.tools, seed, sizes=wanted, distractors=SizeRange(0, 3), graph=graph),
    )
    for sampler in samplers:
        drawn = sampler.sample(index)
        assert_sound(drawn, graph, wanted)
        beside = [tool.name for tool in drawn.distractors]
        assert len({*beside, *(tool.name for tool in drawn.tools)}) == len(beside) + len(drawn.tools)


@given(graphs(), sizes, seeds, indices, st.lists(indices, max_size=3))
def test_a_set_depends_on_nothing_but_seed_and_index(
    graph: ToolGraph, wanted: SizeRange, seed: int, index: int, before: list[int]
) -> None:
    def samplers() -> tuple[Sampler, ...]:
        beside = SizeRange(0, 2)
        return (
            GraphSampler(graph, seed, sizes=wanted, distractors=beside),
            UniformSampler(graph.tools, seed, sizes=wanted, distractors=beside),
        )

    for used, fresh in zip(samplers(), samplers(), strict=True):
        for other in before:
            used.sample(other)
        assert used.sample(index) == fresh.sample(index)


@given(graphs(), weights, seeds, indices)
def test_a_set_as_large_as_the_catalogue_holds_every_tool(
    graph: ToolGraph, shapes: ShapeWeights, seed: int, index: int
) -> None:
    """Walks must get out of every dead end: nothing is left to take but what is far away or isolated."""
    drawn = GraphSampler(graph, seed, sizes=SizeRange(12, 12), shapes=shapes).sample(index)
    assert {tool.name for tool in drawn.tools} == {tool.name for tool in graph.tools}


@given(graphs(), st.integers(1, 6), weights, seeds, indices)
def test_a_set_that_fits_into_one_component_stays_in_it(
    graph: ToolGraph, size: int, shapes: ShapeWeights, seed: int, index: int
) -> None:
    """A walk begins elsewhere only when nothing is left to reach."""
    component = graph.adjacency.components()
    drawn = GraphSampler(graph, seed, sizes=SizeRange(size, size), shapes=shapes).sample(index)
    members = [int(component[graph.index(tool.name)]) for tool in drawn.tools]
    # A set may also begin in a small component, which it uses up before it goes on elsewhere.
    for member in set(members):
        if len(set(members)) > 1 and member != members[-1]:
            assert members.count(member) == np.count_nonzero(component == member)


@given(graphs(), sizes, seeds, indices)
def test_a_set_without_a_graph_has_no_links(
    graph: ToolGraph, wanted: SizeRange, seed: int, index: int
) -> None:
    assert UniformSampler(graph.tools, seed, sizes=wanted).sample(index).links == ()
