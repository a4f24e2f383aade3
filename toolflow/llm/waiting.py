"""Who waits for a permit: calls of older dialogues first, in order inside a dialogue."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

from toolflow.llm.chat import Request
from toolflow.llm.permit import Passage

Turn = asyncio.Future[Passage]
"""Done once it is somebody's turn, or once they no longer want it."""


class TurnedAwayError(Exception):
    """Whoever waits here should ask for another gate: this one's endpoint is down."""


class Waiting:
    """A queue that may be left at any moment.

    Attributes:
        count: How many wait.
    """

    __slots__ = ("_entries", "_tickets", "count")

    def __init__(self) -> None:
        self.count = 0
        self._entries: list[tuple[int, int, Request, Turn]] = []
        self._tickets = count()

    def join(self, request: Request) -> Turn:
        """Wait behind all calls of older dialogues and the earlier ones of its own."""
        turn: Turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._entries, (request.key.dialogue, next(self._tickets), request, turn))
        self.count += 1
        return turn

    def head(self) -> Request | None:
        """Whose turn it is next."""
        entries = self._entries
        while entries and entries[0][3].done():  # They left.
            heapq.heappop(entries)
        return entries[0][2] if entries else None

    def let_in(self, passage: Passage) -> None:
        """It is the turn of the head."""
        turn = heapq.heappop(self._entries)[3]
        self.count -= 1
        turn.set_result(passage)

    def leave(self, turn: Turn) -> None:
        """Somebody no longer waits."""
        turn.cancel()
        self.count -= 1
        # Who left goes on reaching the top; a mass cancellation must not stay in memory.
        if len(self._entries) > 2 * self.count:
            self._entries = [entry for entry in self._entries if not entry[3].done()]
            heapq.heapify(self._entries)

    def turn_away(self) -> None:
        """Send all elsewhere."""
        entries, self._entries = self._entries, []
        for entry in entries:
            if not entry[3].done():  # The others were cancelled, and count themselves out.
                entry[3].set_exception(TurnedAwayError())
                self.count -= 1
