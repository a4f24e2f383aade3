"""Saves what can be read of a damaged journal into a new one.

The damaged file is kept beside the new one as journal.sqlite.damaged-1, -2 and so on. What is lost is paid
for again, and nothing is doubled: the calls that were saved are replayed as ever.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from toolflow.errors import JournalDamagedError, RunDirectoryError
from toolflow.journal.bodies import decompress
from toolflow.journal.carving import carve_calls
from toolflow.journal.damage import find_damage
from toolflow.journal.schema import CALL_COLUMNS, PAGE_BYTES, check_version, open_for_writing

_AT_A_TIME: Final = 512
_FEWEST_BYTES: Final = 128
"""No call takes less in the file."""


@dataclass(frozen=True, slots=True)
class Salvage:
    """What became of a damaged journal.

    Attributes:
        damage: What was found, in SQLite's words.
        saved: Calls in the new journal.
        lost: Calls that can no longer be read, as far as is known; None where nothing tells.
        kept: The damaged file.
    """

    damage: str
    saved: int
    lost: int | None
    kept: Path

    def to_json(self) -> dict[str, Any]:
        return {"damage": self.damage, "saved": self.saved, "lost": self.lost, "kept": self.kept.name}

    def __str__(self) -> str:
        lost = "" if self.lost is None else f", {self.lost:,} lost"
        return (
            f"The journal was damaged ({self.damage}). {self.saved:,} calls were saved{lost}; what is "
            f"missing is asked for again. The damaged file is kept as {self.kept.name}."
        )


def mend(path: Path, *, thorough: bool = False) -> Salvage | None:
    """Check a journal, and put what can be read of it in its place where it is damaged.

    Args:
        path: The journal; the run directory's lock is held.
        thorough: Damage has shown: read everything, however large it is.

    Returns:
        What was done; None where nothing is wrong.

    Raises:
        RunDirectoryError: It is no journal, one of another version, locked, or cannot be saved.
    """
    _finish_interrupted(path)
    damage = find_damage(path, thorough=thorough)
    return None if damage is None else salvage(path, damage)


def salvage(path: Path, damage: str) -> Salvage:
    """Put a new journal with all that can be read in the place of a damaged one.

    Args:
        path: The journal.
        damage: What is wrong with it, for the notice.

    Raises:
        RunDirectoryError: The new journal cannot be written; the damaged one is in its place as before.
    """
    fresh = _beside(path, ".fresh")
    try:
        _remove(fresh)
        with closing(open_for_writing(fresh)) as target:
            lost = _save(path, target)
            saved = _count(target)
        kept = _move_aside(path)
        fresh.replace(path)
    except (sqlite3.Error, OSError) as error:
        raise RunDirectoryError(
            f"{path} is damaged ({damage}), and what can be read of it cannot be saved: {error}",
            hint="Free as much disk space as the journal takes, then run the same command again.",
        ) from error
    return Salvage(damage, saved, lost, kept)


def _save(path: Path, target: sqlite3.Connection) -> int | None:
    """Copy all rows that can be read, in one transaction; how many calls are lost, where that is known."""
    with _readable(path) as source:
        target.execute("BEGIN")
        for row in _rows_by_hash(source):
            if _is_body(row[-1]):
                target.execute("INSERT OR IGNORE INTO parts (hash, kind, body) VALUES (?, ?, ?)", row)
        most = _last(source, "calls", "id") or path.stat().st_size // _FEWEST_BYTES
        values = ", ".join("?" * len(CALL_COLUMNS.split(",")))
        insert_call = f"INSERT OR IGNORE INTO calls (id, {CALL_COLUMNS}) VALUES (?, {values})"  # noqa: S608
        for row in _rows(source, "calls", f"id, {CALL_COLUMNS}", "id", most):
            if _is_body(row[-1]):
                target.execute(insert_call, row)
        for table, columns, key in (
            ("dialogues", "dialogue, state, stage, reason, at", "dialogue"),
            ("events", "id, at, kind, detail", "id"),
        ):
            last = _last(source, table, key) or 0
            values = ", ".join("?" * len(columns.split(",")))
            insert = f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({values})"  # noqa: S608
            target.executemany(insert, _rows(source, table, columns, key, last))
        target.execute("COMMIT")
        begun = _last(source, "calls", "id")
    if begun is None or _count(target) < begun:
        _save_carved(path, target, insert_call)
    last = max(begun or 0, _last(target, "calls", "id") or 0)
    return last - _count(target) if last else None


def _save_carved(path: Path, target: sqlite3.Connection, insert: str) -> None:
    """Add the calls that lie on pages which no tree leads to any more."""
    copy = _beside(path, ".copy")
    try:
        for suffix in ("", "-wal"):
            if _beside(path, suffix).exists():
                shutil.copyfile(_beside(path, suffix), _beside(copy, suffix))
        with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(copy)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all into one file
        target.execute("BEGIN")
        for row in carve_calls(copy):
            if _is_body(row[-1]):
                target.execute(insert, row)
        target.execute("COMMIT")
    finally:
        _remove(copy)


def _count(journal: sqlite3.Connection) -> int:
    count: int = journal.execute("SELECT count(*) FROM calls").fetchone()[0]
    return count


@contextmanager
def _readable(path: Path) -> Generator[sqlite3.Connection]:
    """The damaged journal, opened; where its first page is gone, a copy that was given that of a new one.

    The first page holds nothing but the names of the tables and where they begin, which is the same in every
    journal.
    """
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        _be_lenient(connection)
        try:
            check_version(connection, path)
        except (sqlite3.Error, RunDirectoryError):
            pass
        else:
            yield connection
            return
    copy = _beside(path, ".copy")
    try:
        shutil.copyfile(path, copy)
        with copy.open("r+b") as file:
            page = _first_page(copy, copy.stat().st_size)
            file.write(page)
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            _be_lenient(connection)
            yield connection
    finally:
        _remove(copy)


def _first_page(beside: Path, size: int) -> bytes:
    """The first page of a journal of so many bytes."""
    template = _beside(beside, ".template")
    with closing(open_for_writing(template)):
        pass
    page = bytearray(template.read_bytes()[:PAGE_BYTES])
    _remove(template)
    page[28:32] = (size // PAGE_BYTES).to_bytes(4, "big")  # pages in the file
    return bytes(page)


def _rows(
    source: sqlite3.Connection, table: str, columns: str, key: str, last: int
) -> Iterator[tuple[Any, ...]]:
    """The rows with keys up to the last; a range that cannot be read is halved until what is lost is left."""
    ranges = [(start, min(start + _AT_A_TIME - 1, last)) for start in range(0, last + 1, _AT_A_TIME)]
    ranges.reverse()
    query = f"SELECT {columns} FROM {table} WHERE {key} BETWEEN ? AND ? ORDER BY {key}"  # noqa: S608
    while ranges:
        low, high = ranges.pop()
        try:
            yield from source.execute(query, (low, high)).fetchall()
        except sqlite3.DatabaseError:
            if low < high:
                middle = (low + high) // 2
                ranges += [(middle + 1, high), (low, middle)]


def _rows_by_hash(source: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """The parts that can be read from either end."""
    for order in ("", " ORDER BY hash DESC"):
        with suppress(sqlite3.DatabaseError):
            yield from source.execute(f"SELECT hash, kind, body FROM parts{order}")  # noqa: S608
            return


def _last(source: sqlite3.Connection, table: str, key: str) -> int | None:
    with suppress(sqlite3.DatabaseError):
        return source.execute(f"SELECT max({key}) FROM {table}").fetchone()[0] or 0  # noqa: S608
    return None


def _is_body(body: object) -> bool:
    with suppress(JournalDamagedError):
        return isinstance(body, bytes) and bool(decompress(body))
    return False


def _be_lenient(connection: sqlite3.Connection) -> None:
    """Read a file that is shorter than it should be, and text that is none."""
    connection.execute("PRAGMA writable_schema = ON")
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")


def _move_aside(path: Path) -> Path:
    number = 1
    while (kept := _beside(path, f".damaged-{number}")).exists():
        number += 1
    path.rename(kept)
    log = _beside(path, "-wal")
    if log.exists():
        log.rename(_beside(kept, "-wal"))
    _beside(path, "-shm").unlink(missing_ok=True)
    return kept


def _finish_interrupted(path: Path) -> None:
    """Where a process died after it had moved the damaged journal aside, the new one is whole beside it."""
    fresh = _beside(path, ".fresh")
    if path.exists() or not fresh.exists():
        return
    for suffix in ("-wal", "-shm"):
        _beside(path, suffix).unlink(missing_ok=True)  # the old journal's
    fresh.replace(path)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        _beside(path, suffix).unlink(missing_ok=True)
