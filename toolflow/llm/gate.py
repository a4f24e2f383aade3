"""The gate: every attempt of an LLM call passes it, holding a permit while it is in flight and never else.

A permit is asked for with the request, so that a quota-aware gate can reserve LLM tokens for it, and comes
as a lease that is told how the attempt ended, so that an adaptive one can learn. ``FixedGate`` needs neither.
"""

from __future__ import annotations

import asyncio
import heapq
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Protocol

from toolflow.errors import UsageError
from toolflow.llm.chat import Request
from toolflow.llm.outcome import Outcome


@dataclass(frozen=True, slots=True)
class GateStatistics:
    """A snapshot of a gate.

    Attributes:
        limit: Permits there are.
        in_flight: Permits held now.
        waiting: Attempts that wait for a permit now.
    """

    limit: int
    in_flight: int
    waiting: int


class Lease(Protocol):
    """A permit in use."""

    def settle(self, outcome: Outcome) -> None:
        """Tell how the attempt ended, before the permit is given back; unsettled means abandoned."""
        ...


class Gate(Protocol):
    """Hands out permits: a call of an older dialogue before one of a younger, in order inside a dialogue."""

    def permit(self, request: Request) -> AbstractAsyncContextManager[Lease]:
        """Wait for a permit to send ``request`` once; it is given back on leaving, however that happens."""
        ...

    def statistics(self) -> GateStatistics: ...


class FixedGate:
    """At most ``limit`` attempts in flight.

    A permit that is given back passes straight to the first waiter, so nobody overtakes and one release wakes
    one task: while anyone waits, no permit is free.

    Raises:
        UsageError: ``limit`` is less than one.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise UsageError(
                f"a concurrency limit of {limit} lets no call through",
                hint="Give --max-concurrency 1 or more.",
            )
        self._limit = limit
        self._in_flight = 0
        self._waiting = 0
        self._tickets = count()
        self._queue: list[tuple[int, int, asyncio.Future[None]]] = []

    def __repr__(self) -> str:
        return f"<FixedGate limit={self._limit} in_flight={self._in_flight} waiting={self._waiting}>"

    def permit(self, request: Request) -> AbstractAsyncContextManager[Lease]:
        return _Permit(self, request.key.dialogue)

    def statistics(self) -> GateStatistics:
        return GateStatistics(self._limit, self._in_flight, self._waiting)

    async def take(self, dialogue: int) -> None:
        """Wait for a permit; cancelled at any moment, the caller holds none."""
        if self._in_flight < self._limit:
            self._in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (dialogue, next(self._tickets), turn))
        self._waiting += 1
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.give_back()  # The permit came in the same moment as the cancellation.
            else:
                turn.cancel()
                self._waiting -= 1
                self._forget_cancelled()
            raise

    def give_back(self) -> None:
        """Pass a permit on to the first waiter, or free it."""
        while self._queue:
            turn = heapq.heappop(self._queue)[2]
            if not turn.done():
                self._waiting -= 1
                turn.set_result(None)
                return
        self._in_flight -= 1

    def _forget_cancelled(self) -> None:
        # Cancelled turns leave the heap when they reach its top; a mass cancellation must not stay in memory.
        if len(self._queue) > 2 * self._waiting:
            self._queue = [entry for entry in self._queue if not entry[2].done()]
            heapq.heapify(self._queue)


class _Permit:
    __slots__ = ("_dialogue", "_gate")

    def __init__(self, gate: FixedGate, dialogue: int) -> None:
        self._gate = gate
        self._dialogue = dialogue

    async def __aenter__(self) -> Lease:
        await self._gate.take(self._dialogue)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._gate.give_back()

    def settle(self, outcome: Outcome) -> None:
        """A fixed limit learns nothing from how attempts end."""
