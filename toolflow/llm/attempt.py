"""One attempt: sent once, with an end, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final

from toolflow.clock import Clock
from toolflow.errors import ConnectionFailedError, LLMError, MalformedCompletionError, StalledError
from toolflow.llm.chat import CallKey, Completion, Request, Usage
from toolflow.llm.hedge import OvertakenError, Race, Result
from toolflow.llm.outcome import Outcome
from toolflow.llm.router import Replica
from toolflow.llm.stall import Kind, Sent, Stalls

IsWriting = Callable[[CallKey], bool]
"""Whether an answer to a call is coming in, piece by piece."""

_LOOK_AGAIN: Final = 1.0
"""Seconds between looks at an answer that is coming in."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What shall be sent once.

    Attributes:
        request: What.
        seconds: Until it is given up in any case.
        given_up: How many attempts of the call were given up as lost before.
        second: Whether it is made beside another.
    """

    request: Request
    seconds: float
    given_up: int = 0
    second: bool = False


class Sender:
    """Sends attempts.

    Args:
        stalls: Says which of them are lost; None to wait for each until its timeout.
        is_writing: What is being written is not lost, however long it takes.
        clock: Measures them.
    """

    def __init__(self, stalls: Stalls | None, is_writing: IsWriting, clock: Clock) -> None:
        self._stalls = stalls
        self._is_writing = is_writing
        self._clock = clock

    async def send(self, replica: Replica, attempt: Attempt, race: Race | None) -> Result:
        """Its completion or, in the outcome, why there is none.

        Args:
            replica: Where it is sent.
            attempt: What.
            race: Told of its deadline, where a second one may be made beside it.

        Raises:
            OvertakenError: The second attempt was answered first.
        """
        started = self._clock()
        error: LLMError
        vigil = self._watch(replica, attempt)
        try:
            async with vigil as deadline:
                if race is not None:
                    race.sent(deadline)
                completion = await replica.provider.send(attempt.request)
        except TimeoutError:
            if race is not None and race.is_overtaken:
                raise OvertakenError from None
            if isinstance(vigil, _Vigil) and vigil.is_lost:
                error = StalledError(
                    f"no answer came within {self._clock() - started:.3g} s, twice as long as the slowest of "
                    f"many, while others were answered",
                    hint="--keep-stalled waits for the attempt timeout instead.",
                )
            else:
                error = _TimedOutError(attempt.seconds)
        except LLMError as failure:
            error = failure
        else:
            took = self._clock() - started
            if not completion.delivery.endpoint:
                delivery = replace(completion.delivery, endpoint=replica.name)
                completion = replace(completion, delivery=delivery)
            return Outcome(took, completion.usage, limits=completion.delivery.limits), completion
        finally:
            if race is not None:
                race.ended()
        return Outcome(self._clock() - started, _usage(error), error), None

    def _watch(self, replica: Replica, attempt: Attempt) -> asyncio.Timeout | _Vigil:
        if self._stalls is None:
            return asyncio.timeout(attempt.seconds)
        key = attempt.request.key
        kind = Kind(replica.name, attempt.request.model, key.role)
        return _Vigil(attempt, self._stalls, kind, lambda: self._is_writing(key))


def spent(request: Request, outcome: Outcome, completion: Completion | None) -> tuple[str, Usage | None]:
    """Which model took how much in an attempt; None where nobody knows."""
    if isinstance(outcome.error, _TimedOutError | StalledError):
        return request.model, None
    return (request.model if completion is None else completion.model or request.model), outcome.usage


class _TimedOutError(ConnectionFailedError):
    """Nobody knows whether the endpoint still works on it, and bills it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the endpoint gave no answer within {seconds:g} s",
            hint="Raise the attempt timeout, or lower --max-concurrency where the endpoint is overloaded.",
        )


class _Vigil:
    """Ends a block with TimeoutError once its attempt is lost or has taken too long: one timer for both.

    Args:
        attempt: What is sent.
        stalls: Says what is lost.
        kind: Of the attempt.
        is_writing: Whether an answer is coming in.

    Attributes:
        is_lost: Whether that is why the block was ended.
    """

    __slots__ = ("_ends", "_is_writing", "_loop", "_scope", "_sent", "_stalls", "_timer", "is_lost")

    def __init__(self, attempt: Attempt, stalls: Stalls, kind: Kind, is_writing: Callable[[], bool]) -> None:
        self.is_lost = False
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._ends = now + attempt.seconds
        self._is_writing = is_writing
        self._stalls = stalls
        self._sent: Sent = stalls.sent(kind, now, given_up=attempt.given_up)
        self._scope = asyncio.timeout(None)
        self._timer = self._wait(now)

    async def __aenter__(self) -> asyncio.Timeout:
        return await self._scope.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._stalls.ended(self._sent, self._loop.time(), answered=kind is None)
        await self._scope.__aexit__(kind, error, traceback)

    def _wait(self, now: float) -> asyncio.TimerHandle:
        pause = _LOOK_AGAIN if self._is_writing() else self._stalls.look(self._sent, now)
        if pause is None:
            self.is_lost, pause = True, 0.0
        return self._loop.call_later(min(pause, self._ends - now), self._look)

    def _look(self) -> None:
        if self._scope.expired():
            return
        now = self._loop.time()
        if self.is_lost or now >= self._ends:
            self._scope.reschedule(now)
        else:
            self._timer = self._wait(now)


def _usage(error: LLMError) -> Usage:
    if isinstance(error, MalformedCompletionError):
        return Usage(error.prompt_tokens, error.completion_tokens)
    return Usage()
