"""A bounded mailbox: one reader, many writers; a full one makes writers wait (backpressure)."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from toolflow.runtime.events import Event


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """A snapshot of a mailbox."""

    waiting: int
    capacity: int


class Mailbox:
    """Events for one agent, in the order in which they were published.

    Args:
        capacity: Most events that may wait; at least 1.
    """

    __slots__ = ("_capacity", "_events", "_reader", "_writers")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._events: deque[Event] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._writers: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"<Mailbox {len(self._events)}/{self._capacity}, {len(self._writers)} writers waiting>"

    def statistics(self) -> MailboxStatistics:
        return MailboxStatistics(len(self._events), self._capacity)

    async def put(self, event: Event) -> None:
        """Deliver an event; waits while the mailbox is full."""
        while len(self._events) >= self._capacity:
            room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._writers.append(room)
            try:
                await room
            except asyncio.CancelledError:
                if room.done() and not room.cancelled():
                    self._wake_writer()
                raise
        self._events.append(event)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self) -> Event:
        """The oldest event; waits for one. Only one task may read a mailbox."""
        while not self._events:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        event = self._events.popleft()
        self._wake_writer()
        return event

    def _wake_writer(self) -> None:
        while self._writers:
            room = self._writers.popleft()
            if not room.done():
                room.set_result(None)
                return
