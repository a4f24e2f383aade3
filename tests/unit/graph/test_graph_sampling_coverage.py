from __future__ import annotations

import random
import statistics
from collections import Counter

from tests.unit.graph.made_graph import make_graph
from toolflow.graph.graph import ToolGraph
from toolflow.graph.sampling.link_finder import LinkFinder
from toolflow.graph.sampling.sampler import GraphSampler, SizeRange


def popular_tools(tools: int) -> ToolGraph:
    """A graph in which links to the first tools are by far the most and the strongest."""
    draw = random.Random(0)
    edges = [
        (source, int(tools * draw.random() ** 3), 0, draw.uniform(0.1, 1))
        for source in range(tools)
        for _ in range(6)
    ]
    return make_graph(tools, edges)


def uses(graph: ToolGraph, indices: range) -> Counter[str]:
    sampler = GraphSampler(graph, 3, sizes=SizeRange(3, 5))
    return Counter(tool.name for index in indices for tool in sampler.sample(index).tools)


def test_all_linked_tools_are_used_about_equally_often() -> None:
    graph = popular_tools(200)
    used = uses(graph, range(10 * len(graph)))
    counts = [used[tool.name] for tool in graph.tools]
    assert statistics.mean(counts) == sum(used.values()) / len(graph)
    assert min(counts) > 0.8 * statistics.mean(counts)
    assert max(counts) < 1.5 * statistics.mean(counts)


def test_a_short_run_begins_with_a_new_tool_each_time() -> None:
    graph = popular_tools(200)
    used = uses(graph, range(40))  # about 160 places for 200 tools
    assert used.most_common(1)[0][1] <= 6
    assert len(used) > 100


def test_links_of_a_set_are_those_of_the_graph() -> None:
    graph = popular_tools(60)
    finder = LinkFinder(graph)
    draw = random.Random(1)
    for _ in range(200):
        tools = draw.sample(range(60), 6)
        assert finder.links_among(tools) == graph.links_among(graph.tools[tool].name for tool in tools)
