"""The one thread that writes the journal: it commits whatever has gathered since its last commit.

A batch of calls is one statement, and what only informs the reader (states and events) is written twice a
second at most: whenever this thread lets another one run it may wait for it, so it does its work in few and
large steps. Bodies come compressed for the same reason.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import astuple
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple

import msgspec

from toolflow.journal.bodies import Part, compress
from toolflow.journal.reading import DialogueState
from toolflow.journal.schema import CALL_COLUMNS, open_for_writing

_REST: Final = 0.010
"""Seconds from one commit to the next: what a commit costs is shared by the calls that come meanwhile."""
_NEWS_AFTER: Final = 0.5
"""Seconds that states and events may wait."""
_LOCK_SECONDS: Final = 600.0
"""So long a lock of another program is waited for before the run ends: the watchdog tells of it meanwhile."""
_PATIENCE: Final = 0.5
"""Seconds of one wait for it; who stops waits no longer."""
_AT_ONCE: Final = 128
"""Rows in one statement; the connection keeps a prepared one for each number of calls."""


class WrittenCall(NamedTuple):
    """A row of ``calls`` to be written, the parts that it names, and who waits for it to be durable."""

    row: tuple[object, ...]
    parts: tuple[Part, ...]
    durable: asyncio.Future[None]


class WrittenEvent(NamedTuple):
    """A row of ``events`` to be written; ``detail`` is JSON."""

    at: float
    kind: str
    detail: str


News = DialogueState | WrittenEvent


class Writer(threading.Thread):
    """Commits what it is given until it is told to stop.

    Args:
        path: The journal.
        committed: Called in this thread after each commit of calls, or attempt at one, with the calls and
            what went wrong.
    """

    def __init__(self, path: Path, committed: Callable[[list[WrittenCall], Exception | None], None]) -> None:
        super().__init__(name="journal", daemon=True)
        self._path = path
        self._committed = committed
        self._queue: SimpleQueue[WrittenCall | News | None] = SimpleQueue()
        self._news: list[News] = []
        self._news_at = self._committed_at = 0.0
        self._known_parts: set[bytes] = set()
        self._going = True
        self._stopping = False

    def put(self, entry: WrittenCall | News) -> None:
        """Have an entry committed."""
        self._queue.put(entry)

    def stop(self) -> None:
        """Commit what was put so far, and end."""
        self._stopping = True
        self._queue.put(None)
        self.join()

    def run(self) -> None:
        connection: sqlite3.Connection | None = None
        unopened: Exception | None = None
        try:
            connection = open_for_writing(self._path)
            connection.execute(f"PRAGMA busy_timeout = {int(_PATIENCE * 1000)}")
            self._known_parts = {row[0] for row in connection.execute("SELECT hash FROM parts")}
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait must be told
            unopened = error
        with closing(connection) if connection is not None else nullcontext():
            while self._going:
                calls = self._gather()
                failure = unopened if connection is None else self._commit(connection, calls)
                if calls:
                    self._committed(calls, failure)

    def _gather(self) -> list[WrittenCall]:
        """The calls that have come, once there is anything to write."""
        calls: list[WrittenCall] = []
        try:
            entry = self._queue.get(timeout=_NEWS_AFTER if self._news else None)
            pause = self._committed_at + _REST - time.monotonic()
            if pause > 0 and entry is not None:
                time.sleep(pause)
            while entry is not None:
                if isinstance(entry, WrittenCall):
                    calls.append(entry)
                else:
                    self._news.append(entry)
                entry = self._queue.get_nowait()
            self._going = False
        except Empty:
            pass
        self._committed_at = time.monotonic()
        return calls

    def _commit(self, connection: sqlite3.Connection, calls: list[WrittenCall]) -> Exception | None:
        parts = {
            part.hash: part for call in calls for part in call.parts if part.hash not in self._known_parts
        }
        news: list[News] = []
        if not self._going or self._committed_at - self._news_at >= _NEWS_AFTER:
            news = self._news
        try:
            if parts or news or len(calls) > _AT_ONCE:
                self._when_free(lambda: connection.execute("BEGIN IMMEDIATE"))
                _write_parts(connection, parts.values())
                _write_calls(connection, calls)
                _write_news(connection, news)
                connection.execute("COMMIT")
            elif calls:
                self._when_free(lambda: _write_calls(connection, calls))  # a transaction of its own
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait must be told
            with suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            return error
        self._known_parts.update(parts)
        if news:
            self._news, self._news_at = [], self._committed_at
        return None

    def _when_free(self, begin: Callable[[], object]) -> None:
        """Begin a transaction once no other program holds a lock any more, or we are to stop."""
        until = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                begin()
            except sqlite3.OperationalError as error:
                locked = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not locked or self._stopping or time.monotonic() > until:
                    raise
            else:
                return


def _write_calls(connection: sqlite3.Connection, calls: list[WrittenCall]) -> None:
    _insert(connection, f"INSERT INTO calls ({CALL_COLUMNS})", [call.row for call in calls])


def _write_parts(connection: sqlite3.Connection, parts: Iterable[Part]) -> None:
    rows = [(part.hash, part.kind, compress(msgspec.json.encode(part.content))) for part in parts]
    _insert(connection, "INSERT OR IGNORE INTO parts (hash, kind, body)", rows)


def _write_news(connection: sqlite3.Connection, news: list[News]) -> None:
    # Of several states of a dialogue the last one counts.
    states = {entry.dialogue: astuple(entry) for entry in news if isinstance(entry, DialogueState)}
    _insert(
        connection,
        "INSERT OR REPLACE INTO dialogues (dialogue, state, stage, reason, at)",
        [*states.values()],
    )
    events = [entry for entry in news if isinstance(entry, WrittenEvent)]
    _insert(connection, "INSERT INTO events (at, kind, detail)", events)


def _insert(connection: sqlite3.Connection, into: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Write rows with one statement for 128 of them."""
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        places = f"({', '.join('?' * len(some[0]))})"
        connection.execute(
            f"{into} VALUES {', '.join([places] * len(some))}", [value for row in some for value in row]
        )
