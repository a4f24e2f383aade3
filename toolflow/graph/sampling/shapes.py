"""The shapes of tool sets, and how a set of a shape is drawn."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import accumulate

from toolflow.errors import GraphError
from toolflow.graph.link import Shape
from toolflow.graph.sampling.steps import Steps
from toolflow.graph.sampling.terrain import Terrain

# After a step the walk goes back to its first tool this often: sets gather around a tool rather than drift.
_RESTART = 0.15
# So many neighbours are looked at for one that is ahead of the pace by no more than this; then the least
# used is taken, unless it is far ahead: such a hub is only for sets that have no other way on.
_LOOKS = 4
_AHEAD = 1
_FAR_AHEAD = 2
# So many tools are tried at random before all are searched for one that may be taken.
_TRIES = 8
# A set shows a shape from so many tools on: two tools and a link are a pair, whatever was wanted.
_FEWEST_IN_SHAPE = 3


@dataclass(frozen=True, slots=True)
class ShapeWeights:
    """How often tool sets are drawn in each shape, relative to each other.

    Attributes:
        walk: A random walk along links of any kind.
        chain: Each tool's result goes into the next one's call.
        fan_out: One tool's result goes into the calls of the others.
        merge: The results of the others go into one tool's call.

    Raises:
        GraphError: A weight is negative or not finite, or all are 0.
    """

    walk: float = 4
    chain: float = 3
    fan_out: float = 1.5
    merge: float = 1.5

    def __post_init__(self) -> None:
        weights = [getattr(self, field.name) for field in fields(self)]
        if not (all(0 <= weight < float("inf") for weight in weights) and any(weights)):
            raise GraphError(
                f"tool sets cannot be drawn in shapes of the weights {', '.join(map(str, weights))}",
                hint="Weights are 0 or more, and at least one is above 0.",
            )

    @classmethod
    def only(cls, shape: Shape) -> ShapeWeights:
        """Every set in one shape."""
        return cls(**{field.name: float(field.name == shape.replace("-", "_")) for field in fields(cls)})

    def cumulative(self) -> dict[Shape, float]:
        """The weight of each shape and of those before it."""
        weights = accumulate((self.walk, self.chain, self.fan_out, self.merge))
        shapes: tuple[Shape, ...] = ("walk", "chain", "fan-out", "merge")
        return dict(zip(shapes, weights, strict=True))


class Draft:
    """A tool set that is being drawn.

    Args:
        terrain: Where it may lead.
        used: How often each tool was used; tools that were used less are taken rather.
        pace: How often every tool was used at least.
        generator: Where randomness comes from.
        size: How many tools are wanted, at most as many as there are.

    Attributes:
        tools: What was taken so far, in the order in which it belongs together.
    """

    __slots__ = (
        "_even",
        "_generator",
        "_limit",
        "_random",
        "_size",
        "_taken",
        "_terrain",
        "_twins",
        "_used",
        "tools",
    )

    def __init__(
        self, terrain: Terrain, used: Sequence[int], pace: int, generator: random.Random, size: int
    ) -> None:
        self.tools: list[int] = []
        self._terrain = terrain
        self._used = used
        self._even = pace + _AHEAD
        self._limit: float = pace + _FAR_AHEAD
        self._generator = generator
        self._random = generator.random
        self._size = size
        self._twins: Sequence[int] = terrain.twins
        self._taken: set[int] = set()  # by the numbers that near twins share

    def draw(self, shape: Shape, start: int) -> Shape:
        """Take as many tools as are wanted, the first of them given.

        Returns:
            The shape that came out of it; a walk, where the links around the tool do not give the other.
        """
        terrain = self._terrain
        if shape == "chain":
            self._chain(start)
        elif shape == "fan-out":
            self._star(start, terrain.forward, terrain.backward)
        elif shape == "merge":
            self._star(start, terrain.backward, terrain.forward)
        else:
            self._take(start)
        shaped = len(self.tools)
        self._walk(self.tools[-1])
        while len(self.tools) < self._size:
            self._take(elsewhere := self._elsewhere())
            self._walk(elsewhere)
        return shape if shaped >= min(_FEWEST_IN_SHAPE, self._size) else "walk"

    def _take(self, tool: int, *, first: bool = False) -> None:
        if first:
            self.tools.insert(0, tool)
        else:
            self.tools.append(tool)
        self._taken.add(self._twins[tool])

    def _chain(self, start: int) -> None:
        """Consumers of the last tool; where there is none, producers of the first."""
        self._take(start)
        while len(self.tools) < self._size:
            tool = self._step(self._terrain.forward, self.tools[-1])
            before = tool is None
            if tool is None:
                tool = self._step(self._terrain.backward, self.tools[0])
            if tool is None:
                return
            self._take(tool, first=before)

    def _star(self, start: int, out: Steps, back: Steps) -> None:
        """Tools around one centre: the start, or where nothing leads on from it, one that leads to it."""
        self._take(start)
        centre = start
        if len(self.tools) < self._size and out.start[start] == out.start[start + 1]:
            found = self._step(back, start)
            if found is None:
                return
            centre = found
            self._take(centre, first=True)
        while len(self.tools) < self._size:
            tool = self._step(out, centre)
            if tool is None:
                return
            self._take(tool)

    def _walk(self, tool: int) -> None:
        """Step on from a tool, and back along the trail where every neighbour is taken."""
        self._follow([*self.tools, tool])
        if len(self.tools) < self._size:
            limit, self._limit = self._limit, float("inf")
            self._follow(self.tools.copy())
            self._limit = limit

    def _follow(self, trail: list[int]) -> None:
        along, anchor = self._terrain.along, self.tools[0]
        while trail and len(self.tools) < self._size:
            reached = self._step(along, trail[-1])
            if reached is None:
                trail.pop()
                continue
            self._take(reached)
            trail.append(reached)
            if self._random() < _RESTART:
                trail.append(anchor)

    def _step(self, steps: Steps, tool: int) -> int | None:
        """A neighbour that is not taken, rather one that was used less; None if all are taken."""
        others, strength = steps.other, steps.strength
        begin, end = steps.start[tool], steps.start[tool + 1]
        if begin == end:
            return None
        used, taken, twins = self._used, self._taken, self._twins
        low = strength[begin]
        all_of_them = strength[end] - low
        found: int | None = None
        for _ in range(_LOOKS):
            sought = low + self._random() * all_of_them
            other = others[bisect_right(strength, sought, begin + 1, end) - 1]
            if twins[other] in taken:
                continue
            if used[other] <= self._even:
                return other
            if found is None or used[other] < used[found]:
                found = other
        if found is not None and used[found] <= self._limit:
            return found
        free = [
            step
            for step, other in enumerate(others[begin:end], begin)
            if used[other] <= self._limit and twins[other] not in taken
        ]
        if not free:
            return None
        # A strength may vanish beside others in a sum: every step must stay possible.
        strengths = [max(strength[step + 1] - strength[step], 1e-12) for step in free]
        return others[self._generator.choices(free, strengths)[0]]

    def _elsewhere(self) -> int:
        """A tool that nothing leads to: a linked one, else an isolated one, else near twins are let in."""
        for pool in (self._terrain.linked, range(len(self._terrain))):
            if len(self._taken) < self._terrain.distinct:
                tool = self._any_of(pool)
                if tool is not None:
                    return tool
        self._twins = range(len(self._terrain))
        self._taken = set(self.tools)
        # Near twins that links lead to come before those that none leads to.
        for tool in self.tools:
            reached = self._step(self._terrain.along, tool)
            if reached is not None:
                return reached
        tool = self._any_of(self._twins)
        assert tool is not None, "size is at most the number of tools"
        return tool

    def _any_of(self, pool: Sequence[int]) -> int | None:
        twins, taken = self._twins, self._taken
        for _ in range(_TRIES):
            tool = pool[int(self._random() * len(pool))]
            if twins[tool] not in taken:
                return tool
        free = [tool for tool in pool if twins[tool] not in taken]
        return self._generator.choice(free) if free else None
