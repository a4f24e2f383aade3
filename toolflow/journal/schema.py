"""The journal's tables, and how to open them.

RUN/journal.sqlite is an SQLite database in WAL mode: any program may read it while the run goes on.

``calls``, one row for each completed LLM call:

==================== =====================================================================================
id                   counts the calls of the run in the order in which they were completed
dialogue             index of the dialogue
role                 ``planner``, ``user``, ``assistant`` or ``tool``
position             counts the calls of that role in the dialogue
request_hash         16 bytes of XXH3 over all that the model was told
model                name of the model that answered
endpoint             base URL of who answered
finish_reason        ``stop``, ``tool_calls``, ``length`` or ``content_filter``
prompt_tokens        LLM tokens of the prompt
completion_tokens    LLM tokens of the completion
attempts             how many sends it took; 0 for a call that a fork has taken over from another run
sent_at              when the last one was sent, in Unix seconds; for the reader alone, nothing rests on it
seconds              how long the last one took
frame, place         where its request and reply are: the row of ``frames``, and which line there, from 0
==================== =====================================================================================

``frames``: what calls that were committed together said and what was answered, since together they take half
the space and half the time. ``decode`` of :mod:`toolflow.journal.bodies`, where bodies are explained, reads
the column ``body``.

``parts``: what many requests share, once each by content; ``kind`` is ``tool`` or ``schema``, ``body`` is
read by ``decode``. ``hash`` is what bodies name it by.

``usage``: the sums of ``calls`` by role and model; calls that were taken over from another run are not among
them. It is a view over ``sums``, which has been added up as far as the call ``through`` and follows twice a
second while the run goes on, and over the calls after that: always exact, and at no cost that grows.

``calls_by_dialogue``: which calls a dialogue has: their ``id`` as ``call``, by ``dialogue``. A view over
``places``, which follows with ``sums``, and over the calls after that. An index of ``calls`` would be written
to all over with every few calls, for half of what a commit takes.

``dialogues``: one row for each dialogue that was begun: ``state`` is ``alive``, ``accepted``, ``rejected`` or
``failed``; ``stage`` and ``reason`` say why it was thrown out; ``at`` is when, in Unix seconds.

``events``: what befell the run: ``at`` in Unix seconds, ``kind`` (a word of :mod:`toolflow.journal.events`),
``detail`` a JSON object.

``PRAGMA user_version`` is the version of these tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from toolflow.errors import JournalDamagedError, RunDirectoryError

SCHEMA_VERSION: Final = 6

CALL_COLUMNS: Final = (
    "dialogue, role, position, request_hash, model, endpoint, finish_reason, prompt_tokens, "
    "completion_tokens, attempts, sent_at, seconds, frame, place"
)

TABLES: Final = {
    "calls": """
        CREATE TABLE calls (
            id                INTEGER PRIMARY KEY,
            dialogue          INTEGER NOT NULL,
            role              TEXT    NOT NULL,
            position          INTEGER NOT NULL,
            request_hash      BLOB    NOT NULL,
            model             TEXT    NOT NULL,
            endpoint          TEXT    NOT NULL,
            finish_reason     TEXT    NOT NULL,
            prompt_tokens     INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL,
            attempts          INTEGER NOT NULL,
            sent_at           REAL    NOT NULL,
            seconds           REAL    NOT NULL,
            frame             INTEGER NOT NULL,
            place             INTEGER NOT NULL
        )""",
    "frames": """
        CREATE TABLE frames (
            id   INTEGER PRIMARY KEY,
            body BLOB NOT NULL
        )""",
    "parts": """
        CREATE TABLE parts (
            hash BLOB PRIMARY KEY,
            kind TEXT NOT NULL,
            body BLOB NOT NULL
        ) WITHOUT ROWID""",
    "sums": """
        CREATE TABLE sums (
            role              TEXT    NOT NULL,
            model             TEXT    NOT NULL,
            calls             INTEGER NOT NULL,
            prompt_tokens     INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL,
            attempts          INTEGER NOT NULL,
            seconds           REAL    NOT NULL,
            through           INTEGER NOT NULL,
            PRIMARY KEY (role, model)
        ) WITHOUT ROWID""",
    "places": """
        CREATE TABLE places (
            dialogue INTEGER NOT NULL,
            call     INTEGER NOT NULL,
            PRIMARY KEY (dialogue, call)
        ) WITHOUT ROWID""",
    "calls_by_dialogue": """
        CREATE VIEW calls_by_dialogue AS
        SELECT dialogue, call FROM places
        UNION ALL
        SELECT dialogue, id FROM calls WHERE id > (SELECT coalesce(max(through), 0) FROM sums)""",
    "usage": """
        CREATE VIEW usage AS
        SELECT
            role, model, sum(calls) AS calls, sum(prompt_tokens) AS prompt_tokens,
            sum(completion_tokens) AS completion_tokens, sum(attempts) AS attempts, sum(seconds) AS seconds
        FROM (
            SELECT role, model, calls, prompt_tokens, completion_tokens, attempts, seconds FROM sums
            UNION ALL
            SELECT role, model, 1, prompt_tokens, completion_tokens, attempts, seconds FROM calls
            WHERE id > (SELECT coalesce(max(through), 0) FROM sums) AND attempts > 0
        )
        GROUP BY role, model HAVING sum(calls) > 0""",
    "dialogues": """
        CREATE TABLE dialogues (
            dialogue INTEGER PRIMARY KEY,
            state    TEXT NOT NULL,
            stage    TEXT,
            reason   TEXT,
            at       REAL NOT NULL
        )""",
    "events": """
        CREATE TABLE events (
            id     INTEGER PRIMARY KEY,
            at     REAL NOT NULL,
            kind   TEXT NOT NULL,
            detail TEXT NOT NULL
        )""",
}

_FIND_PLACES: Final = """
    INSERT INTO places
    SELECT dialogue, id FROM calls WHERE id > (SELECT coalesce(max(through), 0) FROM sums)
"""
_ADD_UP: Final = """
    INSERT INTO sums
    SELECT
        role, model, sum(attempts > 0), sum((attempts > 0) * prompt_tokens),
        sum((attempts > 0) * completion_tokens), sum(attempts), sum((attempts > 0) * seconds), max(id)
    FROM calls WHERE id > (SELECT coalesce(max(through), 0) FROM sums)
    GROUP BY role, model
    ON CONFLICT (role, model) DO UPDATE SET
        calls = calls + excluded.calls,
        prompt_tokens = prompt_tokens + excluded.prompt_tokens,
        completion_tokens = completion_tokens + excluded.completion_tokens,
        attempts = attempts + excluded.attempts,
        seconds = seconds + excluded.seconds,
        through = excluded.through
"""
PAGE_BYTES: Final = 4096
LOG_BYTES: Final = 16 * 2**20
"""The write-ahead log is copied into the database from about this length on, and cut back to it then."""
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
LOCK_SECONDS: Final = 30.0
"""So long a lock that another program holds is waited for."""


def catch_up(connection: sqlite3.Connection) -> None:
    """Bring ``places`` and ``sums`` up to the last call, inside a transaction.

    A trigger would do it for each call, for a third of what one takes.
    """
    connection.execute(_FIND_PLACES)
    connection.execute(_ADD_UP)


@contextmanager
def in_words(path: Path) -> Generator[None]:
    """Turn what SQLite raises into the errors of the house.

    Raises:
        JournalDamagedError: The file is damaged.
        RunDirectoryError: It cannot be used.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise worded(path, error) from error


def worded(path: Path, error: sqlite3.Error) -> RunDirectoryError:
    """The error of the house for one of SQLite's."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
    if code in _DAMAGED or "malformed" in str(error):
        return JournalDamagedError(
            f"{path} is damaged: {error}",
            hint="Run the same command again: it saves what can be read, and continues the run.",
        )
    if code in _LOCKED:
        return RunDirectoryError(
            f"{path} is locked by another program: {error}",
            hint="Look for a database shell or a viewer that has a transaction open there, close it, and run "
            "the same command again: it continues the run.",
        )
    return RunDirectoryError(
        f"{path}: {error}",
        hint="Check that the folder is writable and the disk not full, then run the same command again: it "
        "continues the run.",
    )


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open a journal, made if it is not there.

    Raises:
        RunDirectoryError: It is no journal, or one of another version.
        sqlite3.Error: It cannot be opened.
    """
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=LOCK_SECONDS, cached_statements=256
    )
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a journal that a run may be writing to at the same time; nothing is changed or locked.

    Raises:
        RunDirectoryError: There is none, it is no journal, or one of another version.
        sqlite3.Error: It cannot be opened.
    """
    if not path.exists():
        raise RunDirectoryError(
            f"there is no journal at {path}", hint="Name the folder that was given to toolflow synth -o."
        )
    where = path.absolute().as_uri()
    connection = _connect_read_only(f"{where}?mode=ro")
    try:
        try:
            check_version(connection, path)
        except sqlite3.OperationalError:
            # In a folder that cannot be written SQLite finds no place for its shared index, and needs none
            # where no log is left.
            if Path(f"{path}-wal").exists():
                raise
            connection.close()
            connection = _connect_read_only(f"{where}?mode=ro&immutable=1")
            check_version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_read_only(address: str) -> sqlite3.Connection:
    return sqlite3.connect(
        address, uri=True, isolation_level=None, check_same_thread=False, timeout=LOCK_SECONDS
    )


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether this is a new file, or one whose process died before it had made the tables."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    return not version and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse what is no journal, and journals of other versions.

    Raises:
        RunDirectoryError: It is one of those.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
    if version == SCHEMA_VERSION and "calls" in names:
        return
    if version and (not names or "calls" in names):
        raise RunDirectoryError(
            f"{path}: journal schema {version}, this ToolFlow knows schema {SCHEMA_VERSION}",
            hint="Continue the run with the version of ToolFlow that began it, or begin another one with "
            "another -o RUN.",
        )
    what = f"it holds {names[0]!r}" if names else "it is empty"
    raise RunDirectoryError(
        f"{path} is no journal but another database: {what}", hint="Choose another folder with -o RUN."
    )


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    new = is_empty(connection)
    if not new:
        check_version(connection, path)
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new journal; ``salvage`` rests on it
    connection.execute("PRAGMA journal_mode = WAL")
    # Safe against the death of the process; a power cut may cost the last commits, which are then paid again.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
    if new:
        connection.execute("BEGIN IMMEDIATE")
        for statement in TABLES.values():
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
