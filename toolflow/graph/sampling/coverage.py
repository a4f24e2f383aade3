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
from itertools import count, islice, pairwise
from typing import NamedTuple

from toolflow.graph.link import Shape
from toolflow.graph.sampling.drawer import Drawer
from toolflow.graph.sampling.terrain import Terrain

FEWEST_IN_ROUND = 8_192
"""So many sets are drawn in some 0.3 s, where a run is continued at the end of a round. Rounds of 65,536
balance no better: over 40,000 sets the uses of 4,255 tools vary by 21.0 % of their mean, here by 20.8 %."""

# After so many sets a linked tool the neighbours to look at are drawn anew.
_SETS_A_LOOK = 2


class DrawnSets(NamedTuple):
    """Tool sets one after another.

    Attributes:
        tools: The indices of their tools, set by set.
        sizes: How many tools each has.
        shapes: The shape each was drawn in.
    """

    tools: Sequence[int]
    sizes: Sequence[int]
    shapes: Sequence[Shape]


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
        self._sets = self._draw()
        self._tools = array("i")  # of all sets, as one object: sets of their own take five times the memory
        self._bounds = array("i", [0])
        self._shapes: list[Shape] = []

    def sets(self, first: int, end: int) -> DrawnSets:
        """The sets at positions ``first`` up to ``end``; those before them are drawn first."""
        tools, bounds, shapes = self._tools, self._bounds, self._shapes
        for drawn, shape in islice(self._sets, max(0, end - len(shapes))):
            tools.extend(drawn)
            bounds.append(len(tools))
            shapes.append(shape)
        sizes = [after - before for before, after in pairwise(bounds[first : end + 1])]
        return DrawnSets(tools[bounds[first] : bounds[end]], sizes, shapes[first:end])

    def _draw(self) -> Iterator[tuple[Sequence[int], Shape]]:
        """Sets that begin with tools not used before, then with tools used once, and so on."""
        generator, draw_size, draw_shape = self._generator, self._draw_size, self._draw_shape
        drawer, linked = Drawer(self._terrain, generator), self._terrain.linked
        used, since = drawer.used, 0
        for pace in count():
            drawer.keep_pace(pace)
            starts = [tool for tool in linked if used[tool] <= pace]
            generator.shuffle(starts)
            for start in starts:
                if used[start] > pace:
                    continue
                if since == _SETS_A_LOOK * len(linked):
                    drawer.look_ahead()
                    since = 0
                since += 1
                yield drawer.draw(start, draw_size(generator), draw_shape(generator))
