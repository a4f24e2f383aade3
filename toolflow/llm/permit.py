"""A permit: held while one attempt is in flight, and given back however that ends."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from toolflow.llm.chat import Request
from toolflow.llm.outcome import Outcome
from toolflow.llm.quota.quota import Reservation


class Lease(Protocol):
    """A permit in use."""

    def settle(self, outcome: Outcome) -> None:
        """Tell how the attempt ended, before the permit is given back; unsettled means abandoned."""
        ...


@dataclass(frozen=True, slots=True)
class Passage:
    """What is known of an attempt that was let through.

    Attributes:
        request: What is sent.
        began: When it was let through.
        number: Which attempt it is of all that were let through, from 1.
        in_flight: Attempts in flight then, itself included.
        reservation: Of the rate limits; None where there are none.
        saturated: Whether it took the last permit.
    """

    request: Request
    began: float
    number: int
    in_flight: int
    reservation: Reservation | None
    saturated: bool


class Permits(Protocol):
    """Hands out permits, and takes them back."""

    async def take(self, request: Request) -> Passage: ...

    def give_back(self, passage: Passage, outcome: Outcome | None) -> None: ...


class Permit:
    """Waits for a permit on entry, gives it back on exit; a :class:`Lease`.

    Args:
        permits: Where it comes from.
        request: What shall be sent.
    """

    __slots__ = ("_outcome", "_passage", "_permits", "_request")

    def __init__(self, permits: Permits, request: Request) -> None:
        self._permits = permits
        self._request = request
        self._passage: Passage | None = None
        self._outcome: Outcome | None = None

    async def __aenter__(self) -> Lease:
        self._passage = await self._permits.take(self._request)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._passage is not None
        self._permits.give_back(self._passage, self._outcome)

    def settle(self, outcome: Outcome) -> None:
        self._outcome = outcome
