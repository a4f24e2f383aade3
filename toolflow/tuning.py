"""How many calls in flight an endpoint bears: its throughput is measured at one concurrency after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle
from math import ceil

from toolflow.clock import Clock, derive_random, derive_seed, monotonic
from toolflow.errors import FatalLLMError, LLMError, RateLimitedError, leaves
from toolflow.llm.chat import Request
from toolflow.llm.client import Client, Provider
from toolflow.llm.concurrency.levels import (
    MOST_BETWEEN,
    MOST_FAILED,
    MOST_RATE_LIMITED,
    Level,
    Stop,
    calls_for,
    next_between,
    reason_to_stop,
)
from toolflow.llm.gate import Gate
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.router import Router


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
        for _ in range(MOST_BETWEEN):
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
            and self._rate_limited <= MOST_RATE_LIMITED * self._planned
            and self._failed <= MOST_FAILED * self._planned
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
