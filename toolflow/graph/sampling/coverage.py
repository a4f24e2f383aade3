"""Coverage: over a run every tool that can be reached is used about equally often.

The sets of a run come in rounds. In a round they are drawn one after the other, each knowing how often every
tool was used in it so far: the tools used least begin the sets, and of several neighbours the one used least
is taken. A round begins with nothing used, so that its sets depend on its number and the seed alone: the set
of any dialogue is known without those of other rounds, in whatever order dialogues are played.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from toolflow.graph.link import Shape
from toolflow.graph.sampling.shapes import Draft
from toolflow.graph.sampling.terrain import Terrain

FEWEST_IN_ROUND = 65_536
"""The longer a round, the better it balances; so many sets are drawn in about two seconds, where a run is
continued at the end of a round, and take some 7 MB."""


class DrawnSet(NamedTuple):
    """The indices of a set's tools, and the shape they were drawn in."""

    tools: Sequence[int]
    shape: Shape


class Round:
    """The sets of one round, drawn as far as they were asked for.

    Args:
        terrain: What is drawn from.
        draw_size: Gives the size of each set, at most the number of tools.
        draw_shape: Gives the shape of each set.
        generator: The round's own; nothing else may draw from it.
    """

    def __init__(
        self,
        terrain: Terrain,
        draw_size: Callable[[random.Random], int],
        draw_shape: Callable[[random.Random], Shape],
        generator: random.Random,
    ) -> None:
        self._terrain = terrain
        self._draw_size = draw_size
        self._draw_shape = draw_shape
        self._generator = generator
        self._used = [0] * len(terrain)
        self._pace = 0
        self._starts = self._begin()
        self._drawn: list[array[int]] = []  # arrays are small, and the garbage collector passes them by
        self._shapes: list[Shape] = []

    def __getitem__(self, positions: slice) -> list[DrawnSet]:
        """The sets at some positions; those before them are drawn first."""
        while len(self._drawn) < positions.stop:
            self._draw()
        return list(map(DrawnSet, self._drawn[positions], self._shapes[positions]))

    def _draw(self) -> None:
        start = next(self._starts)
        generator, used = self._generator, self._used
        size, shape = self._draw_size(generator), self._draw_shape(generator)
        draft = Draft(self._terrain, used, self._pace, generator, size)
        self._shapes.append(draft.draw(shape, start))
        self._drawn.append(array("i", draft.tools))
        for tool in draft.tools:
            used[tool] += 1

    def _begin(self) -> Iterator[int]:
        """Tools to begin sets with: all that were not used, then all that were used once, and so on."""
        order = list(self._terrain.linked)
        while True:
            self._generator.shuffle(order)
            for tool in order:
                if self._used[tool] <= self._pace:
                    yield tool
            self._pace += 1
