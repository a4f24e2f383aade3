"""Whatever the graph and the seed: samplers end, give distinct tools, and are pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toolflow.catalog.tool import Tool
from toolflow.graph.graph import ToolGraph
from toolflow.graph.link import ToolSet
from toolflow.graph.link_table import LinkTable
from toolflow.graph.sampling import GraphSampler, Sampler, SizeRange, UniformSampler

Edge = tuple[int, int, int, float]


def make_graph(tools: int, edges: Sequence[Edge]) -> ToolGraph:
    """A graph of tools ``t0``, ``t1`` … with links (from, to, kind, weight) in any order."""
    distinct = {(source, target, kind): weight for source, target, kind, weight in edges if source != target}
    ordered = sorted(distinct.items(), key=lambda item: -item[1])
    path = np.zeros(len(ordered), dtype=np.int32)
    table = LinkTable(
        kind=np.array([key[2] for key, _ in ordered], dtype=np.uint8),
        from_tool=np.array([key[0] for key, _ in ordered], dtype=np.int32),
        to_tool=np.array([key[1] for key, _ in ordered], dtype=np.int32),
        from_path=path,
        to_path=path,
        weight=np.array([weight for _, weight in ordered], dtype=np.float32),
        paths=("field",),
    )
    made = tuple(Tool(f"t{index}", "", {"type": "object"}) for index in range(tools))
    return ToolGraph(made, table, "hash", "encoder", 0.5)


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


@given(graphs(), sizes, seeds)
def test_every_set_is_sound(graph: ToolGraph, wanted: SizeRange, seed: int) -> None:
    samplers: tuple[Sampler, ...] = (
        GraphSampler(graph, wanted),
        UniformSampler(graph.tools, wanted, graph),
    )
    for sampler in samplers:
        assert_sound(sampler.sample(seed), graph, wanted)


@given(graphs(), sizes, seeds, st.lists(seeds, max_size=3))
def test_a_set_depends_on_nothing_but_the_seed(
    graph: ToolGraph, wanted: SizeRange, seed: int, before: list[int]
) -> None:
    used = GraphSampler(graph, wanted)
    for other in before:
        used.sample(other)
    assert used.sample(seed) == GraphSampler(graph, wanted).sample(seed)
    assert UniformSampler(graph.tools, wanted).sample(seed) == UniformSampler(graph.tools, wanted).sample(
        seed
    )


@given(graphs(), seeds)
def test_a_set_as_large_as_the_catalogue_holds_every_tool(graph: ToolGraph, seed: int) -> None:
    """Walks must get out of every dead end: nothing is left to take but what is far away or isolated."""
    drawn = GraphSampler(graph, SizeRange(12, 12)).sample(seed)
    assert {tool.name for tool in drawn.tools} == {tool.name for tool in graph.tools}


@given(graphs(), st.integers(1, 6), seeds)
def test_a_set_that_fits_into_one_component_stays_in_it(graph: ToolGraph, size: int, seed: int) -> None:
    """A walk begins elsewhere only when nothing is left to reach."""
    component = graph.adjacency.components()
    drawn = GraphSampler(graph, SizeRange(size, size)).sample(seed)
    members = [int(component[graph.index(tool.name)]) for tool in drawn.tools]
    if members and np.count_nonzero(component == members[0]) >= size:
        assert set(members) == {members[0]}


@given(graphs(), sizes, seeds)
def test_a_set_without_a_graph_has_no_links(graph: ToolGraph, wanted: SizeRange, seed: int) -> None:
    assert UniformSampler(graph.tools, wanted).sample(seed).links == ()
