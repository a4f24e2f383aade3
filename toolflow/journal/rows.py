"""What the columns of a call hold: SQLite keeps whatever it is given, and a damaged page holds anything."""

from __future__ import annotations

from typing import Any, Final

from toolflow.errors import JournalDamagedError

CALL_TYPES: Final = (int, str, int, bytes, str, str, str, int, int, int, float, float, int, int)
"""Types of the columns of ``calls`` after the id."""


def check_call(row: tuple[Any, ...]) -> None:
    """Refuse a row of ``calls``, id first, that no journal has written.

    Raises:
        JournalDamagedError: A column is of another type.
    """
    if tuple(map(type, row[1:])) != CALL_TYPES:
        raise JournalDamagedError(f"call {row[0]} in the journal is damaged: a column is of another type")
