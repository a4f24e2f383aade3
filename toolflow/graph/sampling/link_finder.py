"""Finds the links that join the tools of many tool sets at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

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
        return self.links_of_sets(tools, [len(tools)])[0]

    def links_of_sets(self, tools: Sequence[int], sizes: Sequence[int]) -> list[tuple[Link, ...]]:
        """The same for each of many sets, in their order.

        Args:
            tools: The tools of all sets, set by set.
            sizes: How many each has; below 2³⁰ tools and sets in all.
        """
        everything, sets = len(self._names), len(sizes)
        owner = np.repeat(np.arange(sets), sizes)
        tool = np.sort(owner * everything + np.asarray(tools, dtype=np.int64)) % everything
        wanted: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
        for apart in range(1, max(sizes, default=0)):
            first = np.flatnonzero(owner[apart:] == owner[:-apart])
            wanted.append((tool[first] * everything + tool[first + apart]) * sets + owner[first])
        # Sorted, as a search for neighbours one after the other finds them in the processor's cache.
        pair, owner = np.divmod(np.sort(np.concatenate(wanted)), sets)
        place = np.searchsorted(self._pair[:-1], pair)
        linked = np.flatnonzero(self._pair[place] == pair)
        place = place[linked]
        entry, of = ranges(self._first[place], self._first[place + 1])
        everything = max(len(self._link), 1)
        owner, link = np.divmod(np.sort(owner[linked[of]] * everything + self._link[entry]), everything)
        links = self._named(link)
        bounds = np.searchsorted(owner, np.arange(sets + 1)).tolist()
        return [tuple(links[begin:end]) for begin, end in pairwise(bounds)]

    def _named(self, link: NDArray[np.intp]) -> list[Link]:
        table, name, path = self._table, self._names.__getitem__, self._table.paths.__getitem__
        return list(
            map(
                Link,
                map(name, table.from_tool[link].tolist()),
                map(name, table.to_tool[link].tolist()),
                map(KINDS.__getitem__, table.kind[link].tolist()),
                map(path, table.from_path[link].tolist()),
                map(path, table.to_path[link].tolist()),
                np.round(table.weight[link].astype(np.float64), 4).tolist(),
            )
        )
