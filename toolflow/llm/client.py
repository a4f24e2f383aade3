"""The client: the one module that waits, sends and sleeps; gate and retry policy decide what and when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from random import Random
from typing import Protocol

from toolflow.clock import Clock, derive_random, derive_seed, monotonic
from toolflow.errors import (
    LLMError,
    MalformedCompletionError,
    ModelNotFoundError,
    PermanentLLMError,
    StalledError,
    TransientLLMError,
)
from toolflow.llm.attempt import Attempt, IsWriting, Sender, spent
from toolflow.llm.chat import Completion, Delivery, Request, Usage
from toolflow.llm.concurrency.limit import ConcurrencyLimit
from toolflow.llm.hedge import Hedging, Race, Result
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.router import Router
from toolflow.llm.stall import Stalls
from toolflow.llm.tally import ClientStatistics, Tally
from toolflow.llm.waiting import TurnedAwayError

Sleep = Callable[[float], Awaitable[None]]
"""Pauses for a number of seconds."""


class Provider(Protocol):
    """Sends requests to one endpoint, or answers them itself."""

    async def send(self, request: Request) -> Completion:
        """One attempt, without a timeout of its own.

        Raises:
            LLMError: There is no usable completion; its class tells whether another attempt may help.
        """
        ...

    async def close(self) -> None:
        """Give back connections; nothing is sent afterwards."""
        ...


class Spending(Protocol):
    """A reservation of a budget, in use."""

    async def begin(self) -> None:
        """The attempt is sent now; never returns once the time is over."""
        ...

    def settle(self, model: str, usage: Usage | None) -> None:
        """Tell what the attempt took; None where nobody knows."""
        ...


class Budget(Protocol):
    """Bounds what all attempts together may take."""

    def reserve(self, request: Request) -> AbstractAsyncContextManager[Spending]:
        """Wait until one attempt of the request fits; for ever once none will."""
        ...


class Client:
    """A :class:`toolflow.llm.chat.ChatModel` over one endpoint or several.

    An attempt waits for the budget first and for the permit after that, so that no permit is held by one that
    may never be sent; what waits for a permit has its reservation, which is what makes the budget hard.

    Args:
        router: Chooses the endpoint of each attempt, and holds the gates; its providers are closed by
            :meth:`close`.
        policy: Decides about further attempts.
        budget: Bounds what is spent; None for no bound.
        hedging: Sends late attempts a second time; None for never.
        stalls: Says which attempts are lost and given up early; None to wait for each until its timeout.
        is_writing: Whether an answer to a call is coming in by pieces: such a one is not lost.
        fallbacks: Models that are asked in turn where one has given a call up.
        on_spare: Called when an attempt ended and nobody waited for its permit.
        sleep: Pauses before further attempts.
        clock: Measures the attempts.
    """

    def __init__(
        self,
        router: Router,
        policy: RetryPolicy | None = None,
        *,
        budget: Budget | None = None,
        hedging: Hedging | None = None,
        stalls: Stalls | None = None,
        is_writing: IsWriting = lambda _: False,
        fallbacks: Sequence[str] = (),
        on_spare: Callable[[], None] | None = None,
        sleep: Sleep = asyncio.sleep,
        clock: Clock = monotonic,
    ) -> None:
        self.on_spare = on_spare
        self._router = router
        self._policy = policy or RetryPolicy()
        self._budget = budget
        self._hedging = hedging
        self._fallbacks = tuple(fallbacks)
        self._sleep = sleep
        self._sender = Sender(stalls, is_writing, clock)
        self._tally = Tally()

    async def complete(self, request: Request) -> Completion:
        """Send the request until it gives a completion or the policy gives up, on the fallback models too.

        Raises:
            LLMError: The last attempt's failure.
        """
        others = [model for model in self._fallbacks if model != request.model]
        while True:
            try:
                return await self._ask(request)
            except (TransientLLMError, PermanentLLMError, ModelNotFoundError):
                if not others:
                    self._tally.failed += 1
                    raise
                request = replace(request, model=others.pop(0))
            except LLMError:
                self._tally.failed += 1
                raise

    async def _ask(self, request: Request) -> Completion:
        sent = request
        failures = malformed = stalled = 0
        elapsed = 0.0
        jitter: Random | None = None
        while True:
            outcome, completion = await self._attempt(Attempt(sent, self._policy.timeout(elapsed), stalled))
            if completion is not None:
                self._tally.completed += 1
                told = completion.delivery
                delivery = Delivery(told.endpoint, failures + malformed + 1, outcome.seconds, told.limits)
                return Completion(
                    completion.message,
                    completion.finish_reason,
                    completion.usage,
                    completion.model,
                    delivery,
                )
            error = outcome.error
            assert error is not None
            elapsed += outcome.seconds
            if isinstance(error, MalformedCompletionError):
                attempt = malformed = malformed + 1
                # The same seed would give the same malformed completion again.
                sent = replace(request, seed=derive_seed(request.seed, "resample", malformed))
            else:
                attempt = failures = failures + 1
                stalled += isinstance(error, StalledError)
            jitter = jitter or derive_random("jitter", request.seed, *request.key)
            pause = self._policy.decide(error, attempt, elapsed, jitter)
            if pause is None:
                raise error
            elapsed += pause
            await self._back_off(pause)

    async def _attempt(self, attempt: Attempt) -> Result:
        hedging = self._hedging
        if hedging is None:
            return await self._reserve(attempt)
        race = Race(
            hedging.patience(attempt.request),
            hedging.may_begin,
            lambda: self._reserve(replace(attempt, second=True)),
        )
        outcome, completion = await race.run(self._reserve(attempt, race))
        self._tally.hedged += race.hedged
        if completion is not None:
            hedging.answered(attempt.request, outcome.seconds)
        return outcome, completion

    async def _reserve(self, attempt: Attempt, race: Race | None = None) -> Result:
        if self._budget is None:
            return await self._pass(attempt, None, race)
        async with self._budget.reserve(attempt.request) as spending:
            return await self._pass(attempt, spending, race)

    async def _pass(self, attempt: Attempt, spending: Spending | None, race: Race | None) -> Result:
        """Pass a gate and send once; turned away from one whose endpoint is down, pass another."""
        request = attempt.request
        while True:
            lane = self._router.route_second(request) if attempt.second else self._router.route(request)
            try:
                async with lane.gate.permit(request) as lease:
                    if spending is not None:
                        await spending.begin()
                    outcome, completion = await self._sender.send(lane.replica, attempt, race)
                    lease.settle(outcome)
                    if spending is not None:
                        spending.settle(*spent(request, outcome, completion))
                break
            except TurnedAwayError:
                continue
        self._tally.attempt(outcome)
        self._router.settled(lane, answered=completion is not None)
        if self.on_spare is not None and not lane.gate.waiting:
            self.on_spare()
        return outcome, completion

    async def _back_off(self, pause: float) -> None:
        if pause > 0:
            with self._tally.backing_off():
                await self._sleep(pause)

    def set_limit(self, limit: ConcurrencyLimit) -> None:
        """Change, in the midst of a run, how many attempts may be in flight at each gate.

        Args:
            limit: Held exactly from now on; "auto" follows what the endpoint bears, from the present limit.

        Raises:
            UsageError: It is less than one.
        """
        self._router.set_limit(limit)

    def scale_limit(self, factor: float) -> None:
        """Have so many times as many attempts in flight at each gate, from its own present limit."""
        self._router.scale_limit(factor)

    def statistics(self) -> ClientStatistics:
        router = self._router
        return self._tally.statistics(router.statistics(), router.limit, router.changes())

    async def close(self) -> None:
        """Close the providers."""
        await self._router.close()
