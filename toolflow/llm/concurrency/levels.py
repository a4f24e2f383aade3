"""What an endpoint gave at each concurrency, and what follows from that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil, log2, sqrt
from typing import Final, Literal

Stop = Literal["throughput", "latency", "rate_limits", "failures", "calls", "levels"]
"""Why no further level was measured."""

_WORTHWHILE: Final = 1.05
"""Twice the calls in flight must give at least so many times the calls a second."""

_ENOUGH: Final = 0.95
"""Share of the best throughput that a recommended level has."""

_FINE: Final = 1.15
_SLOWER: Final = 1.1
MOST_BETWEEN: Final = 5
"""Levels measured between those of the first pass, until neighbours are nearer than a factor of 1.15."""

MOST_RATE_LIMITED: Final = 0.03
_FEW_RATE_LIMITED: Final = 0.01
MOST_FAILED: Final = 0.25
"""Shares of a level's calls."""

_FEWEST_CALLS: Final = 20
_FEWEST_WAVES: Final = 3
_CALLS: Final = 40
_WAVES: Final = 6
"""A level is given at least 40 calls and six for each in flight, or, where fewer are left, half of that."""


@dataclass(frozen=True, slots=True)
class Level:
    """What was measured at one concurrency.

    Attributes:
        concurrency: Calls in flight.
        calls: Calls sent, one attempt each.
        completed: Those that gave a completion.
        rate_limited: Those that ended with a 429.
        failed: Those that ended with another failure.
        seconds: From the first call to the end of the last.
        calls_per_second: Completions a second, while the level was fully in flight.
        p50: Median of the seconds that a completion took; None where there was none.
        p95: 95th percentile of them.
    """

    concurrency: int
    calls: int
    completed: int
    rate_limited: int
    failed: int
    seconds: float
    calls_per_second: float
    p50: float | None
    p95: float | None

    @property
    def rate_limited_share(self) -> float:
        return self.rate_limited / self.calls if self.calls else 0.0

    @property
    def failed_share(self) -> float:
        return self.failed / self.calls if self.calls else 0.0


def doubling() -> Iterator[int]:
    """1, 2, 4, 8 and so on."""
    return (2**power for power in count())


def recommend(levels: Sequence[Level], longest: float) -> Level | None:
    """The smallest level with nearly the best throughput and hardly a 429; None where there is none.

    The best is taken among the levels that have hardly a 429, few failures and no too slow answers: what
    another level reached beside those cannot be kept up.

    Args:
        levels: What was measured.
        longest: Most seconds for the 95th percentile of the latency.
    """
    calm = _calm(levels, longest)
    if not calm:
        return None
    enough = _ENOUGH * max(level.calls_per_second for level in calm)
    sufficient = (level for level in calm if level.calls_per_second >= enough)
    return min(sufficient, key=lambda level: level.concurrency)


def next_between(levels: Sequence[Level], longest: float) -> int | None:
    """The concurrency beside the best level that is most worth measuring; None if the best is near enough.

    Where answers are slower at the best level than at the one below it, the peak is rather between these two.

    Args:
        levels: What was measured.
        longest: Most seconds for the 95th percentile of the latency.
    """
    calm = _calm(levels, longest)
    if not calm:
        return None
    best = max(calm, key=lambda level: level.calls_per_second)
    limit = best.concurrency
    lower = [level for level in levels if level.concurrency < limit and level.p50 is not None]
    higher = [level.concurrency for level in levels if level.concurrency > limit]
    below = max(lower, key=lambda level: level.concurrency, default=None)
    sides = [min(higher)] if higher else []
    if below is not None and (best.p50 or 0.0) > _SLOWER * (below.p50 or 0.0):
        sides.insert(0, below.concurrency)
    for side in sides:
        between = round(sqrt(limit * side))
        if max(limit, side) / min(limit, side) > _FINE and between not in {limit, side}:
            return between
    return None


def reason_to_stop(levels: Sequence[Level], longest: float) -> Stop | None:
    """Why no level higher than the last one is worth its calls; None where one is.

    Args:
        levels: What was measured, in order; at least one.
        longest: Most seconds for the 95th percentile of the latency.
    """
    last = levels[-1]
    if last.rate_limited_share > MOST_RATE_LIMITED:
        return "rate_limits"
    if last.failed_share > MOST_FAILED:
        return "failures"
    if last.p95 is not None and last.p95 > longest:
        return "latency"
    if len(levels) > 1:
        best = max(levels[:-1], key=lambda level: level.calls_per_second)
        doublings = log2(last.concurrency / best.concurrency)
        if doublings > 0 and last.calls_per_second < best.calls_per_second * _WORTHWHILE**doublings:
            return "throughput"
    return None


def _calm(levels: Sequence[Level], longest: float) -> list[Level]:
    """The levels that could be kept up."""
    return [
        level
        for level in levels
        if level.p95 is not None
        and level.p95 <= longest
        and level.rate_limited_share < _FEW_RATE_LIMITED
        and level.failed_share <= MOST_FAILED
    ]


def calls_for(concurrency: int, left: int) -> int:
    """How many calls a level is measured with; 0 where too few are left for it."""
    wanted = concurrency * max(_WAVES, ceil(_CALLS / concurrency))
    fewest = max(concurrency * _FEWEST_WAVES, _FEWEST_CALLS)
    return min(wanted, left) if left >= fewest else 0
