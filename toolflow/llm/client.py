"""The client: the one module that waits, sends and sleeps; gate and retry policy decide what and when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from random import Random
from typing import Protocol

from toolflow.clock import Clock, derive_random, derive_seed, monotonic
from toolflow.errors import (
    ConnectionFailedError,
    LLMError,
    MalformedCompletionError,
    ModelNotFoundError,
    PermanentLLMError,
    RateLimitedError,
    TransientLLMError,
)
from toolflow.llm.chat import Completion, Delivery, Request, Usage
from toolflow.llm.concurrency.limit import ConcurrencyLimit, LimitChange
from toolflow.llm.gate import TurnedAwayError
from toolflow.llm.hedge import Hedging, OvertakenError, Race, Result
from toolflow.llm.outcome import Outcome
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.router import Lane, ReplicaStatistics, Router

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


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    """A snapshot of a client.

    Attributes:
        completed: Calls that gave a completion.
        failed: Calls that were given up.
        attempts: Attempts that ended, whether well or not.
        rate_limited: Attempts that ended with a 429.
        prompt_tokens: LLM tokens of prompts, those of malformed completions included.
        completion_tokens: LLM tokens of completions, likewise.
        in_flight: Attempts in flight now.
        waiting: Attempts that wait for a permit now.
        backing_off: Calls that pause before another attempt now.
        limit: Attempts that may be in flight.
        changes: The last changes of that limit, oldest first.
        endpoints: Where attempts go.
        hedged: Second attempts that were begun beside one that was late.
    """

    completed: int
    failed: int
    attempts: int
    rate_limited: int
    prompt_tokens: int
    completion_tokens: int
    in_flight: int
    waiting: int
    backing_off: int
    limit: int = 0
    changes: tuple[LimitChange, ...] = ()
    endpoints: tuple[ReplicaStatistics, ...] = ()
    hedged: int = 0


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
        self._clock = clock
        self._completed = 0
        self._failed = 0
        self._attempts = 0
        self._rate_limited = 0
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._backing_off = 0
        self._hedged = 0

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
                    self._failed += 1
                    raise
                request = replace(request, model=others.pop(0))
            except LLMError:
                self._failed += 1
                raise

    async def _ask(self, request: Request) -> Completion:
        sent = request
        failures = malformed = 0
        elapsed = 0.0
        jitter: Random | None = None
        while True:
            outcome, completion = await self._attempt(sent, self._policy.timeout(elapsed))
            if completion is not None:
                self._completed += 1
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
            jitter = jitter or derive_random("jitter", request.seed, *request.key)
            pause = self._policy.decide(error, attempt, elapsed, jitter)
            if pause is None:
                raise error
            elapsed += pause
            await self._back_off(pause)

    async def _attempt(self, request: Request, seconds: float) -> Result:
        hedging = self._hedging
        if hedging is None:
            return await self._reserve(request, seconds)
        race = Race(
            hedging.patience(request), hedging.may_begin, lambda: self._reserve(request, seconds, second=True)
        )
        outcome, completion = await race.run(self._reserve(request, seconds, race=race))
        self._hedged += race.hedged
        if completion is not None:
            hedging.answered(request, outcome.seconds)
        return outcome, completion

    async def _reserve(
        self, request: Request, seconds: float, *, race: Race | None = None, second: bool = False
    ) -> Result:
        if self._budget is None:
            return await self._pass(request, seconds, None, race, second=second)
        async with self._budget.reserve(request) as spending:
            return await self._pass(request, seconds, spending, race, second=second)

    async def _pass(
        self,
        request: Request,
        seconds: float,
        spending: Spending | None,
        race: Race | None,
        *,
        second: bool,
    ) -> Result:
        """Pass a gate and send once; turned away from one whose endpoint is down, pass another."""
        while True:
            lane = self._router.route_second(request) if second else self._router.route(request)
            try:
                async with lane.gate.permit(request) as lease:
                    if spending is not None:
                        await spending.begin()
                    outcome, completion = await self._send(lane, request, seconds, race)
                    lease.settle(outcome)
                    if spending is not None:
                        spending.settle(*_spent(request, outcome, completion))
                break
            except TurnedAwayError:
                continue
        self._count(outcome)
        self._router.settled(lane, answered=completion is not None)
        if self.on_spare is not None and not lane.gate.waiting:
            self.on_spare()
        return outcome, completion

    async def _send(self, lane: Lane, request: Request, seconds: float, race: Race | None) -> Result:
        started = self._clock()
        error: LLMError
        try:
            async with asyncio.timeout(seconds) as deadline:
                if race is not None:
                    race.sent(deadline)
                completion = await lane.replica.provider.send(request)
        except TimeoutError:
            if race is not None and race.is_overtaken:
                raise OvertakenError from None
            error = _TimedOutError(seconds)
        except LLMError as failure:
            error = failure
        else:
            took = self._clock() - started
            if not completion.delivery.endpoint:
                delivery = replace(completion.delivery, endpoint=lane.replica.name)
                completion = replace(completion, delivery=delivery)
            return Outcome(took, completion.usage, limits=completion.delivery.limits), completion
        finally:
            if race is not None:
                race.ended()
        return Outcome(self._clock() - started, _usage(error), error), None

    def _count(self, outcome: Outcome) -> None:
        self._attempts += 1
        self._prompt_tokens += outcome.usage.prompt
        self._completion_tokens += outcome.usage.completion
        if isinstance(outcome.error, RateLimitedError):
            self._rate_limited += 1

    async def _back_off(self, pause: float) -> None:
        if pause <= 0:
            return
        self._backing_off += 1
        try:
            await self._sleep(pause)
        finally:
            self._backing_off -= 1

    def set_limit(self, limit: ConcurrencyLimit) -> None:
        """Change, in the midst of a run, how many attempts may be in flight at each gate.

        Args:
            limit: Held exactly from now on; "auto" follows what the endpoint bears, from the present limit.

        Raises:
            UsageError: It is less than one.
        """
        self._router.set_limit(limit)

    def statistics(self) -> ClientStatistics:
        endpoints = self._router.statistics()
        return ClientStatistics(
            self._completed,
            self._failed,
            self._attempts,
            self._rate_limited,
            self._prompt_tokens,
            self._completion_tokens,
            sum(endpoint.in_flight for endpoint in endpoints),
            sum(endpoint.waiting for endpoint in endpoints),
            self._backing_off,
            self._router.limit,
            self._router.changes(),
            endpoints,
            self._hedged,
        )

    async def close(self) -> None:
        """Close the providers."""
        await self._router.close()


class _TimedOutError(ConnectionFailedError):
    """Nobody knows whether the endpoint still works on it, and bills it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the endpoint gave no answer within {seconds:g} s",
            hint="Raise the attempt timeout, or lower --max-concurrency where the endpoint is overloaded.",
        )


def _usage(error: LLMError) -> Usage:
    if isinstance(error, MalformedCompletionError):
        return Usage(error.prompt_tokens, error.completion_tokens)
    return Usage()


def _spent(request: Request, outcome: Outcome, completion: Completion | None) -> tuple[str, Usage | None]:
    """Which model took how much."""
    if isinstance(outcome.error, _TimedOutError):
        return request.model, None
    return (request.model if completion is None else completion.model or request.model), outcome.usage
