"""What attempts take by their kind, so that how busy an endpoint is can be told from what it is asked for.

A planner's reply of a thousand LLM tokens takes five times as long as a user's line on an idle endpoint too.
Latencies are therefore compared with what the same role and as many LLM tokens of completion took before:

    seconds = slowness × (base + per_token × completion tokens), base and per_token of the role

Of this product only ratios are ever used. Roles are learned from attempts divided by the slowness that was
measured over all of them together, so that a change of the mix of roles moves no slowness, and a change of
the endpoint's moves no role.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Final, NamedTuple

_MEMORY: Final = 2000.0
"""Attempts of a role after which what was learned from them has faded to a third."""

_FEWEST_KNOWN: Final = 4.0
_LEAST_SHARE: Final = 0.1
"""A prediction is at least this share of the role's mean, whatever its line says of so few LLM tokens."""

_NEGLIGIBLE_VARIANCE: Final = 0.01
_ROLES_KEPT: Final = 256
_LEAST: Final = 1e-9


class Answered(NamedTuple):
    """An attempt that was answered.

    Attributes:
        role: Who asked.
        tokens: LLM tokens of the completion; 0 where nobody counted.
        seconds: What it took.
        in_flight: Attempts in flight when it was let through, itself included.
    """

    role: str
    tokens: int
    seconds: float
    in_flight: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """Sums over attempts; two of the same limit add up.

    Attributes:
        count: Attempts.
        beside: Sum of what was in flight.
        seconds: Sum of what they took.
        expected: Sum of what they should have taken.
        seconds_squared: Sum of squares.
        expected_squared: Likewise.
        product: Sum of seconds × expected.
    """

    count: float
    beside: float
    seconds: float
    expected: float
    seconds_squared: float
    expected_squared: float
    product: float

    def __add__(self, other: Measurement) -> Measurement:
        return self.plus(other, 1.0)

    def plus(self, later: Measurement, keep: float) -> Measurement:
        """Both together, of this one a share."""
        return Measurement(
            self.count * keep + later.count,
            self.beside * keep + later.beside,
            self.seconds * keep + later.seconds,
            self.expected * keep + later.expected,
            self.seconds_squared * keep + later.seconds_squared,
            self.expected_squared * keep + later.expected_squared,
            self.product * keep + later.product,
        )

    @property
    def slowness(self) -> float:
        """Seconds for each expected second; 1 at the beginning."""
        return max(self.seconds, _LEAST) / max(self.expected, _LEAST)

    @property
    def latency(self) -> float:
        """Mean seconds."""
        return self.seconds / self.count

    @property
    def log_in_flight(self) -> float:
        return log(self.beside / self.count)

    @property
    def log_slowness(self) -> float:
        return log(self.slowness)

    @property
    def variance(self) -> float:
        """Of one attempt, relative; that of a ratio of sums (Cochran, Sampling Techniques, chapter 6)."""
        ratio = self.slowness
        squares = self.seconds_squared - 2 * ratio * self.product + ratio * ratio * self.expected_squared
        return self.count * max(0.0, squares) / max(self.seconds, _LEAST) ** 2

    def slower_than(self, other: Measurement) -> tuple[float, float]:
        """Difference of the logarithms of both slownesses, and its standard error."""
        count = self.count + other.count
        pooled = (self.count * self.variance + other.count * other.variance) / count
        error = sqrt(pooled * (1 / self.count + 1 / other.count))
        return self.log_slowness - other.log_slowness, error


class _Role:
    """A line through what a role's attempts took, by completion tokens; older ones count for less."""

    __slots__ = ("base", "mean", "per_token", "sums")

    def __init__(self) -> None:
        self.sums = (0.0, 0.0, 0.0, 0.0, 0.0)
        self.base = self.mean = self.per_token = 0.0

    @property
    def known(self) -> bool:
        return self.sums[0] >= _FEWEST_KNOWN

    def expect(self, tokens: int) -> float:
        return max(self.base + self.per_token * tokens, _LEAST_SHARE * self.mean)

    def learn(self, attempts: Sequence[Answered], slowness: float) -> None:
        keep = max(0.0, 1.0 - len(attempts) / _MEMORY)
        count, tokens, squares, seconds, product = (part * keep for part in self.sums)
        for _, length, took, _ in attempts:
            usual = took / slowness
            count += 1
            tokens += length
            squares += length * length
            seconds += usual
            product += length * usual
        self.sums = (count, tokens, squares, seconds, product)
        self.mean = max(seconds / count, _LEAST)
        mean_tokens = tokens / count
        variance = squares / count - mean_tokens * mean_tokens
        self.per_token = 0.0
        if variance > _NEGLIGIBLE_VARIANCE * mean_tokens * mean_tokens:
            self.per_token = max(0.0, (product / count - mean_tokens * self.mean) / variance)
        self.base = self.mean - self.per_token * mean_tokens


class Workload:
    """Measures how slow an endpoint is, whatever it is asked for, and learns what each kind takes."""

    def __init__(self) -> None:
        self._roles: dict[str, _Role] = {}
        self._slowness = 1.0

    def measure(self, attempts: Sequence[Answered]) -> Measurement:
        """What attempts of one limit show; learns from them.

        Args:
            attempts: At least one.
        """
        known = [attempt for attempt in attempts if self._knows(attempt.role)]
        if 3 * len(known) >= len(attempts):
            measured = self._measure(known)
            self._slowness = measured.slowness
            self._learn(attempts, self._slowness)
            return measured
        # New roles have the floor: they are taken to come at the slowness that was measured last.
        self._learn(attempts, self._slowness)
        return self._measure(attempts)

    def _knows(self, name: str) -> bool:
        role = self._roles.get(name)
        return role is not None and role.known

    def _measure(self, attempts: Sequence[Answered]) -> Measurement:
        beside = seconds = expected = seconds_squared = expected_squared = product = 0.0
        for role, tokens, took, in_flight in attempts:
            usual = self._roles[role].expect(tokens)
            beside += in_flight
            seconds += took
            expected += usual
            seconds_squared += took * took
            expected_squared += usual * usual
            product += took * usual
        return Measurement(
            float(len(attempts)), beside, seconds, expected, seconds_squared, expected_squared, product
        )

    def _learn(self, attempts: Sequence[Answered], slowness: float) -> None:
        by_role: defaultdict[str, list[Answered]] = defaultdict(list)
        for attempt in attempts:
            by_role[attempt.role].append(attempt)
        for name, group in by_role.items():
            role = self._roles.get(name)
            if role is None:
                if len(self._roles) >= _ROLES_KEPT:
                    del self._roles[next(iter(self._roles))]
                role = self._roles[name] = _Role()
            role.learn(group, slowness)
