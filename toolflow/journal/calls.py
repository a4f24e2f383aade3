"""The call journal: every completed LLM call, durable before anything acts on it.

One writer thread commits whatever has gathered since its last commit, so that a thousand calls a second share
a few transactions. The database is in WAL mode: others may read it while the run goes on.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
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

# Jumps along the primary key: reads one entry per dialogue, where DISTINCT reads every call.
_DIALOGUES: Final = """
WITH RECURSIVE found (dialogue) AS (
    SELECT min(dialogue) FROM calls
    UNION ALL
    SELECT (SELECT min(dialogue) FROM calls WHERE dialogue > found.dialogue) FROM found
    WHERE found.dialogue IS NOT NULL
)
SELECT dialogue FROM found WHERE dialogue IS NOT NULL
"""
_COLUMNS: Final = [*CallKey._fields, "request_hash", "reply", "prompt_tokens", "completion_tokens"]
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


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
        self._in_use = False
        with _in_words(path):
            self._reader = _open(path)
            try:
                self._left_over = {row[0] for row in self._reader.execute(_DIALOGUES)}
            except BaseException:
                self._reader.close()
                raise
        self._writer = threading.Thread(target=self._write, name="journal", daemon=True)

    def __enter__(self) -> SqliteJournal:
        self._loop = asyncio.get_running_loop()
        self._writer.start()
        self._in_use = True
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._in_use = False
        self._queue.put(None)
        self._writer.join()
        self._reader.close()

    async def append(self, record: CallRecord) -> None:
        """Returns once the record is committed.

        Raises:
            RunDirectoryError: It cannot be written, or the journal is closed.
        """
        if not self._in_use:
            raise RunDirectoryError("the journal cannot be written: it is closed")
        durable: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((record, durable))
        await durable

    def calls_of(self, dialogue: int) -> Mapping[CallKey, CallRecord]:
        if dialogue not in self._left_over:
            return {}
        with _in_words(self._path):
            rows = self._reader.execute(
                "SELECT role, position, request_hash, reply, prompt_tokens, completion_tokens FROM calls "
                "WHERE dialogue = ?",
                (dialogue,),
            ).fetchall()
        records = (CallRecord(CallKey(dialogue, row[0], row[1]), *row[2:]) for row in rows)
        return {record.key: record for record in records}

    def totals(self) -> dict[str, int]:
        """Number of calls of the whole run, and their LLM tokens."""
        with _in_words(self._path):
            row = self._reader.execute(
                "SELECT count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0) "
                "FROM calls"
            ).fetchone()
        return dict(zip(("calls", "prompt_tokens", "completion_tokens"), row, strict=True))

    def usage_by_model(self) -> dict[str, Usage]:
        """LLM tokens of the whole run by the model that answered."""
        with _in_words(self._path):
            rows = self._reader.execute(
                "SELECT json_extract(CAST(reply AS TEXT), '$.model'), sum(prompt_tokens), "
                "sum(completion_tokens) FROM calls GROUP BY 1"
            ).fetchall()
        return {model or "": Usage(prompt, completion) for model, prompt, completion in rows}

    def _write(self) -> None:
        connection: sqlite3.Connection | None = None
        unopened: Exception | None = None
        try:
            connection = _open(self._path)
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait must be told
            unopened = error
        while (first := self._queue.get()) is not None:
            batch = [first]
            stop = False
            while not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    stop = True
                    break
                batch.append(following)
            failure = _commit(connection, batch) if connection is not None else unopened
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_settle, batch, failure)
            if stop:
                break
        if connection is not None:
            connection.close()


@contextmanager
def _in_words(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
        damaged = code in _DAMAGED or "malformed" in str(error)
        raise RunDirectoryError(
            f"{path}: {error}",
            hint="The journal is damaged. Put back a copy of the folder, or begin anew with another -o RUN."
            if damaged
            else "Check that the folder is writable and the disk not full, or choose another -o RUN.",
        ) from error


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, SCHEMA_VERSION):
        raise RunDirectoryError(
            f"{path}: journal schema {version}, this ToolFlow writes schema {SCHEMA_VERSION}",
            hint="Continue the run with the version of ToolFlow that began it.",
        )
    if version == 0:
        # A process may have died between the two last statements below: its empty table is ours.
        columns = [row[1] for row in connection.execute("PRAGMA table_info(calls)")]
        ours = {"calls", "sqlite_autoindex_calls_1"} if columns == _COLUMNS else set[str]()
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
        foreign = [name for name in names if name not in ours]
        if foreign:
            raise RunDirectoryError(
                f"{path} is no journal but another database: it holds {foreign[0]!r}",
                hint="Choose another folder with -o RUN.",
            )
    connection.execute("PRAGMA journal_mode = WAL")
    # Safe against the death of the process; a power cut may cost the last commits, which are then paid again.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(_SCHEMA)
    if version == 0:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _commit(connection: sqlite3.Connection, batch: list[_Waiting]) -> Exception | None:
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(*record.key, *record[1:]) for record, _ in batch],
        )
        connection.execute("COMMIT")
    except Exception as error:  # noqa: BLE001  whatever it is, those who wait must be told
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return error
    return None


def _settle(batch: list[_Waiting], error: Exception | None) -> None:
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
