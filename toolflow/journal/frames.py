"""The bodies of calls, found by where their rows say they are."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from typing import Final

from toolflow.errors import JournalDamagedError
from toolflow.journal.bodies import decompress

_KEPT: Final = 256
"""Of some 60 KB each."""


class Frames:
    """The bodies of calls by frame and place.

    The frames that were read last are kept: the dialogues of one time have theirs in the same.

    Args:
        connection: To the journal.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._kept: OrderedDict[int, list[bytes]] = OrderedDict()

    def body(self, frame: int, place: int) -> bytes:
        """One body.

        Raises:
            sqlite3.Error: It cannot be read.
            JournalDamagedError: It is lost, or not what was written.
        """
        bodies = self._kept.pop(frame, None)
        if bodies is None:
            row = self._connection.execute("SELECT body FROM frames WHERE id = ?", (frame,)).fetchone()
            bodies = decompress(row[0]) if row else []
            if len(self._kept) >= _KEPT:
                self._kept.popitem(last=False)
        self._kept[frame] = bodies
        if place >= len(bodies):
            raise JournalDamagedError(f"a body in the journal is lost: line {place} of frame {frame}")
        return bodies[place]
