"""How many calls in flight an endpoint bears: its throughput is measured at one concurrency after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, cycle
from math import ceil, log2, sqrt
from typing import Final, Literal

from toolflow.clock import Clock, derive_random, derive_seed, monotonic
from toolflow.errors import FatalLLMError, LLMError, RateLimitedError, leaves
from toolflow.llm.chat import Request
from toolflow.llm.client import Client, Provider
from toolflow.llm.gate import Gate
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.router import Router

Stop = Literal["throughput", "latency", "rate_limits", "failures", "calls", "levels"]
"""Why no further level was measured."""

_WORTHWHILE: Final = 1.05
"""Twice the calls in flight must give at least so many times the calls a second."""

_ENOUGH: Final = 0.95
"""Share of the best throughput that a recommended level has."""

_FINE: Final = 1.15
_SLOWER: Final = 1.1
_MOST_BETWEEN: Final = 5
"""Levels measured between those of the first pass, until neighbours are nearer than a factor of 1.15."""

_MOST_RATE_LIMITED: Final = 0.03
_FEW_RATE_LIMITED: Final = 0.01
_MOST_FAILED: Final = 0.25
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
    if last.rate_limited_share > _MOST_RATE_LIMITED:
        return "rate_limits"
    if last.failed_share > _MOST_FAILED:
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
        and level.failed_share <= _MOST_FAILED
    ]


def calls_for(concurrency: int, left: int) -> int:
    """How many calls a level is measured with; 0 where too few are left for it."""
    wanted = concurrency * max(_WAVES, ceil(_CALLS / concurrency))
    fewest = max(concurrency * _FEWEST_WAVES, _FEWEST_CALLS)
    return min(wanted, left) if left >= fewest else 0


class Tuning:
    """Measures an endpoint, level by level.

    The requests are sent in turn, in an order drawn once, so that every level has the same mix of them, and
    each time with another seed. Their texts repeat all the same: an endpoint that caches prompts looks
    somewhat faster than it will be in a run.

    Args:
        provider: Sends to the endpoint.
        requests: What to send; at least one.
        levels: Where what was measured is put, as it comes; whole also where measuring is interrupted.
        seed: Of the order and of the requests' seeds.
        max_calls: Most calls in all; a call is one attempt, nothing is tried again.
        seconds: How long a level may begin calls; a slow endpoint gets fewer of them then.
        longest: Most seconds for the 95th percentile of the latency.
        attempt_timeout: Seconds that one call may take.
        clock: Measures.

    Attributes:
        calls: Calls begun, those of an unfinished level included.
    """

    def __init__(
        self,
        provider: Provider,
        requests: Sequence[Request],
        levels: list[Level],
        *,
        seed: int = 0,
        max_calls: int = 2000,
        seconds: float = 10.0,
        longest: float = 150.0,
        attempt_timeout: float = 300.0,
        clock: Clock = monotonic,
    ) -> None:
        self._levels = levels
        self.calls = 0
        self._provider = provider
        self._requests = _fresh(requests, seed)
        self._max_calls = max_calls
        self._seconds = seconds
        self._longest = longest
        self._policy = RetryPolicy(
            attempts=1, resamples=0, attempt_timeout=attempt_timeout, deadline=attempt_timeout
        )
        self._clock = clock

    async def measure(
        self, concurrencies: Iterable[int], on_level: Callable[[int], object] = lambda _: None
    ) -> Stop:
        """Measure levels until another one is not worth its calls.

        Args:
            concurrencies: The levels, rising.
            on_level: Told each level before it is measured.

        Raises:
            FatalLLMError: Every call would fail.
        """
        for concurrency in concurrencies:
            calls = calls_for(concurrency, self._max_calls - self.calls)
            if not calls:
                return "calls"
            on_level(concurrency)
            self._levels.append(await self._measure_level(concurrency, calls))
            stop = reason_to_stop(self._levels, self._longest)
            if stop is not None:
                return stop
        return "levels"

    async def refine(self, on_level: Callable[[int], object] = lambda _: None) -> None:
        """Measure between the best of the levels so far and its neighbours, until it is near the peak.

        Args:
            on_level: Told each level before it is measured.

        Raises:
            FatalLLMError: Every call would fail.
        """
        for _ in range(_MOST_BETWEEN):
            concurrency = next_between(self._levels, self._longest)
            calls = 0 if concurrency is None else calls_for(concurrency, self._max_calls - self.calls)
            if concurrency is None or not calls:
                return
            on_level(concurrency)
            self._levels.append(await self._measure_level(concurrency, calls))

    async def _measure_level(self, concurrency: int, calls: int) -> Level:
        router = Router.single(self._provider, Gate(concurrency, clock=self._clock))
        client = Client(router, self._policy, clock=self._clock)
        tally = _Tally(calls, self._seconds, self._clock)

        async def keep_one_in_flight() -> None:
            while tally.may_begin():
                tally.begin()
                self.calls += 1
                try:
                    completion = await client.complete(next(self._requests))
                except FatalLLMError:
                    raise
                except LLMError as error:
                    tally.fail(error)
                else:
                    tally.complete(completion.delivery.seconds)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(concurrency, calls)):
                    group.create_task(keep_one_in_flight())
        except BaseExceptionGroup as errors:
            raise next(leaves(errors)) from None
        return tally.level(concurrency)


class _Tally:
    """Counts one level."""

    def __init__(self, calls: int, seconds: float, clock: Clock) -> None:
        self._planned = calls
        self._seconds = seconds
        self._clock = clock
        self._began = self._last_begun = clock()
        self._calls = self._rate_limited = self._failed = 0
        self._ends: list[float] = []
        self._took: list[float] = []

    def may_begin(self) -> bool:
        return (
            self._calls < self._planned
            and self._clock() - self._began < self._seconds
            # No completion that could still come would bring it under these bounds again.
            and self._rate_limited <= _MOST_RATE_LIMITED * self._planned
            and self._failed <= _MOST_FAILED * self._planned
        )

    def begin(self) -> None:
        self._calls += 1
        self._last_begun = self._clock()

    def complete(self, seconds: float) -> None:
        self._ends.append(self._clock())
        self._took.append(seconds)

    def fail(self, error: LLMError) -> None:
        if isinstance(error, RateLimitedError):
            self._rate_limited += 1
        else:
            self._failed += 1

    def level(self, concurrency: int) -> Level:
        seconds = self._clock() - self._began
        took = sorted(self._took)
        return Level(
            concurrency,
            self._calls,
            len(took),
            self._rate_limited,
            self._failed,
            seconds,
            self._calls_per_second(seconds),
            _percentile(took, 0.5),
            _percentile(took, 0.95),
        )

    def _calls_per_second(self, seconds: float) -> float:
        """Completions a second up to the last call's begin: from there on ever fewer are in flight."""
        full = self._last_begun - self._began
        inside = sum(end <= self._last_begun for end in self._ends)
        if full > 0 and inside:
            return inside / full
        return len(self._ends) / seconds if seconds > 0 else 0.0


def _fresh(requests: Sequence[Request], seed: int) -> Iterator[Request]:
    mixed = list(requests)
    derive_random(seed, "tune").shuffle(mixed)
    turns = enumerate(cycle(mixed))
    return (replace(request, seed=derive_seed(seed, "tune", turn)) for turn, request in turns)


def _percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest rank, of sorted values."""
    return values[ceil(share * len(values)) - 1] if values else None
