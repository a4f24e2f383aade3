"""Who is linked to whom, in compressed sparse rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolflow.graph.linking.field_table import Ints, starts
from toolflow.graph.linking.link_table import LinkTable


@dataclass(frozen=True, slots=True, eq=False)
class Adjacency:
    """The ends of links, tool by tool; every link is there twice, once at either end.

    Attributes:
        start: Ends at tool t are ``start[t]`` up to ``start[t + 1]``, strongest first, shape (tools + 1,).
        other: The tool at the other end, shape (ends,).
        link: The link's index in its table, shape (ends,).
    """

    start: Ints
    other: Ints
    link: Ints

    def links_of(self, tool: int) -> Ints:
        """Indices of the links of a tool, strongest first."""
        return self.link[self.start[tool] : self.start[tool + 1]]

    def others_of(self, tool: int) -> Ints:
        """The tools at the other ends of those links; one with several links is there several times."""
        return self.other[self.start[tool] : self.start[tool + 1]]

    def degrees(self) -> NDArray[np.int64]:
        """How many distinct tools each tool is linked to, shape (tools,)."""
        tools = len(self.start) - 1
        tool = np.repeat(np.arange(tools, dtype=np.int64), np.diff(self.start))
        pairs = np.unique(tool * max(tools, 1) + self.other)
        return np.bincount(pairs // max(tools, 1), minlength=tools)

    def components(self) -> NDArray[np.int64]:
        """A number for each tool, shape (tools,); equal for tools that links join, also through others."""
        tools = len(self.start) - 1
        component = np.full(tools, -1, dtype=np.int64)
        for first in range(tools):
            if component[first] >= 0:
                continue
            component[first] = first
            reached = [first]
            while reached:
                others = self.others_of(reached.pop())
                new = np.unique(others[component[others] < 0])
                component[new] = first
                reached.extend(new.tolist())
        return component


def make_adjacency(table: LinkTable, tools: int) -> Adjacency:
    """Index the links of a table over that many tools."""
    tool = np.concatenate([table.from_tool, table.to_tool])
    other = np.concatenate([table.to_tool, table.from_tool])
    link = np.tile(np.arange(len(table), dtype=np.int32), 2)
    order = np.lexsort((link, tool))
    return Adjacency(starts(np.bincount(tool, minlength=tools)), other[order], link[order])
