"""Writes the journal, a batch at a time: on the loop where that is quick, in a thread of its own where not.

A commit copies a few pages into the page cache of the system, in less time than it takes to wake a thread and
to have the interpreter back from it: so it is done at once, where the caller is. What may take long is the
thread's: to open the journal, to wait for a lock of another program, and a disk that does not keep up. So is
copying a long log into the database, while commits go on: what they add meanwhile is little, and is copied at
the end, when the log begins anew.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import astuple
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from typing import Final, Literal, NamedTuple

from msgspec.json import encode as encode_json

from toolflow.journal.bodies import CallRecord, compress
from toolflow.journal.opening import open_for_writing
from toolflow.journal.reading import DialogueState
from toolflow.journal.schema import CALL_COLUMNS, LOG_BYTES, PAGE_BYTES, catch_up

_LOCK_SECONDS: Final = 600.0
"""So long a lock of another program is waited for before the run ends: the watchdog tells of it meanwhile."""
_PATIENCE: Final = 0.5
"""And so long by who stops."""
_ASK_AGAIN: Final = 0.02
"""Seconds until a lock is asked for again."""
_SLOW: Final = 0.02
"""A commit that takes more seconds than this is none for the loop: the disk is slow."""
_PENALTY: Final = 100
"""So many batches after that are left to the thread."""
AT_ONCE: Final = 128
"""Calls in a batch, so that it does not keep the loop for long."""
_PAGES: Final = 4
"""Of the log, beside the frames: what a commit takes as a rule."""
_FRAME: Final = 32
"""Calls in a frame: more would make it hardly smaller, and all are lost with it."""


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


class _Content(NamedTuple):
    """What of a batch goes into the tables; bodies are compressed."""

    parts: Sequence[tuple[bytes, str, bytes]]
    frames: Sequence[tuple[bytes, Sequence[CallRecord]]]
    news: Sequence[News]


class Writer(threading.Thread):
    """Commits the batches that it is given, one after the other, until it is told to stop.

    Args:
        path: The journal.
        committed: Called in this thread after each batch that the thread was left with, with its calls and
            what went wrong.
    """

    def __init__(
        self, path: Path, committed: Callable[[Sequence[WrittenCall], Exception | None], None]
    ) -> None:
        super().__init__(name="journal", daemon=True)
        self._path = path
        self._committed = committed
        self._queue: SimpleQueue[Batch | Literal["copy"] | None] = SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._known_parts: set[bytes] = set()
        self._kept_news: list[News] = []
        self._logged = 0
        self._copying = self._copied = False
        self._left_to_thread = 0
        self._stopping = False

    def write(self, batch: Batch) -> bool:
        """Commit a batch, now or soon. No other may be on its way.

        Returns:
            Whether it is committed; if not, the thread does it and tells.
        """
        if self._left_to_thread:
            self._left_to_thread -= 1
        elif self._connection is not None and not self._copied:
            with suppress(Exception):  # the thread meets it again, and tells
                began = time.monotonic()
                self._commit(self._connection, self._content_of(batch))
                if self._copying:
                    return True  # that it takes longer then says nothing
                if time.monotonic() - began > _SLOW:
                    self._left_to_thread = _PENALTY
                elif self._logged >= LOG_BYTES:
                    self._copying = True
                    self._queue.put("copy")
                return True
        self._queue.put(batch)
        return False

    def stop(self, last: Batch) -> None:
        """Commit what is on its way and a last batch, and end."""
        self._stopping = True
        self._queue.put(last)
        self._queue.put(None)
        self.join()

    def run(self) -> None:
        unopened: Exception | None = None
        try:
            connection = self._open()
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait must be told
            connection, unopened = None, error
        with closing(connection) if connection is not None else nullcontext():
            while (batch := self._queue.get()) is not None:
                if batch == "copy":
                    self._copy_log()
                    continue
                failure = unopened if connection is None else self._commit_patiently(connection, batch)
                self._connection = connection  # from now on it may be used by who hands over
                self._committed(batch.calls, failure)

    def _open(self) -> sqlite3.Connection:
        connection = open_for_writing(self._path)
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        self._known_parts = {row[0] for row in connection.execute("SELECT hash FROM parts")}
        return connection

    def _commit_patiently(self, connection: sqlite3.Connection, batch: Batch) -> Exception | None:
        """Commit a batch once no other program holds a lock any more; what went wrong."""
        began = time.monotonic()
        try:
            content = self._content_of(batch)
            while not self._committed_unless_locked(connection, content, began):
                time.sleep(_ASK_AGAIN)
            self._cut_log(connection)
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait must be told
            self._kept_news += batch.news
            return error
        return None

    def _committed_unless_locked(
        self, connection: sqlite3.Connection, content: _Content, began: float
    ) -> bool:
        try:
            self._commit(connection, content)
        except sqlite3.OperationalError as error:
            locked = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not locked or time.monotonic() - began > (_PATIENCE if self._stopping else _LOCK_SECONDS):
                raise
            return False
        return True

    def _copy_log(self) -> None:
        """Copy a long log into the database, as far as it goes now, while the loop commits."""
        with suppress(sqlite3.Error), closing(open_for_writing(self._path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._copied = True

    def _cut_log(self, connection: sqlite3.Connection) -> None:
        """Copy the rest of a long log, so that it begins anew unless somebody still reads in it."""
        if self._logged >= LOG_BYTES:
            with suppress(sqlite3.Error):  # then it grows on, and whoever finds no room is told
                _, logged, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if copied == logged:
                    self._logged = 0
        self._copying = self._copied = False

    def _content_of(self, batch: Batch) -> _Content:
        records = [call.record for call in batch.calls]
        parts = {
            part.hash: part
            for record in records
            for part in record.parts
            if part.hash not in self._known_parts
        }
        return _Content(
            [(part.hash, part.kind, compress([encode_json(part.content)])) for part in parts.values()],
            [
                (compress([record.body for record in some]), some)
                for some in (records[start : start + _FRAME] for start in range(0, len(records), _FRAME))
            ],
            [*self._kept_news, *batch.news],
        )

    def _commit(self, connection: sqlite3.Connection, content: _Content) -> None:
        """Write all of it, or raise and leave everything as it was."""
        parts, frames, news = content
        if not (parts or frames or news or self._stopping):
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            _insert(connection, "INSERT OR IGNORE INTO parts (hash, kind, body)", parts)
            for frame, records in frames:
                number = connection.execute("INSERT INTO frames (body) VALUES (?)", (frame,)).lastrowid
                rows = [(*record.key, *record[1:-2], number, place) for place, record in enumerate(records)]
                _insert(connection, f"INSERT INTO calls ({CALL_COLUMNS})", rows)
            if news:
                _write_news(connection, news)
            if news or self._stopping:
                catch_up(connection)
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            raise
        self._known_parts.update(part[0] for part in parts)
        self._kept_news.clear()
        self._logged += _PAGES * PAGE_BYTES + sum(len(frame) for frame, _ in frames)


def _write_news(connection: sqlite3.Connection, news: Sequence[News]) -> None:
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
    """Write rows with one statement for as many of them as a batch has calls at most."""
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        places = f"({', '.join('?' * len(some[0]))})"
        connection.execute(f"{into} VALUES {', '.join([places] * len(some))}", [*chain.from_iterable(some)])
