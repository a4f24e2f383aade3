"""What a client has done: counted, and told as a frozen snapshot."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from toolflow.errors import RateLimitedError, StalledError
from toolflow.llm.concurrency.limit import LimitChange
from toolflow.llm.outcome import Outcome
from toolflow.llm.router import ReplicaStatistics


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
        stalled: Attempts that were given up as lost, before the attempt timeout.
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
    stalled: int = 0


class Tally:
    """Counts calls and attempts.

    Attributes:
        completed: Calls that gave a completion.
        failed: Calls that were given up.
        hedged: Second attempts.
    """

    __slots__ = (
        "_attempts", "_backing_off", "_completion_tokens", "_prompt_tokens", "_rate_limited", "_stalled",
        "completed", "failed", "hedged",
    )  # fmt: skip

    def __init__(self) -> None:
        self.completed = self.failed = self.hedged = 0
        self._attempts = self._rate_limited = self._stalled = 0
        self._prompt_tokens = self._completion_tokens = 0
        self._backing_off = 0

    def attempt(self, outcome: Outcome) -> None:
        """An attempt ended."""
        self._attempts += 1
        self._prompt_tokens += outcome.usage.prompt
        self._completion_tokens += outcome.usage.completion
        if isinstance(outcome.error, RateLimitedError):
            self._rate_limited += 1
        elif isinstance(outcome.error, StalledError):
            self._stalled += 1

    @contextmanager
    def backing_off(self) -> Generator[None]:
        """A call pauses."""
        self._backing_off += 1
        try:
            yield
        finally:
            self._backing_off -= 1

    def statistics(
        self, endpoints: Sequence[ReplicaStatistics], limit: int, changes: tuple[LimitChange, ...]
    ) -> ClientStatistics:
        """All of it, beside what the router says."""
        return ClientStatistics(
            completed=self.completed,
            failed=self.failed,
            attempts=self._attempts,
            rate_limited=self._rate_limited,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
            in_flight=sum(endpoint.in_flight for endpoint in endpoints),
            waiting=sum(endpoint.waiting for endpoint in endpoints),
            backing_off=self._backing_off,
            limit=limit,
            changes=changes,
            endpoints=tuple(endpoints),
            hedged=self.hedged,
            stalled=self._stalled,
        )
