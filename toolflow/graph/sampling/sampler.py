"""Samplers draw the tool sets that dialogues are about."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain, islice, repeat
from typing import Protocol

from msgspec.structs import replace

from toolflow.catalog.tool import Tool
from toolflow.clock import derive_random
from toolflow.errors import GraphError
from toolflow.graph.graph import ToolGraph
from toolflow.graph.link import Link, Shape, ToolSet
from toolflow.graph.sampling.coverage import FEWEST_IN_ROUND, Round
from toolflow.graph.sampling.distractors import unrelated_tools
from toolflow.graph.sampling.link_finder import LinkFinder
from toolflow.graph.sampling.shapes import ShapeWeights
from toolflow.graph.sampling.terrain import survey

_KEPT = 2  # dialogues that are alive together lie in two rounds, and mostly in two batches
_AT_ONCE = 256


class Sampler(Protocol):
    """Draws tool sets; a pure function of what it was made from, the run's seed and the dialogue's index."""

    def sample(self, index: int) -> ToolSet:
        """The tool set of the dialogue of that index, from 0."""
        ...


@dataclass(frozen=True, slots=True)
class SizeRange:
    """How many tools a tool set has.

    Attributes:
        fewest: At least 1; for distractors at least 0.
        most: At least ``fewest``.
        weights: How often each size of the range is drawn, relative to the others; none: equally often.

    Raises:
        GraphError: The range is empty, or the weights do not fit it.
    """

    fewest: int = 3
    most: int = 7
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.fewest <= self.most:
            raise _impossible_range(self)
        if not self.weights:
            return
        sizes = self.most - self.fewest + 1
        sound = all(0 <= weight < float("inf") for weight in self.weights) and any(self.weights)
        if len(self.weights) != sizes or not sound:
            raise GraphError(
                f"these weights do not say how often sets of {self.fewest} to {self.most} tools are drawn: "
                f"{', '.join(map(str, self.weights))}",
                hint=f"Give {sizes} numbers of 0 or more, at least one of them above 0.",
            )

    def drawer(self, available: int) -> Callable[[random.Random], int]:
        """A function that draws a size, cut to what is available."""
        fewest, most = self.fewest, self.most
        if fewest == most:
            return lambda _generator: min(fewest, available)
        cumulative = list(accumulate(self.weights or [1.0] * (most - fewest + 1)))
        return lambda generator: min(
            fewest + bisect_right(cumulative, generator.random() * cumulative[-1], hi=most - fewest),
            available,
        )


_DEFAULT_SIZES = SizeRange()
_DEFAULT_SHAPES = ShapeWeights()
_NO_DISTRACTORS = SizeRange(0, 0)


class GraphSampler:
    """Draws along the links, so that the tools of a set belong together.

    Sets are drawn in shapes: walks, chains of results into calls, one producer with its consumers, one
    consumer with its producers. Whatever a shape leaves open a walk fills; it goes back along its trail when
    every neighbour is taken, and begins elsewhere when there is nothing left to reach. Over many sets every
    linked tool is used about equally often; without any link the sets are drawn from all tools. Near twins,
    copies of one tool, come into one set only where there is nothing else.

    Args:
        graph: The tools and their links.
        seed: The run's seed.
        sizes: How many tools a set has; a graph with fewer gives all it has.
        shapes: How often each shape is drawn.
        distractors: How many unrelated tools are offered beside the set.

    Raises:
        GraphError: The graph holds no tool.
    """

    def __init__(
        self,
        graph: ToolGraph,
        seed: int = 0,
        *,
        sizes: SizeRange = _DEFAULT_SIZES,
        shapes: ShapeWeights = _DEFAULT_SHAPES,
        distractors: SizeRange = _NO_DISTRACTORS,
    ) -> None:
        _check(graph.tools, sizes)
        self._graph = graph
        self._tools = graph.tools
        self._seed = seed
        self._terrain = survey(graph)
        self._finder = LinkFinder(graph)
        self._draw_distractors = distractors.drawer(len(graph.tools)) if distractors.most else None
        self._draw_size = sizes.drawer(len(graph.tools))
        self._draw_shape = _shape_drawer(shapes)
        self._in_round = -(-max(FEWEST_IN_ROUND, len(self._terrain.linked)) // _AT_ONCE)
        self._round = lru_cache(_KEPT)(self._make_round)
        self._batch = lru_cache(_KEPT)(self._make_batch)

    def sample(self, index: int) -> ToolSet:
        """The tool set of the dialogue of that index, from 0."""
        tool_set = self._batch(index // _AT_ONCE)[index % _AT_ONCE]
        if self._draw_distractors is None:
            return tool_set
        return self._with_distractors(index, tool_set)

    def _make_round(self, number: int) -> Round:
        generator = derive_random(self._seed, "tool sets", number)
        return Round(self._terrain, self._draw_size, self._draw_shape, generator)

    def _make_batch(self, number: int) -> list[ToolSet]:
        """Neighbouring sets: their links are found together, which costs a tenth."""
        of_round, number = divmod(number, self._in_round)
        drawn = self._round(of_round).sets(number * _AT_ONCE, (number + 1) * _AT_ONCE)
        links = self._finder.links_of_sets(drawn.tools, drawn.sizes)
        tools = map(self._tools.__getitem__, drawn.tools)
        sets = [tuple(islice(tools, size)) for size in drawn.sizes]
        return list(map(ToolSet, sets, links, repeat(()), drawn.shapes))

    def _with_distractors(self, index: int, tool_set: ToolSet) -> ToolSet:
        assert self._draw_distractors is not None
        generator = derive_random(self._seed, "distractors", index)
        count = self._draw_distractors(generator)
        tools = [self._graph.index(tool.name) for tool in tool_set.tools]
        others = unrelated_tools(self._terrain, tools, count, generator)
        return replace(tool_set, distractors=tuple([self._tools[tool] for tool in others]))


class UniformSampler:
    """Every tool is as likely as any other: the baseline that shows what the graph is worth.

    Args:
        catalogue: Tools with distinct names.
        seed: The run's seed.
        sizes: How many tools a set has; a catalogue with fewer gives all it has.
        distractors: How many further tools are offered beside the set.
        graph: Where the links between the drawn tools are looked up; without one a set has no links.

    Raises:
        GraphError: The catalogue holds no tool.
    """

    def __init__(
        self,
        catalogue: Iterable[Tool],
        seed: int = 0,
        *,
        sizes: SizeRange = _DEFAULT_SIZES,
        distractors: SizeRange = _NO_DISTRACTORS,
        graph: ToolGraph | None = None,
    ) -> None:
        self._tools = tuple(catalogue)
        _check(self._tools, sizes)
        self._seed = seed
        self._draw_size = sizes.drawer(len(self._tools))
        self._draw_distractors = distractors.drawer(len(self._tools))
        self._finder = None if graph is None else LinkFinder(graph)
        self._links = lru_cache(_KEPT)(self._find_links)

    def sample(self, index: int) -> ToolSet:
        """The tool set of the dialogue of that index, from 0."""
        tools, others = self._draw(index)
        links = () if self._finder is None else self._links(index // _AT_ONCE)[index % _AT_ONCE]
        return ToolSet(
            tuple([self._tools[tool] for tool in tools]), links, tuple([self._tools[tool] for tool in others])
        )

    def _draw(self, index: int) -> tuple[Sequence[int], Sequence[int]]:
        """The tools of a set, and its distractors."""
        generator = derive_random(self._seed, "tool set", index)
        size = self._draw_size(generator)
        both = min(size + self._draw_distractors(generator), len(self._tools))
        drawn = generator.sample(range(len(self._tools)), both)
        return drawn[:size], drawn[size:]

    def _find_links(self, part: int) -> list[tuple[Link, ...]]:
        """Those of some neighbouring sets, found together."""
        assert self._finder is not None
        sets = [self._draw(index)[0] for index in range(part * _AT_ONCE, (part + 1) * _AT_ONCE)]
        return self._finder.links_of_sets(list(chain.from_iterable(sets)), list(map(len, sets)))


def _shape_drawer(weights: ShapeWeights) -> Callable[[random.Random], Shape]:
    shapes, cumulative = zip(*weights.cumulative().items(), strict=True)
    last = len(shapes) - 1
    return lambda generator: shapes[bisect_right(cumulative, generator.random() * cumulative[-1], hi=last)]


def _check(tools: Sequence[Tool], sizes: SizeRange) -> None:
    if not tools:
        raise GraphError("there is no tool to sample", hint="Give a catalogue that holds at least one tool.")
    if sizes.fewest < 1:
        raise _impossible_range(sizes)


def _impossible_range(sizes: SizeRange) -> GraphError:
    return GraphError(
        f"a tool set cannot have from {sizes.fewest} to {sizes.most} tools",
        hint="The fewest must be at least 1, and the most no less than that.",
    )
