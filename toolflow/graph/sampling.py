"""Samplers draw the tool sets that dialogues are about."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from toolflow.catalog.tool import Tool
from toolflow.clock import derive_random
from toolflow.errors import GraphError
from toolflow.graph.graph import ToolGraph
from toolflow.graph.link import ToolSet
from toolflow.graph.link_table import RETURN_PARAMETER

# After a step the walk goes back to its first tool this often: sets gather around a tool rather than drift.
_RESTART = 0.15
# Strong links are followed far more often than weak ones, however many of these there are; and links that
# carry a result into a call more often than shared parameters: they make one turn depend on another.
_SHARPNESS = 3
_FLOW_PREFERENCE = 4


class Sampler(Protocol):
    """Draws tool sets; a pure function of what it was made from and the seed."""

    def sample(self, seed: int) -> ToolSet:
        """The tool set of that seed."""
        ...


@dataclass(frozen=True, slots=True)
class SizeRange:
    """How many tools a tool set has; every size in the range is equally likely.

    Attributes:
        fewest: At least 1.
        most: At least ``fewest``.

    Raises:
        GraphError: The range is empty.
    """

    fewest: int = 3
    most: int = 7

    def __post_init__(self) -> None:
        if not 1 <= self.fewest <= self.most:
            raise GraphError(
                f"a tool set cannot have from {self.fewest} to {self.most} tools",
                hint="The fewest must be at least 1, and the most no less than that.",
            )

    def draw(self, generator: random.Random) -> int:
        """One size."""
        return generator.randint(self.fewest, self.most)


_DEFAULT_SIZES = SizeRange()


class GraphSampler:
    """Random walks along the links, so that the tools of a set belong together.

    A walk begins at any linked tool and steps to tools that are not yet taken, the likelier the stronger the
    links between both. It goes back along its trail when every neighbour is taken, and begins elsewhere when
    there is nothing left to reach. Without any link the sets are uniform.

    Args:
        graph: The tools and their links.
        sizes: How many tools a set has; a graph with fewer gives all it has.

    Raises:
        GraphError: The graph holds no tool.
    """

    def __init__(self, graph: ToolGraph, sizes: SizeRange = _DEFAULT_SIZES) -> None:
        if not graph.tools:
            raise _no_tools()
        self._graph = graph
        self._sizes = sizes
        table, adjacency = graph.table, graph.adjacency
        strength = table.weight.astype(np.float64) ** _SHARPNESS
        strength[table.kind == RETURN_PARAMETER] *= _FLOW_PREFERENCE
        self._strength = strength[adjacency.link]
        self._all: Sequence[int] = range(len(graph.tools))
        self._linked: Sequence[int] = np.flatnonzero(np.diff(adjacency.start)).tolist()

    def sample(self, seed: int) -> ToolSet:
        """The tool set of that seed."""
        generator = derive_random(seed, "tool set")
        size = min(self._sizes.draw(generator), len(self._graph.tools))
        taken: dict[int, None] = {}
        while len(taken) < size:
            start = _draw_new(self._linked, taken, generator)
            if start is None:
                start = _draw_new(self._all, taken, generator)
            assert start is not None, "size is at most the number of tools"
            self._walk(start, size, taken, generator)
        return _tool_set(self._graph.tools, taken, self._graph)

    def _walk(self, start: int, size: int, taken: dict[int, None], generator: random.Random) -> None:
        """Take tools until there are ``size`` of them or the walk has nowhere to go."""
        taken[start] = None
        trail = [start]
        while trail and len(taken) < size:
            tool = self._step(trail[-1], taken, generator)
            if tool is None:
                trail.pop()
                continue
            taken[tool] = None
            trail.append(tool)
            if generator.random() < _RESTART:
                trail.append(start)

    def _step(self, tool: int, taken: Collection[int], generator: random.Random) -> int | None:
        """A neighbour that is not taken, or None; several links to one add up."""
        adjacency = self._graph.adjacency
        begin, end = adjacency.start[tool], adjacency.start[tool + 1]
        strengths = self._strength[begin:end].tolist()
        free = [
            (other, strength)
            for other, strength in zip(adjacency.other[begin:end].tolist(), strengths, strict=True)
            if other not in taken
        ]
        if not free:
            return None
        others, weights = zip(*free, strict=True)
        chosen: int = generator.choices(others, weights)[0]
        return chosen


class UniformSampler:
    """Every tool is as likely as any other: the baseline that shows what the graph is worth.

    Args:
        catalogue: Tools with distinct names.
        sizes: How many tools a set has; a catalogue with fewer gives all it has.
        graph: Where the links between the drawn tools are looked up; without one a set has no links.

    Raises:
        GraphError: The catalogue holds no tool.
    """

    def __init__(
        self, catalogue: Iterable[Tool], sizes: SizeRange = _DEFAULT_SIZES, graph: ToolGraph | None = None
    ) -> None:
        self._tools = tuple(catalogue)
        if not self._tools:
            raise _no_tools()
        self._sizes = sizes
        self._graph = graph

    def sample(self, seed: int) -> ToolSet:
        """The tool set of that seed."""
        generator = derive_random(seed, "tool set")
        size = min(self._sizes.draw(generator), len(self._tools))
        return _tool_set(self._tools, generator.sample(range(len(self._tools)), size), self._graph)


def _draw_new(tools: Sequence[int], taken: Collection[int], generator: random.Random) -> int | None:
    """One of the tools that is not taken, each as likely; None if all are."""
    # One more than are taken: at least one of them is new.
    drawn = generator.sample(tools, min(len(taken) + 1, len(tools)))
    return next((tool for tool in drawn if tool not in taken), None)


def _tool_set(tools: Sequence[Tool], drawn: Iterable[int], graph: ToolGraph | None) -> ToolSet:
    chosen = tuple(tools[index] for index in drawn)
    links = () if graph is None else graph.links_among(tool.name for tool in chosen)
    return ToolSet(chosen, links)


def _no_tools() -> GraphError:
    return GraphError("there is no tool to sample", hint="Give a catalogue that holds at least one tool.")
