"""How many attempts may be in flight: what every such limit is, and the one that stays as it is.

A limit is told how each attempt ended; it neither waits nor sends nor reads a clock. The one that follows
what the endpoint bears is :class:`toolflow.llm.concurrency.adaptive.AdaptiveConcurrency`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

from toolflow.errors import UsageError
from toolflow.llm.outcome import Outcome

ConcurrencyLimit = int | Literal["auto"]
"""A fixed number of attempts in flight, or as many as the endpoint turns out to bear."""

MOST: Final = 2048
"""Most attempts in flight that are found out; a number given by hand may be larger."""

_CHANGES_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class LimitChange:
    """One change of a concurrency limit.

    Attributes:
        at: When, in seconds of the gate's clock.
        before: The limit until then.
        after: The limit since.
        reason: Why, in a few words.
    """

    at: float
    before: int
    after: int
    reason: str


class Ended(NamedTuple):
    """An attempt that ended.

    Attributes:
        outcome: How.
        role: Who asked.
        began: When it was let through.
        number: Which attempt it was of all that were let through, from 1.
        started: How many have been let through until now.
        in_flight: Attempts in flight when it was let through, itself included.
        left: Attempts in flight now, without it.
        saturated: Whether the limit was what held further attempts back, then or now.
    """

    outcome: Outcome
    role: str
    began: float
    number: int
    started: int
    in_flight: int
    left: int
    saturated: bool


class Concurrency(Protocol):
    """Holds the number of attempts that may be in flight."""

    @property
    def limit(self) -> int: ...

    @property
    def changes(self) -> Sequence[LimitChange]:
        """The last changes, oldest first."""
        ...

    def settled(self, ended: Ended, now: float) -> None:
        """One attempt ended; ``now`` is in seconds of the clock of ``ended.began``."""
        ...


class Limited:
    """A limit with a bounded history."""

    def __init__(self, limit: int, history: Iterable[LimitChange]) -> None:
        self._limit = checked(limit)
        self._changes: deque[LimitChange] = deque(history, maxlen=_CHANGES_KEPT)

    @property
    def limit(self) -> int:
        return self._limit

    @property
    def changes(self) -> Sequence[LimitChange]:
        return tuple(self._changes)

    def _change(self, limit: int, now: float, reason: str, *, same_cause: bool = False) -> None:
        if limit == self._limit:
            return
        before = self._limit
        if same_cause and self._changes:
            # What comes in many steps is one change.
            last = self._changes.pop()
            before, reason = last.before, last.reason
        self._changes.append(LimitChange(now, before, limit, reason))
        self._limit = limit


class FixedConcurrency(Limited):
    """A limit that stays.

    Args:
        limit: The limit.
        history: Changes until now, oldest first.

    Raises:
        UsageError: It is less than one.
    """

    def __init__(self, limit: int, *, history: Iterable[LimitChange] = ()) -> None:
        super().__init__(limit, history)

    def __repr__(self) -> str:
        return f"<FixedConcurrency limit={self._limit}>"

    def settled(self, ended: Ended, now: float) -> None:
        """A fixed limit learns nothing from how attempts end."""


def checked(limit: int) -> int:
    """The limit, if it lets anything through.

    Raises:
        UsageError: It is less than one.
    """
    if limit < 1:
        raise UsageError(
            f"a concurrency limit of {limit} lets no call through",
            hint="Give --max-concurrency 1 or more.",
        )
    return limit
