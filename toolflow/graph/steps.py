"""Where one may step from each tool, and which links join tools: a graph made ready for fast drawing.

Plain arrays that give Python numbers: a NumPy scalar costs more than the step it is read for.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolflow.graph.field_table import starts
from toolflow.graph.graph import ToolGraph
from toolflow.graph.link import Link
from toolflow.graph.link_table import KINDS

Integers = NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """The steps that lead on from each tool, each with a strength.

    Attributes:
        start: The steps of tool t are ``start[t]`` up to ``start[t + 1]``, ordered by where they lead.
        other: The tool a step leads to; every one of a tool's steps leads to another.
        strength: The strengths of all steps before a step, summed; one longer than ``other``. A random number
            between those at a tool's first and last step falls to a step as often as it is strong.
    """

    start: array[int]
    other: array[int]
    strength: array[float]


def make_steps(source: Integers, target: Integers, strength: NDArray[np.float64], tools: int) -> Steps:
    """Index steps; the strengths of those that join the same two tools add up.

    Args:
        source: Where each step begins, shape (steps,).
        target: Where it leads to, shape (steps,).
        strength: How strong it is, above 0, shape (steps,).
        tools: How many tools there are.
    """
    order = np.lexsort((target, source))
    source, target, strength = source[order], target[order], strength[order]
    first = _firsts(source, target)
    source, target = source[first], target[first]
    summed = np.add.reduceat(strength, first) if len(first) else strength
    # Relative to the strongest of its tool, a strength loses nothing in a sum over all tools.
    strongest = np.zeros(tools)
    np.maximum.at(strongest, source, summed)
    relative = summed / strongest[source]
    return Steps(
        array("q", starts(np.bincount(source, minlength=tools)).tolist()),
        array("i", target.tolist()),
        array("d", [0.0, *np.cumsum(relative).tolist()]),
    )


class LinkFinder:
    """Finds the links among a few tools in microseconds.

    Args:
        graph: The tools and their links.
    """

    def __init__(self, graph: ToolGraph) -> None:
        table = graph.table
        low = np.minimum(table.from_tool, table.to_tool)
        high = np.maximum(table.from_tool, table.to_tool)
        order = np.lexsort((high, low))
        low, high = low[order], high[order]
        first = _firsts(low, high)
        tools = len(graph.tools)
        self._start = array("q", starts(np.bincount(low[first], minlength=tools)).tolist())
        self._other = array("i", high[first].tolist())
        self._first = array("q", [*first.tolist(), len(order)])
        self._link = array("i", order.tolist())
        self._names = [tool.name for tool in graph.tools]
        self._paths = table.paths
        self._kind = array("B", table.kind.tolist())
        self._from_tool = array("i", table.from_tool.tolist())
        self._to_tool = array("i", table.to_tool.tolist())
        self._from_path = array("i", table.from_path.tolist())
        self._to_path = array("i", table.to_path.tolist())
        self._weight = array("d", np.round(table.weight.astype(np.float64), 4).tolist())

    def links_among(self, tools: Iterable[int]) -> tuple[Link, ...]:
        """The links whose ends are both among tools given by their indices, strongest first."""
        ordered = sorted(tools)
        start, other, first = self._start, self._other, self._first
        found: list[int] = []
        for position, low in enumerate(ordered, 1):
            begin, end = start[low], start[low + 1]
            for high in ordered[position:]:
                begin = bisect_left(other, high, begin, end)
                if begin == end:
                    break
                if other[begin] == high:
                    found.extend(self._link[first[begin] : first[begin + 1]])
        found.sort()
        names, paths, kind, weight = self._names, self._paths, self._kind, self._weight
        from_tool, to_tool, from_path, to_path = (
            self._from_tool,
            self._to_tool,
            self._from_path,
            self._to_path,
        )
        return tuple(
            [
                Link(
                    names[from_tool[link]],
                    names[to_tool[link]],
                    KINDS[kind[link]],
                    paths[from_path[link]],
                    paths[to_path[link]],
                    weight[link],
                )
                for link in found
            ]
        )


def _firsts(low: Integers, high: Integers) -> NDArray[np.intp]:
    """Where each pair begins in sorted pairs."""
    new = np.ones(len(low), dtype=bool)
    new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    return np.flatnonzero(new)
