"""Finds the links that join the tools of many tool sets at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from toolflow.graph.graph import ToolGraph
from toolflow.graph.link import Link
from toolflow.graph.linking.link_table import KINDS
from toolflow.graph.linking.matches import ranges


class LinkFinder:
    """Finds the links among the tools of sets: a few microseconds a set, where there are many.

    Args:
        graph: The tools and their links.
    """

    def __init__(self, graph: ToolGraph) -> None:
        table = graph.table
        low = np.minimum(table.from_tool, table.to_tool).astype(np.int64)
        pair = low * len(graph) + np.maximum(table.from_tool, table.to_tool)
        # Stable: the links of a pair stay as they stand in the table, strongest first.
        self._link = np.argsort(pair, kind="stable")
        pairs, first = np.unique(pair[self._link], return_index=True)
        self._pair = np.append(pairs, -1)  # what is sought beyond the last is not found
        self._first = np.append(first, len(pair))
        self._table = table
        self._names = [tool.name for tool in graph.tools]

    def links_among(self, tools: Sequence[int]) -> tuple[Link, ...]:
        """The links whose ends are both among tools given by their indices, strongest first."""
        return self.links_of_sets([tools])[0]

    def links_of_sets(self, sets: Sequence[Sequence[int]]) -> list[tuple[Link, ...]]:
        """The same for each of many sets, in their order."""
        sizes = [len(tools) for tools in sets]
        owner = np.repeat(np.arange(len(sets)), sizes)
        tool = np.fromiter(chain.from_iterable(sets), dtype=np.int64, count=len(owner))
        everything = len(self._names)
        tool = np.sort(owner * everything + tool) % everything
        firsts: list[NDArray[np.intp]] = [np.zeros(0, dtype=np.intp)]
        pairs: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
        for apart in range(1, max(sizes, default=0)):
            first = np.flatnonzero(owner[apart:] == owner[:-apart])
            firsts.append(first)
            pairs.append(tool[first] * everything + tool[first + apart])
        wanted = np.concatenate(pairs)
        place = np.searchsorted(self._pair[:-1], wanted)
        linked = np.flatnonzero(self._pair[place] == wanted)
        place = place[linked]
        entry, of = ranges(self._first[place], self._first[place + 1])
        owner, link = owner[np.concatenate(firsts)[linked[of]]], self._link[entry]
        order = np.lexsort((link, owner))
        links = self._named(link[order])
        bounds = np.searchsorted(owner[order], np.arange(len(sets) + 1)).tolist()
        return [tuple(links[begin:end]) for begin, end in pairwise(bounds)]

    def _named(self, link: NDArray[np.intp]) -> list[Link]:
        table, names, paths = self._table, self._names, self._table.paths
        columns = (table.from_tool, table.to_tool, table.kind, table.from_path, table.to_path)
        weights = np.round(table.weight[link].astype(np.float64), 4).tolist()
        return [
            Link(names[start], names[end], KINDS[kind], paths[from_path], paths[to_path], weight)
            for start, end, kind, from_path, to_path, weight in zip(
                *(column[link].tolist() for column in columns), weights, strict=True
            )
        ]
