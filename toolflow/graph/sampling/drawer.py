"""How a tool set of a shape is drawn."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from toolflow.graph.link import Shape
from toolflow.graph.sampling.looks import DRAWN, LOOKS, ROW, Looks, look_ahead
from toolflow.graph.sampling.terrain import Terrain

# After a step the walk goes back to its first tool this often: sets gather around a tool rather than drift.
_RESTART = 0.15
# Of the neighbours that are looked at the first is taken that is ahead of the pace by no more than this; then
# the least used, unless it is far ahead: such a hub is only for sets that have no other way on.
_AHEAD = 1
_FAR_AHEAD = 2
# So many tools are tried at random before all are searched for one that may be taken.
_TRIES = 8
# Added to the use of the set's own tools, while it is drawn.
_TAKEN = 1 << 30
# A set shows a shape from so many tools on: two tools and a link are a pair, whatever was wanted.
_FEWEST_IN_SHAPE = 3


class Drawer:
    """Draws tool sets one after the other, each knowing how often every tool was used before.

    Args:
        terrain: Where they may lead.
        generator: Where randomness comes from.

    Attributes:
        used: How often each tool was used; tools that were used less are taken rather.
    """

    def __init__(self, terrain: Terrain, generator: random.Random) -> None:
        self.used = [0] * len(terrain)
        self._terrain = terrain
        self._generator = generator
        self._random = generator.random
        self._even = _AHEAD
        self._limit = _FAR_AHEAD
        self._size = 0
        self._tools: list[int] = []
        self._everything = array("i", range(len(terrain)))
        self._kind = terrain.kind
        self._copied = terrain.copied
        self._barred: set[int] = set()  # kinds of which no further tool may be taken
        self.look_ahead()

    def look_ahead(self) -> None:
        """Draw anew which neighbours are looked at; too seldom, and some are never taken."""
        terrain = self._terrain
        self._along, self._forward, self._backward = (
            look_ahead(steps, self._generator) for steps in (terrain.along, terrain.forward, terrain.backward)
        )

    def keep_pace(self, pace: int) -> None:
        """Every tool was used so often at least; such as are far ahead of it are left out where possible."""
        self._even = pace + _AHEAD
        self._limit = pace + _FAR_AHEAD

    def draw(self, start: int, size: int, shape: Shape) -> tuple[Sequence[int], Shape]:
        """Draw a set.

        Args:
            start: Its first tool.
            size: How many tools are wanted, at most as many as there are.
            shape: The shape that is wanted.

        Returns:
            The tools in the order in which they belong together, and the shape that came out of it; a walk,
            where the links around the first tool do not give the other.
        """
        tools: list[int] = []
        self._tools, self._size = tools, size
        self._copied, self._barred = self._terrain.copied, set()
        if shape == "chain":
            self._chain(start)
        elif shape == "fan-out":
            self._star(start, self._forward, self._backward)
        elif shape == "merge":
            self._star(start, self._backward, self._forward)
        else:
            self._take(start)
        shaped = len(tools)
        if shaped < size:
            self._walk(tools[-1])
            while len(tools) < size:
                self._take(elsewhere := self._elsewhere())
                self._walk(elsewhere)
        for tool in tools:
            self.used[tool] += 1 - _TAKEN
        return tools, shape if 1 < shaped >= min(_FEWEST_IN_SHAPE, size) else "walk"

    def _take(self, tool: int) -> None:
        self._tools.append(tool)
        self._bar(tool)

    def _take_first(self, tool: int) -> None:
        self._tools.insert(0, tool)
        self._bar(tool)

    def _bar(self, tool: int) -> None:
        """Let neither a tool be taken again nor one of its near twins, of which there may be thousands."""
        self.used[tool] += _TAKEN
        if tool in self._copied:
            self._barred.add(self._kind[tool])

    def _chain(self, start: int) -> None:
        """Consumers of the last tool; where there is none, producers of the first."""
        self._take(start)
        forward, backward = self._forward, self._backward
        while len(self._tools) < self._size:
            after = self._step(forward, self._tools[-1])
            if after is not None:
                self._take(after)
                continue
            before = self._step(backward, self._tools[0])
            if before is None:
                return
            self._take_first(before)

    def _star(self, start: int, out: Looks, back: Looks) -> None:
        """Tools around one centre: the start, or where nothing leads on from it, one that leads to it."""
        self._take(start)
        centre = start
        if len(self._tools) < self._size and out.drawn[start * ROW] < 0:
            found = self._step(back, start)
            if found is None:
                return
            centre = found
            self._take_first(centre)
        while len(self._tools) < self._size:
            tool = self._step(out, centre)
            if tool is None:
                return
            self._take(tool)

    def _walk(self, tool: int) -> None:
        """Step on from a tool, and back along the trail where every neighbour is taken."""
        self._follow([*self._tools, tool])
        if len(self._tools) < self._size:
            limit, self._limit = self._limit, _TAKEN - 1
            self._follow(self._tools.copy())
            self._limit = limit

    def _follow(self, trail: list[int]) -> None:
        along, tools, size = self._along, self._tools, self._size
        anchor = tools[0]
        while trail and len(tools) < size:
            reached = self._step(along, trail[-1])
            if reached is None:
                trail.pop()
                continue
            self._take(reached)
            trail.append(reached)
            if self._random() < _RESTART:
                trail.append(anchor)

    def _step(self, looks: Looks, tool: int) -> int | None:
        """A neighbour that may be taken, rather one that was used less; None if none may be."""
        first = tool * ROW + int(self._random() * DRAWN)
        looked_at = looks.drawn[first : first + LOOKS]
        if looked_at[0] < 0:
            return None
        used, even, limit = self.used, self._even, self._limit
        kind, barred = self._kind, self._barred
        found, least = None, limit + 1
        for other in looked_at:
            uses = used[other]
            if uses < least and not (barred and kind[other] in barred):
                if uses <= even:
                    return other
                found, least = other, uses
        if found is not None:
            return found
        steps = looks.steps
        begin, others, strength = steps.start[tool], steps.other, steps.strength
        reached = others[begin : steps.start[tool + 1]]
        uses_of_all = list(map(used.__getitem__, reached))
        if min(uses_of_all) > limit or (barred and barred.issuperset(map(kind.__getitem__, reached))):
            return None
        free = [step for step, uses in enumerate(uses_of_all, begin) if uses <= limit]
        if barred:
            free = [step for step in free if kind[others[step]] not in barred]
        if not free:
            return None
        # A strength may vanish beside others in a sum: every step must stay possible.
        before = list(accumulate([max(strength[step + 1] - strength[step], 1e-12) for step in free]))
        return others[free[bisect_right(before, self._random() * before[-1], 0, len(free) - 1)]]

    def _elsewhere(self) -> int:
        """A tool that nothing leads to: a linked one, else an isolated one, else near twins are let in."""
        everything = self._everything
        if self._copied is self._terrain.copied and len(self._tools) < self._terrain.distinct:
            for pool in (self._terrain.linked, everything):
                tool = self._any_of(pool)
                if tool is not None:
                    return tool
        self._copied, self._barred = frozenset(), set()
        # Near twins that links lead to come before those that none leads to.
        for tool in self._tools:
            reached = self._step(self._along, tool)
            if reached is not None:
                return reached
        tool = self._any_of(everything)
        assert tool is not None, "size is at most the number of tools"
        return tool

    def _any_of(self, pool: array[int]) -> int | None:
        used, kind, barred = self.used, self._kind, self._barred
        for _ in range(_TRIES):
            tool = pool[int(self._random() * len(pool))]
            if used[tool] < _TAKEN and kind[tool] not in barred:
                return tool
        # Of thousands of near twins one bars all: a search of them one by one would take longer than the set.
        tools = np.frombuffer(pool, dtype=np.intc)
        kinds = np.frombuffer(kind, dtype=np.intc)[tools]
        free = np.flatnonzero(~np.isin(kinds, list(barred)) & ~np.isin(tools, self._tools))
        return pool[free[int(self._random() * len(free))]] if len(free) else None
