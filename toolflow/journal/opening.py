"""Opens journals, and tells in words why one cannot be opened or used."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from toolflow.errors import JournalDamagedError, RunDirectoryError
from toolflow.journal.schema import LOG_BYTES, PAGE_BYTES, SCHEMA_VERSION, TABLES

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
LOCK_SECONDS: Final = 30.0
"""So long a lock that another program holds is waited for."""


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
