"""Graphs with links as a test wants them, whatever an encoder would find."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolflow.catalog.tool import Tool
from toolflow.graph.graph import ToolGraph
from toolflow.graph.linking.link_table import PARAMETER_PARAMETER, RETURN_PARAMETER, LinkTable

Edge = tuple[int, int, int, float]
"""From, to, kind, weight."""


def make_graph(tools: int | Sequence[Tool], edges: Sequence[Edge]) -> ToolGraph:
    """A graph of given tools, or of so many tools ``tool a``, ``tool b`` …, with links in any order."""
    if isinstance(tools, int):
        tools = [Tool(f"tool {_letters(index)}", "", {"type": "object"}) for index in range(tools)]
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
    return ToolGraph(tuple(tools), table, "hash", "encoder", 0.5)


def make_flows(tools: Sequence[Tool], flows: Sequence[tuple[str, str]]) -> ToolGraph:
    """A graph with a return-parameter link from each first to each second name."""
    index = {tool.name: position for position, tool in enumerate(tools)}
    return make_graph(
        tools, [(index[source], index[target], RETURN_PARAMETER, 0.9) for source, target in flows]
    )


def make_clique(tools: Sequence[Tool]) -> ToolGraph:
    """A graph in which all tools share a parameter."""
    pairs = [(one, other) for other in range(len(tools)) for one in range(other)]
    return make_graph(tools, [(one, other, PARAMETER_PARAMETER, 0.5) for one, other in pairs])


def _letters(number: int) -> str:
    return (_letters(number // 26 - 1) if number >= 26 else "") + chr(ord("a") + number % 26)
