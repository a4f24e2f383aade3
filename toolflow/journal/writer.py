"""The one thread that writes the journal: a batch at a time, as its owner hands them over.

Whenever this thread lets another one run it may wait for it, so it does its work in few and large steps: it
is woken once a batch, compresses the bodies of all calls in one step, and writes them with one statement.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import astuple
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NamedTuple

import msgspec

from toolflow.journal.bodies import CallRecord, Part, compress_all, rows_of
from toolflow.journal.reading import DialogueState
from toolflow.journal.schema import ADD_UP, CALL_COLUMNS, open_for_writing

_LOCK_SECONDS: Final = 600.0
"""So long a lock of another program is waited for before the run ends: the watchdog tells of it meanwhile."""
_PATIENCE: Final = 0.5
"""Seconds of one wait for it; who stops waits no longer."""
_AT_ONCE: Final = 128
"""Rows in one statement; the connection keeps a prepared one for each number of calls."""


class WrittenCall(NamedTuple):
    """A call to be written, and who waits for it to be durable."""

    record: CallRecord
    durable: asyncio.Future[None]


class WrittenEvent(NamedTuple):
    """A row of ``events`` to be written; ``detail`` is JSON."""

    at: float
    kind: str
    detail: str


News = DialogueState | WrittenEvent


class Batch(NamedTuple):
    """What is committed at once: calls, and what only informs the reader."""

    calls: Sequence[WrittenCall]
    news: Sequence[News]


class Writer(threading.Thread):
    """Commits the batches that it is given until it is told to stop.

    Args:
        path: The journal.
        committed: Called in this thread after each batch with its calls and what went wrong.
    """

    def __init__(
        self, path: Path, committed: Callable[[Sequence[WrittenCall], Exception | None], None]
    ) -> None:
        super().__init__(name="journal", daemon=True)
        self._path = path
        self._committed = committed
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._news: list[News] = []
        self._known_parts: set[bytes] = set()
        self._stopping = False

    def put(self, batch: Batch) -> None:
        """Have a batch committed."""
        self._queue.put(batch)

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
            while (batch := self._queue.get()) is not None:
                failure = unopened if connection is None else self._commit(connection, batch)
                self._committed(batch.calls, failure)

    def _commit(self, connection: sqlite3.Connection, batch: Batch) -> Exception | None:
        records = [call.record for call in batch.calls]
        parts = {
            part.hash: part
            for record in records
            for part in record.parts
            if part.hash not in self._known_parts
        }
        self._news += batch.news
        try:
            rows = rows_of(records)
            if parts or self._news or len(rows) > _AT_ONCE:
                self._when_free(lambda: connection.execute("BEGIN IMMEDIATE"))
                _write_parts(connection, [*parts.values()])
                _write_calls(connection, rows)
                if self._news:
                    _write_news(connection, self._news)
                    connection.execute(ADD_UP)
                connection.execute("COMMIT")
            elif rows:
                self._when_free(lambda: _write_calls(connection, rows))  # a transaction of its own
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait must be told
            with suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            return error
        self._known_parts.update(parts)
        self._news = []
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


def _write_calls(connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    _insert(connection, f"INSERT INTO calls ({CALL_COLUMNS})", rows)


def _write_parts(connection: sqlite3.Connection, parts: Sequence[Part]) -> None:
    frames = compress_all([msgspec.json.encode(part.content) for part in parts])
    rows = [(part.hash, part.kind, frame) for part, frame in zip(parts, frames, strict=True)]
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
