"""Reads a journal without a lock, while the run goes on or afterwards.

    with JournalReader(run / "journal.sqlite") as journal:
        for call in journal.calls(17):
            print(call.key.role, call.completion.message.content)

Every method reads what is committed at that moment and holds nothing afterwards, so that a reader that stays
open does not keep the write-ahead log from being cut back. The ``read_…`` functions do the same over any
connection.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal

from toolflow.journal.bodies import (
    CallRecord,
    JournalledCall,
    completion_of,
    decode,
    requests_of,
)
from toolflow.journal.frames import Frames
from toolflow.journal.opening import in_words, open_for_reading
from toolflow.journal.schema import CALL_COLUMNS, check_call
from toolflow.journal.totals import Totals, read_totals
from toolflow.llm.chat import CallKey

State = Literal["alive", "accepted", "rejected", "failed"]

_AT_A_TIME: Final = 1_000


@dataclass(frozen=True, slots=True)
class DialogueState:
    """What has become of a dialogue.

    Attributes:
        dialogue: Its index.
        state: ``alive`` while it is played, and for good where it was never finished.
        stage: ``dialogue`` or ``checks``: where it was thrown out; None where it was not.
        reason: Word for why it was thrown out; None where it was not.
        at: Since when, in Unix seconds.
    """

    dialogue: int
    state: State
    stage: str | None
    reason: str | None
    at: float


@dataclass(frozen=True, slots=True)
class RunEvent:
    """What befell the run.

    Attributes:
        number: Counts the events of the run.
        at: When, in Unix seconds.
        kind: A word of :mod:`toolflow.journal.events`.
        detail: What goes with it.
    """

    number: int
    at: float
    kind: str
    detail: Mapping[str, Any]


class JournalReader:
    """An open journal. Use as a context manager.

    Args:
        path: The journal.sqlite of a run directory.

    Raises:
        RunDirectoryError: There is no journal, or none of this version.
        JournalDamagedError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with in_words(path):
            self._connection = open_for_reading(path)
        self._frames = Frames(self._connection)

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def calls(self, dialogue: int) -> list[JournalledCall]:
        """The calls of a dialogue in the order in which they were completed; empty where there are none.

        Raises:
            JournalDamagedError: A part of the journal cannot be read.
        """
        with in_words(self._path):
            numbers, records = read_records(self._connection, self._frames, dialogue)
            requests = requests_of(records, self.part)
        return [
            JournalledCall(
                number,
                record.key,
                requests[record.key],
                completion_of(record),
                record.request_hash,
                record.sent_at,
            )
            for number, record in zip(numbers, records.values(), strict=True)
        ]

    def calls_of(self, dialogue: int) -> Mapping[CallKey, CallRecord]:
        """The same as records, as :class:`toolflow.journal.replay.JournalledModel` replays them."""
        with in_words(self._path):
            return read_records(self._connection, self._frames, dialogue)[1]

    def part(self, digest: bytes) -> Any:
        """The content of a part.

        Raises:
            KeyError: There is none under this hash.
        """
        with in_words(self._path):
            return read_part(self._connection, digest)

    def dialogues(self) -> Iterator[int]:
        """Indices of the dialogues that have calls, in order."""
        last = -1
        while True:
            with in_words(self._path):
                row = self._connection.execute(
                    "SELECT dialogue FROM calls_by_dialogue WHERE dialogue > ? ORDER BY dialogue LIMIT 1",
                    (last,),
                ).fetchone()
            if row is None:
                return
            last = row[0]
            yield last

    def state(self, dialogue: int) -> DialogueState | None:
        """What has become of a dialogue; None where it was never begun."""
        with in_words(self._path):
            row = self._connection.execute(
                "SELECT dialogue, state, stage, reason, at FROM dialogues WHERE dialogue = ?", (dialogue,)
            ).fetchone()
        return None if row is None else DialogueState(*row)

    def states(self, state: State | None = None) -> Iterator[DialogueState]:
        """What has become of all dialogues, or which are in one state, in index order."""
        with in_words(self._path):
            yield from read_states(self._connection, state)

    def count_states(self) -> Mapping[State, int]:
        """How many dialogues are in each state."""
        with in_words(self._path):
            rows = self._connection.execute("SELECT state, count(*) FROM dialogues GROUP BY state").fetchall()
        return Counter(dict(rows))

    def events(self, after: int = 0) -> list[RunEvent]:
        """The events with a number above ``after``, oldest first."""
        with in_words(self._path):
            rows = self._connection.execute(
                "SELECT id, at, kind, detail FROM events WHERE id > ? ORDER BY id", (after,)
            ).fetchall()
        return [RunEvent(number, at, kind, json.loads(detail)) for number, at, kind, detail in rows]

    def totals(self) -> Totals:
        """All calls added up; costs the same whatever their number."""
        with in_words(self._path):
            return read_totals(self._connection)

    def count_taken_over(self) -> int:
        """How many calls another run has paid for."""
        with in_words(self._path):
            row = self._connection.execute("SELECT count(*) FROM calls WHERE attempts = 0").fetchone()
        return int(row[0])


def read_records(
    connection: sqlite3.Connection, frames: Frames, dialogue: int
) -> tuple[list[int], dict[CallKey, CallRecord]]:
    """Numbers and records of a dialogue's calls, in the order in which they were completed.

    Raises:
        sqlite3.Error: They cannot be read.
        JournalDamagedError: A body is lost, or a call is not what was written.
    """
    rows = connection.execute(
        f"SELECT id, {CALL_COLUMNS} FROM calls WHERE id IN "  # noqa: S608  a constant
        "(SELECT call FROM calls_by_dialogue WHERE dialogue = ?) ORDER BY id",
        (dialogue,),
    ).fetchall()
    for row in rows:
        check_call(row)
    records = (
        CallRecord._make((CallKey._make(row[1:4]), *row[4:-2], frames.body(*row[-2:]), ())) for row in rows
    )
    return [row[0] for row in rows], {record.key: record for record in records}


def read_states(connection: sqlite3.Connection, state: State | None = None) -> Iterator[DialogueState]:
    """What has become of all dialogues, or which are in one state, in index order.

    Raises:
        sqlite3.Error: They cannot be read.
    """
    last = -1
    while True:
        rows = connection.execute(
            "SELECT dialogue, state, stage, reason, at FROM dialogues WHERE dialogue > ? AND "
            "(? IS NULL OR state = ?) ORDER BY dialogue LIMIT ?",
            (last, state, state, _AT_A_TIME),
        ).fetchall()
        if not rows:
            return
        yield from (DialogueState(*row) for row in rows)
        last = rows[-1][0]


def read_part(connection: sqlite3.Connection, digest: bytes) -> Any:
    """The content of a part.

    Raises:
        KeyError: There is none under this hash.
        sqlite3.Error: It cannot be read.
        JournalDamagedError: It is not what was written.
    """
    row = connection.execute("SELECT body FROM parts WHERE hash = ?", (digest,)).fetchone()
    if row is None:
        raise KeyError(digest)
    return decode(row[0])[0]
