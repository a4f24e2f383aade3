"""How a tool set of a shape is drawn."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

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
# Added to the use of tools that may not be taken (again), while a set is drawn.
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
        self._twins: Mapping[int, Sequence[int]] = terrain.twins
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
        self._free()
        for tool in tools:
            self.used[tool] += 1
        return tools, shape if shaped >= min(_FEWEST_IN_SHAPE, size) else "walk"

    def _take(self, tool: int) -> None:
        self._tools.append(tool)
        self._bar(tool, _TAKEN)

    def _take_first(self, tool: int) -> None:
        self._tools.insert(0, tool)
        self._bar(tool, _TAKEN)

    def _bar(self, tool: int, uses: int) -> None:
        """Count so many uses of a tool and its near twins: of none of them, or of all."""
        if tool in self._twins:
            for same in self._twins[tool]:
                self.used[same] += uses
        else:
            self.used[tool] += uses

    def _free(self) -> None:
        """Let all be taken again that were barred."""
        for tool in self._tools:
            self._bar(tool, -_TAKEN)
        self._twins = self._terrain.twins

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
        """A neighbour that is not taken, rather one that was used less; None if all are taken."""
        first = tool * ROW + int(self._random() * DRAWN)
        looked_at = looks.drawn[first : first + LOOKS]
        if looked_at[0] < 0:
            return None
        used, even, limit = self.used, self._even, self._limit
        found, least = None, limit + 1
        for other in looked_at:
            uses = used[other]
            if uses <= even:
                return other
            if uses < least:
                found, least = other, uses
        if found is not None:
            return found
        steps = looks.steps
        begin, others, strength = steps.start[tool], steps.other, steps.strength
        uses_of_all = list(map(used.__getitem__, others[begin : steps.start[tool + 1]]))
        if min(uses_of_all) > limit:
            return None
        free = [step for step, uses in enumerate(uses_of_all, begin) if uses <= limit]
        # A strength may vanish beside others in a sum: every step must stay possible.
        before = list(accumulate([max(strength[step + 1] - strength[step], 1e-12) for step in free]))
        return others[free[bisect_right(before, self._random() * before[-1], 0, len(free) - 1)]]

    def _elsewhere(self) -> int:
        """A tool that nothing leads to: a linked one, else an isolated one, else near twins are let in."""
        everything = range(len(self._terrain))
        if self._twins is self._terrain.twins and len(self._tools) < self._terrain.distinct:
            for pool in (self._terrain.linked, everything):
                tool = self._any_of(pool)
                if tool is not None:
                    return tool
        self._free()
        self._twins = {}
        for tool in self._tools:
            self._bar(tool, _TAKEN)
        # Near twins that links lead to come before those that none leads to.
        for tool in self._tools:
            reached = self._step(self._along, tool)
            if reached is not None:
                return reached
        tool = self._any_of(everything)
        assert tool is not None, "size is at most the number of tools"
        return tool

    def _any_of(self, pool: Sequence[int]) -> int | None:
        used = self.used
        for _ in range(_TRIES):
            tool = pool[int(self._random() * len(pool))]
            if used[tool] < _TAKEN:
                return tool
        free = [tool for tool in pool if used[tool] < _TAKEN]
        return free[int(self._random() * len(free))] if free else None
