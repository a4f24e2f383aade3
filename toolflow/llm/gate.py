"""The gate: every attempt of an LLM call passes it, holding a permit while it is in flight and never else.

There is one gate for each quota group: the attempts that one provider counts together. It is a single queue
in front of rules that decide without waiting: how many may be in flight, what the rate limits allow, whether
the endpoint is there. Only the head of the queue is ever asked about, so a large request cannot be starved by
small ones that would fit; only the gate sets timers, and nothing polls.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from math import ceil, floor, inf
from typing import Final, Literal

from toolflow.clock import Clock, monotonic
from toolflow.errors import RateLimitedError
from toolflow.llm.breaker import Breaker
from toolflow.llm.chat import Request
from toolflow.llm.concurrency.adaptive import AdaptiveConcurrency
from toolflow.llm.concurrency.limit import (
    MOST,
    Concurrency,
    ConcurrencyLimit,
    Ended,
    FixedConcurrency,
    LimitChange,
)
from toolflow.llm.outcome import Outcome
from toolflow.llm.permit import Lease, Passage, Permit
from toolflow.llm.quota.quota import Quota
from toolflow.llm.waiting import Waiting

_NEARLY_ALL: Final = 0.75


@dataclass(frozen=True, slots=True)
class GateStatistics:
    """A snapshot of a gate.

    Attributes:
        limit: Attempts that may be in flight.
        in_flight: Permits held now.
        waiting: Attempts that wait for a permit now.
        changes: The last changes of the limit, oldest first.
    """

    limit: int
    in_flight: int
    waiting: int
    changes: tuple[LimitChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Holdup:
    """What keeps the next attempt waiting.

    Attributes:
        cause: All permits are taken, the endpoint does not answer, or its rate limits are used up.
        seconds: Until it may go, by what is known now; infinite where that is not known.
    """

    cause: Literal["concurrency", "breaker", "rate_limit"]
    seconds: float


class Gate:
    """Hands out permits: a call of an older dialogue before one of a younger, in order inside a dialogue.

    Args:
        concurrency: Attempts that may be in flight: a number, or what follows the endpoint.
        most: Largest limit that :meth:`set_limit` gives; None for any.
        quota: The rate limits; None where there are none to keep.
        breaker: The endpoint's, shared by the gates of its models; None where it cannot be down.
        clock: What the rules are told as the time.

    Raises:
        UsageError: A fixed limit is less than one.
    """

    def __init__(
        self,
        concurrency: Concurrency | int,
        *,
        most: int | None = None,
        quota: Quota | None = None,
        breaker: Breaker | None = None,
        clock: Clock = monotonic,
    ) -> None:
        self._concurrency: Concurrency = (
            FixedConcurrency(concurrency) if isinstance(concurrency, int) else concurrency
        )
        self._most = most
        self._quota = quota
        self._breaker = breaker
        self._clock = clock
        self._in_flight = self._started = 0
        self._queue = Waiting()
        self._timer: asyncio.TimerHandle | None = None
        if breaker is not None:
            # Another model's probe may have found the endpoint, or have been given up.
            breaker.watch(self.pump)

    def __repr__(self) -> str:
        limit = self._concurrency.limit
        return f"<Gate limit={limit} in_flight={self._in_flight} waiting={self._queue.count}>"

    def permit(self, request: Request) -> AbstractAsyncContextManager[Lease]:
        """Wait for a permit to send ``request`` once; it is given back on leaving, however that happens.

        Raises:
            TurnedAwayError: The waiting were turned away.
        """
        return Permit(self, request)

    def set_limit(self, limit: ConcurrencyLimit) -> None:
        """Hold a limit from now on, or follow the endpoint from the present one; what is in flight stays.

        Raises:
            UsageError: It is less than one.
        """
        held, now = self._concurrency, self._clock()
        if isinstance(limit, int):
            number = limit if self._most is None else min(limit, self._most)
            change = LimitChange(now, held.limit, number, "set by hand")
            self._concurrency = FixedConcurrency(number, history=(*held.changes, change))
        elif isinstance(held, FixedConcurrency):
            change = LimitChange(now, held.limit, held.limit, "set by hand: auto")
            self._concurrency = AdaptiveConcurrency(
                start=held.limit,
                most=max(held.limit, MOST) if self._most is None else self._most,
                started=self._started,
                history=(*held.changes, change),
            )
        self.pump()

    def scale_limit(self, factor: float) -> None:
        """Hold so many times the present limit from now on; one more or fewer at least, and never none."""
        limit = self._concurrency.limit
        more = max(limit + 1, ceil(limit * factor)) if factor > 1 else min(limit - 1, floor(limit * factor))
        self.set_limit(max(1, more))

    def statistics(self) -> GateStatistics:
        return GateStatistics(
            self._concurrency.limit, self._in_flight, self._queue.count, tuple(self._concurrency.changes)
        )

    @property
    def waiting(self) -> int:
        """Attempts that wait for a permit."""
        return self._queue.count

    @property
    def load(self) -> int:
        """Attempts in flight or waiting."""
        return self._in_flight + self._queue.count

    def held_up(self) -> Holdup | None:
        """What keeps the head of the queue waiting; None where nothing waits."""
        now = self._clock()
        request = self._queue.head()
        if request is None:
            return None
        if self._in_flight >= self._concurrency.limit:
            return Holdup("concurrency", inf)
        pause = 0.0 if self._breaker is None else self._breaker.wait(now)
        if pause > 0.0:
            return Holdup("breaker", pause)
        return Holdup("rate_limit", self._wait(request, now))

    def turn_away(self) -> None:
        """Send the waiting elsewhere."""
        self._queue.turn_away()

    async def take(self, request: Request) -> Passage:
        """Wait for a permit; cancelled at any moment, the caller holds none."""
        queue = self._queue
        if not queue.count:
            now = self._clock()
            if self._wait(request, now) == 0.0:
                return self._let_through(request, now)
        turn = queue.join(request)
        self.pump()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give_back(turn.result(), None)  # The permit came in the same moment as the cancellation.
            elif not turn.done() or turn.cancelled():
                queue.leave(turn)
                self.pump()
            raise

    def give_back(self, passage: Passage, outcome: Outcome | None) -> None:
        """Take a permit back and pass it on.

        Args:
            passage: What was let through.
            outcome: How the attempt ended; None if it was abandoned.
        """
        now = self._clock()
        saturated = self._queue.count > 0 or self._in_flight >= self._concurrency.limit or passage.saturated
        self._in_flight -= 1
        if passage.reservation is not None and self._quota is not None:
            self._quota.settle(passage.reservation, passage.request, outcome, now)
        if outcome is None:
            if self._breaker is not None:
                self._breaker.abandoned(passage.began, now)
        else:
            if self._breaker is not None:
                self._breaker.settled(outcome, passage.began, now)
            if not self._is_about_rate(passage, outcome, now):
                role = passage.request.key.role
                self._concurrency.settled(
                    Ended(
                        outcome,
                        role,
                        passage.began,
                        passage.number,
                        self._started,
                        passage.in_flight,
                        self._in_flight,
                        saturated,
                    ),
                    now,
                )
        if self._queue.count:
            self.pump()

    def _is_about_rate(self, passage: Passage, outcome: Outcome, now: float) -> bool:
        """Whether an attempt was refused for the rate, with so few in flight that these were no reason."""
        return (
            isinstance(outcome.error, RateLimitedError)
            and self._quota is not None
            and self._quota.is_held(now)
            and passage.in_flight < _NEARLY_ALL * self._concurrency.limit
        )

    def pump(self) -> None:
        """Let through, from the head of the queue, whatever may go now; set a timer for what may go later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while (request := self._queue.head()) is not None:
            now = self._clock()
            pause = self._wait(request, now)
            if pause == 0.0:
                self._queue.let_in(self._let_through(request, now))
                continue
            if pause < inf:
                self._timer = asyncio.get_running_loop().call_later(pause, self.pump)
            return

    def _wait(self, request: Request, now: float) -> float:
        """Seconds until the head of the queue may go, by what is known now; infinite: not before a settle."""
        if self._in_flight >= self._concurrency.limit:
            return inf
        pause = 0.0 if self._breaker is None else self._breaker.wait(now)
        if pause == 0.0 and self._quota is not None:
            pause = self._quota.wait(request, now)
        return pause

    def _let_through(self, request: Request, now: float) -> Passage:
        self._in_flight += 1
        if self._breaker is not None:
            self._breaker.started()
        reservation = None if self._quota is None else self._quota.reserve(request, now)
        saturated = self._in_flight >= self._concurrency.limit
        self._started += 1
        return Passage(request, now, self._started, self._in_flight, reservation, saturated=saturated)
