"""Saves what can be read of a damaged journal into a new one.

Calls and frames are read page by page, whether or not the way to them is whole
(:mod:`toolflow.journal.carving`), and a call counts only where its frame is what was written. All else is
small and read through its tree, from either end. What is lost is paid for again, and nothing is doubled: the
calls that were saved are replayed as ever.

The damaged journal is never opened but copied, and is kept beside the new one as journal.sqlite.damaged-1, -2
and so on, with its log. Whoever dies in the middle leaves it in its place, or the new one whole beside it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from toolflow.errors import JournalDamagedError, RunDirectoryError
from toolflow.journal.bodies import decompress
from toolflow.journal.carving import Value, carve, merge_log
from toolflow.journal.damage import find_damage
from toolflow.journal.opening import open_for_writing
from toolflow.journal.schema import CALL_COLUMNS, PAGE_BYTES, catch_up
from toolflow.runtime.signals import interruptible

_SUMS: Final = "role, model, calls, prompt_tokens, completion_tokens, attempts, seconds, through"
_AT_LEAST_WHAT_WAS_SAVED: Final = """
    INSERT INTO sums
    SELECT
        role, model, count(*), sum(prompt_tokens), sum(completion_tokens), sum(attempts), sum(seconds),
        max(id)
    FROM calls WHERE attempts > 0
    GROUP BY role, model
    ON CONFLICT (role, model) DO UPDATE SET
        calls = excluded.calls,
        prompt_tokens = excluded.prompt_tokens,
        completion_tokens = excluded.completion_tokens,
        attempts = excluded.attempts,
        seconds = excluded.seconds
    WHERE excluded.calls > calls
"""
_OTHERS: Final = {
    "parts": ("hash, kind, body", "hash"),
    "dialogues": ("dialogue, state, stage, reason, at", "dialogue"),
    "events": ("id, at, kind, detail", "id"),
}
"""Columns and key of the tables that are read through their trees."""

_WHOLE: Final = ".fresh"
"""A new journal that only waits to take its place."""
_MAKING: Final = (".copy", ".template", ".making")


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


def mend(
    path: Path, *, thorough: bool = False, tell: Callable[[str], None] = lambda _: None
) -> Salvage | None:
    """Check a journal, and put what can be read of it in its place where it is damaged.

    Args:
        path: The journal; the run directory's lock is held.
        thorough: Damage has shown: read everything, however large it is.
        tell: Told in words that saving begins: it takes 20 s for 150 MB.

    Returns:
        What was done; None where nothing is wrong.

    Raises:
        RunDirectoryError: It is no journal, one of another version, locked, or cannot be saved.
    """
    if not path.exists() and _beside(path, _WHOLE).exists():
        _take_its_place(path)  # a process died after it had moved the damaged journal aside
    with interruptible():
        damage = find_damage(path, thorough=thorough)
        if damage is None:
            return None
        tell(f"The journal is damaged ({damage}). Saving what can be read of it…")
        return salvage(path, damage)


def salvage(path: Path, damage: str) -> Salvage:
    """Put a new journal with all that can be read in the place of a damaged one.

    Args:
        path: The journal.
        damage: What is wrong with it, for the notice.

    Raises:
        RunDirectoryError: The new journal cannot be written; the damaged one is in its place as before.
    """
    copy, template, making = (_beside(path, suffix) for suffix in _MAKING)
    try:
        _remove(copy, template, making, _beside(path, _WHOLE))  # of one that was interrupted
        path.touch()  # may have gone and left its log
        with closing(open_for_writing(template)):
            pass
        merge_log(path, copy, first_page=template.read_bytes()[:PAGE_BYTES])
        template.replace(making)
        saved, lost = _save(copy, making)
        with making.open("r+b") as file:
            os.fsync(file.fileno())
        _remove(copy)
        making.replace(_beside(path, _WHOLE))
        kept = _take_its_place(path)
    except (sqlite3.Error, OSError) as error:
        raise RunDirectoryError(
            f"{path} is damaged ({damage}), and what can be read of it cannot be saved: {error}",
            hint="Free twice as much disk space as the journal takes, then run the same command again.",
        ) from error
    finally:
        with suppress(OSError):
            _remove(copy, template, making)
    return Salvage(damage, saved, lost, kept)


def _save(copy: Path, making: Path) -> tuple[int, int | None]:
    """Write what can be read of the copy into a journal without calls; how many were saved, and lost."""
    with closing(sqlite3.connect(copy)) as source, closing(open_for_writing(making)) as target:
        source.execute("PRAGMA writable_schema = ON")  # be lenient
        source.text_factory = lambda raw: raw.decode("utf-8", "replace")
        # No log: it would take as much space again, and could not be merged where that is not there.
        target.execute("PRAGMA journal_mode = DELETE")
        target.execute("PRAGMA journal_mode = OFF")
        target.execute("BEGIN")
        _save_calls(copy, target)
        for table, (columns, key) in _OTHERS.items():
            rows = _rows(source, table, columns, key)
            _insert(target, table, columns, filter(_lines, rows) if table == "parts" else rows)
        saved, last = target.execute("SELECT count(*), max(id) FROM calls").fetchone()
        paid, known = _restore_usage(source, target)
        target.execute("COMMIT")
    lost = max((last or 0) - saved, known - paid)
    return saved, lost if last or known else None


def _save_calls(copy: Path, target: sqlite3.Connection) -> None:
    """Write every call whose body is there too."""
    lines: dict[Value, int] = {}
    for table, row in carve(copy):
        if table == "calls":
            _insert(target, table, f"id, {CALL_COLUMNS}", [row])
        elif count := _lines(row):
            lines[row[0]] = count
            _insert(target, table, "id, body", [row])
    target.create_function("lines", 1, lambda frame: lines.get(frame, 0), deterministic=True)
    target.execute("DELETE FROM calls WHERE place >= lines(frame)")


def _restore_usage(source: sqlite3.Connection, target: sqlite3.Connection) -> tuple[int, int]:
    """What was spent stays spent, whether or not its call was saved.

    Returns:
        How many of the calls that were paid are saved, and how many there have been as far as is known.
    """
    _insert(target, "sums", _SUMS, _rows(source, "sums", _SUMS, "role, model"))
    catch_up(target)
    target.execute("INSERT OR IGNORE INTO places SELECT dialogue, id FROM calls")
    # Of a row that is lost, the calls that were saved still tell.
    target.execute(_AT_LEAST_WHAT_WAS_SAVED)
    target.execute("UPDATE sums SET through = (SELECT coalesce(max(id), 0) FROM calls)")
    paid = target.execute("SELECT count(*) FROM calls WHERE attempts > 0").fetchone()[0]
    return paid, target.execute("SELECT coalesce(sum(calls), 0) FROM sums").fetchone()[0]


def _insert(target: sqlite3.Connection, table: str, columns: str, rows: Iterable[tuple[Any, ...]]) -> None:
    places = ", ".join("?" * len(columns.split(",")))
    target.executemany(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({places})", rows)  # noqa: S608


def _rows(source: sqlite3.Connection, table: str, columns: str, key: str) -> Iterator[tuple[Any, ...]]:
    """The rows that can be reached from either end; some may come twice."""
    for order in ("ASC", "DESC"):
        keys = ", ".join(f"{column} {order}" for column in key.split(", "))
        with suppress(sqlite3.DatabaseError):
            yield from source.execute(f"SELECT {columns} FROM {table} ORDER BY {keys}")  # noqa: S608
            return


def _lines(row: tuple[Any, ...]) -> int:
    """How many bodies there are in the last column; none where it is not what was written."""
    with suppress(JournalDamagedError):
        return len(decompress(row[-1])) if isinstance(row[-1], bytes) else 0
    return 0


def _take_its_place(path: Path) -> Path:
    """Move the damaged journal aside, as far as it was not, and the new one to its place."""
    number = 1
    while _beside(path, f".damaged-{number}").exists():
        number += 1
    if path.exists():
        path.rename(_beside(path, f".damaged-{number}"))
    else:
        number -= 1
    kept = _beside(path, f".damaged-{number}")
    if _beside(path, "-wal").exists():
        _beside(path, "-wal").rename(_beside(kept, "-wal"))
    _beside(path, "-shm").unlink(missing_ok=True)
    _beside(path, _WHOLE).replace(path)
    return kept


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _remove(*paths: Path) -> None:
    for path in paths:
        for suffix in ("", "-wal", "-shm", "-journal"):
            _beside(path, suffix).unlink(missing_ok=True)
