"""The circuit breaker of an endpoint: while it is down, one probe at a time goes there and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final, Literal

from toolflow.errors import ConnectionFailedError, ServerFailedError
from toolflow.llm.outcome import Outcome

State = Literal["closed", "open", "probing"]

_FAILURES_IN_A_ROW: Final = 8
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 10.0

AMONG_SEVERAL: Final = 2.0
"""Longest pause of an endpoint beside which others serve: a probe that fails costs one quick attempt there,
but every second until the endpoint is found again costs its share of the pace."""


class Breaker:
    """Opens when nothing but network and server failures come back; a probe that is answered closes it.

    A refusal, a 429 and a malformed completion are answers: the endpoint is there. Attempts that were in
    flight when the breaker opened count no more, so that the death of an endpoint with a thousand attempts in
    flight is one failure and not a thousand.

    Args:
        failures: So many failures in a row open it.
        first_pause: Seconds until the first probe; doubled after each probe that fails.
        longest_pause: Bound of that doubling.
    """

    def __init__(
        self,
        *,
        failures: int = _FAILURES_IN_A_ROW,
        first_pause: float = _FIRST_PAUSE,
        longest_pause: float = _LONGEST_PAUSE,
    ) -> None:
        self._most = failures
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._failures = 0
        self._pause = first_pause
        self._state: State = "closed"
        self._probe_at = 0.0
        self._since = -inf
        self._watchers: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<Breaker {self._state} failures={self._failures}>"

    @property
    def state(self) -> State:
        return self._state

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have ``watcher`` called whenever another answer of :meth:`wait` may let somebody go."""
        self._watchers.append(watcher)

    def wait(self, now: float) -> float:
        """Seconds until an attempt may go: 0.0 now, infinite while a probe is in flight."""
        if self._state == "closed":
            return 0.0
        return inf if self._state == "probing" else max(0.0, self._probe_at - now)

    def started(self) -> None:
        """An attempt was let through."""
        if self._state == "open":
            self._state = "probing"

    def abandoned(self, began: float, now: float) -> None:
        """An attempt was cancelled before it was answered."""
        if self._state == "probing" and began >= self._since:
            self._state, self._probe_at, self._since = "open", now, now
            self._tell()

    def settled(self, outcome: Outcome, began: float, now: float) -> None:
        """An attempt ended.

        Args:
            outcome: How.
            began: When it was let through.
            now: Seconds of the same clock.
        """
        if not isinstance(outcome.error, ConnectionFailedError | ServerFailedError):
            # Whoever answers is there, whether asked before or after it was given up.
            was: State = self._state
            self._state = "closed"
            self._failures, self._pause = 0, self._first_pause
            if was != "closed":
                self._tell()
            return
        if self._state == "closed":
            self._failures += 1
            if self._failures >= self._most:
                self._open(now)
        elif self._state == "probing" and began >= self._since:
            self._pause = min(2 * self._pause, self._longest_pause)
            self._open(now)

    def _open(self, now: float) -> None:
        self._state, self._probe_at, self._since = "open", now + self._pause, now
        self._tell()

    def _tell(self) -> None:
        for watcher in self._watchers:
            watcher()
