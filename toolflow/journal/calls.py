"""The call journal: every completed LLM call, durable before anything acts on it.

One writer thread commits whatever has gathered since its last commit, so that a thousand calls a second share
a few transactions. The database is in WAL mode: others may read it while the run goes on.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NamedTuple, Protocol

from toolflow.errors import RunDirectoryError
from toolflow.llm.chat import CallKey, Usage

SCHEMA_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS calls (
    dialogue          INTEGER NOT NULL,
    role              TEXT    NOT NULL,  -- planner, user, assistant or tool
    position          INTEGER NOT NULL,  -- counts the calls of the role in the dialogue
    request_hash      BLOB    NOT NULL,  -- what was asked: 16 bytes
    reply             BLOB    NOT NULL,  -- JSON: message, finish_reason, model
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    PRIMARY KEY (dialogue, role, position)
) WITHOUT ROWID
"""


class CallRecord(NamedTuple):
    """One completed call as it is kept."""

    key: CallKey
    request_hash: bytes
    reply: bytes
    prompt_tokens: int
    completion_tokens: int


class CallJournal(Protocol):
    """Keeps completed calls, and gives them back by dialogue."""

    async def append(self, record: CallRecord) -> None:
        """Returns once the record is durable."""
        ...

    def calls_of(self, dialogue: int) -> Mapping[CallKey, CallRecord]:
        """The completed calls of a dialogue that an earlier process left unfinished."""
        ...


class MemoryJournal:
    """A journal for tests and virtual time: keeps records in memory and never blocks."""

    def __init__(self) -> None:
        self.records: dict[CallKey, CallRecord] = {}

    async def append(self, record: CallRecord) -> None:
        self.records[record.key] = record

    def calls_of(self, dialogue: int) -> Mapping[CallKey, CallRecord]:
        return {key: record for key, record in self.records.items() if key.dialogue == dialogue}


_Waiting = tuple[CallRecord, "asyncio.Future[None]"]


class SqliteJournal:
    """The journal of a run directory. Use as a context manager inside a running loop.

    Raises:
        RunDirectoryError: The file cannot be opened, is no journal, or has another schema version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        try:
            self._reader = _open(path)
            self._left_over = {row[0] for row in self._reader.execute("SELECT DISTINCT dialogue FROM calls")}
        except sqlite3.Error as error:
            raise RunDirectoryError(
                f"{path}: {error}",
                hint="Check that the folder is writable and the disk not full, or choose another -o RUN.",
            ) from error
        self._writer = threading.Thread(target=self._write, name="journal", daemon=True)

    def __enter__(self) -> SqliteJournal:
        self._loop = asyncio.get_running_loop()
        self._writer.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._queue.put(None)
        self._writer.join()
        self._reader.close()

    async def append(self, record: CallRecord) -> None:
        """Returns once the record is committed.

        Raises:
            RunDirectoryError: It cannot be written.
        """
        durable: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((record, durable))
        await durable

    def calls_of(self, dialogue: int) -> Mapping[CallKey, CallRecord]:
        if dialogue not in self._left_over:
            return {}
        rows = self._reader.execute(
            "SELECT role, position, request_hash, reply, prompt_tokens, completion_tokens FROM calls "
            "WHERE dialogue = ?",
            (dialogue,),
        )
        records = (CallRecord(CallKey(dialogue, row[0], row[1]), *row[2:]) for row in rows)
        return {record.key: record for record in records}

    def totals(self) -> dict[str, int]:
        """Number of calls of the whole run, and their LLM tokens."""
        row = self._reader.execute(
            "SELECT count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0) FROM calls"
        ).fetchone()
        return dict(zip(("calls", "prompt_tokens", "completion_tokens"), row, strict=True))

    def usage_by_model(self) -> dict[str, Usage]:
        """LLM tokens of the whole run by the model that answered."""
        rows = self._reader.execute(
            "SELECT json_extract(CAST(reply AS TEXT), '$.model'), sum(prompt_tokens), sum(completion_tokens) "
            "FROM calls GROUP BY 1"
        )
        return {model or "": Usage(prompt, completion) for model, prompt, completion in rows}

    def _write(self) -> None:
        connection = _open(self._path)
        while (first := self._queue.get()) is not None:
            batch = [first]
            stop = False
            while not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    stop = True
                    break
                batch.append(following)
            self._loop.call_soon_threadsafe(_settle, batch, _commit(connection, batch))
            if stop:
                break
        connection.close()


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    # Safe against the death of the process; a power cut may cost the last commits, which are then paid again.
    connection.execute("PRAGMA synchronous = NORMAL")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, SCHEMA_VERSION):
        connection.close()
        raise RunDirectoryError(
            f"{path}: journal schema {version}, this ToolFlow writes schema {SCHEMA_VERSION}",
            hint="Continue the run with the version of ToolFlow that began it.",
        )
    connection.execute(_SCHEMA)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    return connection


def _commit(connection: sqlite3.Connection, batch: list[_Waiting]) -> sqlite3.Error | None:
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(*record.key, *record[1:]) for record, _ in batch],
        )
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return error
    return None


def _settle(batch: list[_Waiting], error: sqlite3.Error | None) -> None:
    for _, durable in batch:
        if durable.done():
            continue
        if error is None:
            durable.set_result(None)
        else:
            durable.set_exception(
                RunDirectoryError(
                    f"the journal cannot be written: {error}",
                    hint="Free some disk space, then run the same command again: it continues the run.",
                )
            )
