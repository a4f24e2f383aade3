"""Checks a journal when it is opened.

A journal of moderate size is checked whole; of a larger one the ends of its tables and a sample of its rows
are read, so that opening it stays quick. Damage that this does not find shows when a dialogue is replayed,
and then everything is read.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Final, Literal

from toolflow.errors import JournalDamagedError
from toolflow.journal.bodies import decompress
from toolflow.journal.frames import Frames
from toolflow.journal.opening import check_version, is_empty, worded
from toolflow.journal.schema import CALL_COLUMNS, check_call

_WHOLE_CHECK: Final = 128 * 2**20
"""Bytes up to which a journal is checked whole when it is opened."""
_SAMPLES: Final = 200
_LOCK_SECONDS: Final = 2.0
"""Longer than a program that closes the file takes to merge the log; one that holds a lock on is refused."""


def find_damage(path: Path, *, thorough: bool = False) -> str | None:
    """What is wrong with a journal; None where nothing is found, or where there is none.

    A damaged one is left as it is, with its log.

    Args:
        path: The journal; no other process may be writing to it.
        thorough: Read everything, however large it is.

    Raises:
        RunDirectoryError: It is no journal, one of another version, locked, or cannot be written.
    """
    if not path.exists() or not path.stat().st_size:
        log = path.with_name(path.name + "-wal")
        return "it is gone, and its log is there" if log.exists() and log.stat().st_size else None
    try:
        if path.with_name(path.name + "-journal").exists():
            _take_back(path)
        # Only read: whoever may write merges the log when he closes, and deletes it.
        with closing(_connect(path, "ro")) as connection:
            if not is_empty(connection):
                check_version(connection, path)
                found = _look(connection, thorough=thorough)
                if found is not None:
                    return found
        with closing(_connect(path, "rw")) as connection:
            # Who cannot record a reply must not pay for it.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except JournalDamagedError as error:
        return error.message
    except sqlite3.Error as error:
        told = worded(path, error)
        if not isinstance(told, JournalDamagedError):
            raise told from error
        return str(error)
    return None


def _take_back(path: Path) -> None:
    """Undo the half of a first write: whoever made the file died before it had a log."""
    with closing(_connect(path, "rw")) as connection:
        connection.execute("PRAGMA schema_version").fetchone()


def _connect(path: Path, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(address, uri=True, isolation_level=None, timeout=_LOCK_SECONDS)


def _look(connection: sqlite3.Connection, *, thorough: bool) -> str | None:
    """What is wrong.

    Raises:
        sqlite3.Error: A page is damaged.
        JournalDamagedError: A body or a call is.
    """
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    size = pages * connection.execute("PRAGMA page_size").fetchone()[0]
    if thorough:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        for row in connection.execute(f"SELECT id, {CALL_COLUMNS} FROM calls"):  # noqa: S608  a constant
            check_call(row)
        lines = {
            number: len(decompress(body))
            for number, body in connection.execute("SELECT id, body FROM frames")
        }
        for frame, last in connection.execute("SELECT frame, max(place) FROM calls GROUP BY frame"):
            if last >= lines.get(frame, 0):
                raise JournalDamagedError(f"a body in the journal is lost: line {last} of frame {frame}")
    elif size <= _WHOLE_CHECK:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    else:
        _sample(connection)
        return None
    return None if found == "ok" else " ".join(found.split())


def _sample(connection: sqlite3.Connection) -> None:
    """Read the ends of every table and rows all over the largest.

    Raises:
        sqlite3.Error: A page is damaged.
        JournalDamagedError: A body is.
    """
    for table in ("parts", "usage"):
        connection.execute(f"SELECT * FROM {table} LIMIT {_SAMPLES}").fetchall()  # noqa: S608
    for table in ("dialogues", "events"):
        connection.execute(f"SELECT * FROM {table} ORDER BY rowid DESC LIMIT {_SAMPLES}").fetchall()  # noqa: S608
    last = connection.execute("SELECT max(id) FROM calls").fetchone()[0] or 0
    draw = Random(last)
    numbers = {*range(last - 20, last + 1), *(draw.randint(1, last) for _ in range(_SAMPLES))} if last else ()
    frames = Frames(connection)
    for number in numbers:
        row = connection.execute("SELECT dialogue, frame, place FROM calls WHERE id = ?", (number,))
        for dialogue, frame, place in row.fetchall():
            frames.body(frame, place)
            connection.execute("SELECT call FROM places WHERE dialogue = ?", (dialogue,)).fetchall()
