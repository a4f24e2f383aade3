"""The client: the one module that waits, sends and sleeps; gate and retry policy decide what and when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Protocol

from toolflow.clock import Clock, derive_random, derive_seed, monotonic
from toolflow.errors import ConnectionFailedError, LLMError, MalformedCompletionError, RateLimitedError
from toolflow.llm.chat import Completion, Request
from toolflow.llm.gate import Gate
from toolflow.llm.outcome import Outcome
from toolflow.llm.retry import RetryPolicy

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


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    """A snapshot of a client.

    Attributes:
        completed: Calls that gave a completion.
        failed: Calls that were given up.
        attempts: Attempts that ended, whether well or not.
        rate_limited: Attempts that ended with a 429.
        prompt_tokens: LLM tokens of the completed calls' prompts.
        completion_tokens: LLM tokens of their completions.
        in_flight: Attempts in flight now.
        waiting: Attempts that wait for a permit now.
        backing_off: Calls that pause before another attempt now.
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


class Client:
    """A :class:`toolflow.llm.chat.ChatModel` over a provider.

    Args:
        provider: Sends each attempt; closed by :meth:`close`.
        gate: Hands out the permits, one an attempt.
        policy: Decides about further attempts.
        sleep: Pauses before them.
        clock: Measures the attempts.
    """

    def __init__(
        self,
        provider: Provider,
        gate: Gate,
        policy: RetryPolicy | None = None,
        *,
        sleep: Sleep = asyncio.sleep,
        clock: Clock = monotonic,
    ) -> None:
        self._provider = provider
        self._gate = gate
        self._policy = policy or RetryPolicy()
        self._sleep = sleep
        self._clock = clock
        self._completed = 0
        self._failed = 0
        self._attempts = 0
        self._rate_limited = 0
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._backing_off = 0

    async def complete(self, request: Request) -> Completion:
        """Send the request until it gives a completion or the policy gives up.

        Raises:
            LLMError: The last attempt's failure.
        """
        sent = request
        failures = malformed = 0
        elapsed = 0.0
        jitter: Random | None = None
        while True:
            outcome, completion = await self._attempt(sent, self._policy.timeout(elapsed))
            if completion is not None:
                return completion
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
                self._failed += 1
                raise error
            elapsed += pause
            await self._back_off(pause)

    async def _attempt(self, request: Request, seconds: float) -> tuple[Outcome, Completion | None]:
        async with self._gate.permit(request) as lease:
            started = self._clock()
            completion: Completion | None = None
            try:
                async with asyncio.timeout(seconds):
                    completion = await self._provider.send(request)
                outcome = Outcome(self._clock() - started, completion.usage)
            except TimeoutError:
                outcome = Outcome(self._clock() - started, error=_timed_out(seconds))
            except LLMError as error:
                outcome = Outcome(self._clock() - started, error=error)
            lease.settle(outcome)
        self._count(outcome)
        return outcome, completion

    def _count(self, outcome: Outcome) -> None:
        self._attempts += 1
        if outcome.error is None:
            self._completed += 1
            self._prompt_tokens += outcome.usage.prompt
            self._completion_tokens += outcome.usage.completion
        elif isinstance(outcome.error, RateLimitedError):
            self._rate_limited += 1

    async def _back_off(self, pause: float) -> None:
        if pause <= 0:
            return
        self._backing_off += 1
        try:
            await self._sleep(pause)
        finally:
            self._backing_off -= 1

    def statistics(self) -> ClientStatistics:
        gate = self._gate.statistics()
        return ClientStatistics(
            self._completed,
            self._failed,
            self._attempts,
            self._rate_limited,
            self._prompt_tokens,
            self._completion_tokens,
            gate.in_flight,
            gate.waiting,
            self._backing_off,
        )

    async def close(self) -> None:
        """Close the provider."""
        await self._provider.close()


def _timed_out(seconds: float) -> ConnectionFailedError:
    return ConnectionFailedError(
        f"the endpoint gave no answer within {seconds:g} s",
        hint="Raise the attempt timeout, or lower --max-concurrency where the endpoint is overloaded.",
    )
