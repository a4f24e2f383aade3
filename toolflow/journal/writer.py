"""The one thread that writes the journal: it commits whatever has gathered since its last commit."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from dataclasses import astuple
from operator import add
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NamedTuple

import msgspec

from toolflow.journal.bodies import CallRecord, Part, compress
from toolflow.journal.reading import CALL_COLUMNS, DialogueState
from toolflow.journal.schema import open_for_writing

_REST: Final = 0.003
"""Seconds from one commit to the next: what a commit costs is shared by the calls that come meanwhile."""

_INSERT_CALL: Final = f"INSERT INTO calls ({CALL_COLUMNS}) VALUES ({', '.join('?' * 13)})"  # noqa: S608
_INSERT_PART: Final = "INSERT OR IGNORE INTO parts (hash, kind, body) VALUES (?, ?, ?)"
_INSERT_STATE: Final = (
    "INSERT OR REPLACE INTO dialogues (dialogue, state, stage, reason, at) VALUES (?, ?, ?, ?, ?)"
)
_INSERT_EVENT: Final = "INSERT INTO events (at, kind, detail) VALUES (?, ?, ?)"
_ADD_USAGE: Final = """
INSERT INTO usage (role, model, calls, prompt_tokens, completion_tokens, attempts, seconds)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (role, model) DO UPDATE SET
    calls = calls + excluded.calls,
    prompt_tokens = prompt_tokens + excluded.prompt_tokens,
    completion_tokens = completion_tokens + excluded.completion_tokens,
    attempts = attempts + excluded.attempts,
    seconds = seconds + excluded.seconds
"""


class WrittenEvent(NamedTuple):
    """A row of ``events`` to be written; ``detail`` is JSON."""

    at: float
    kind: str
    detail: str


Entry = CallRecord | DialogueState | WrittenEvent
Waiting = tuple[Entry, "asyncio.Future[None] | None"]
"""An entry, and who waits for it to be durable."""


class Writer(threading.Thread):
    """Commits entries until it is told to stop.

    Args:
        path: The journal.
        committed: Called in this thread after each commit, or attempt at one, with its entries and what went
            wrong.
    """

    def __init__(self, path: Path, committed: Callable[[list[Waiting], Exception | None], None]) -> None:
        super().__init__(name="journal", daemon=True)
        self._path = path
        self._committed = committed
        self._queue: SimpleQueue[Waiting | None] = SimpleQueue()
        self._known: set[bytes] = set()

    def put(self, entry: Entry, durable: asyncio.Future[None] | None = None) -> None:
        """Have an entry committed."""
        self._queue.put((entry, durable))

    def stop(self) -> None:
        """Commit what was put so far, and end."""
        self._queue.put(None)
        self.join()

    def run(self) -> None:
        connection: sqlite3.Connection | None = None
        unopened: Exception | None = None
        try:
            connection = open_for_writing(self._path)
            self._known = {row[0] for row in connection.execute("SELECT hash FROM parts")}
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait must be told
            unopened = error
        with closing(connection) if connection is not None else nullcontext():
            going = True
            while going:
                batch, going = self._gather()
                if batch:
                    failure = self._commit(connection, batch) if connection is not None else unopened
                    self._committed(batch, failure)

    def _gather(self) -> tuple[list[Waiting], bool]:
        """Whatever has come, once something has; whether more may come."""
        batch: list[Waiting] = []
        entry = self._queue.get()
        while entry is not None:
            batch.append(entry)
            if self._queue.empty():
                return batch, True
            entry = self._queue.get()
        return batch, False

    def _commit(self, connection: sqlite3.Connection, batch: list[Waiting]) -> Exception | None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            parts = self._write(connection, [entry for entry, _ in batch])
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait must be told
            with suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            return error
        self._known.update(parts)
        return None

    def _write(self, connection: sqlite3.Connection, entries: list[Entry]) -> set[bytes]:
        """Write entries into the open transaction; the hashes of the parts among them."""
        calls = [entry for entry in entries if isinstance(entry, CallRecord)]
        parts = {part.hash: part for call in calls for part in call.parts if part.hash not in self._known}
        connection.executemany(_INSERT_PART, [_part_row(part) for part in parts.values()])
        connection.executemany(_INSERT_CALL, [_call_row(call) for call in calls])
        connection.executemany(_ADD_USAGE, _usage_rows(calls))
        states = [entry for entry in entries if isinstance(entry, DialogueState)]
        connection.executemany(_INSERT_STATE, [astuple(state) for state in states])
        connection.executemany(_INSERT_EVENT, [entry for entry in entries if isinstance(entry, WrittenEvent)])
        return set(parts)


def _call_row(call: CallRecord) -> tuple[object, ...]:
    return (*call.key, *call[1:-2], compress(call.body))


def _part_row(part: Part) -> tuple[object, ...]:
    return (part.hash, part.kind, compress(msgspec.json.encode(part.content)))


def _usage_rows(calls: list[CallRecord]) -> list[tuple[object, ...]]:
    sums: dict[tuple[str, str], list[float]] = {}
    for call in calls:
        if not call.attempts:
            continue  # taken over from another run, which has paid for it
        added = (1, call.prompt_tokens, call.completion_tokens, call.attempts, call.seconds)
        known = sums.get((call.key.role, call.model))
        sums[call.key.role, call.model] = [*added] if known is None else [*map(add, known, added)]
    return [(*names, *figures) for names, figures in sums.items()]
