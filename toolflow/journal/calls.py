"""The call journal: every completed LLM call, durable before anything acts on it.

Beside the calls it takes down what has become of each dialogue and what befell the run. Those two are for
the reader: a run that continues goes by its calls and by the lines of dialogues.jsonl and rejected.jsonl.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from toolflow.clock import Clock, monotonic, wall
from toolflow.errors import RunDirectoryError
from toolflow.journal.asked import Answered
from toolflow.journal.bodies import CallRecord
from toolflow.journal.frames import Frames
from toolflow.journal.opening import in_words, open_for_writing, worded
from toolflow.journal.reading import (
    DialogueState,
    State,
    read_part,
    read_records,
    read_states,
)
from toolflow.journal.totals import Totals, read_totals
from toolflow.journal.writer import AT_ONCE, Batch, News, Writer, WrittenCall, WrittenEvent
from toolflow.llm.chat import CallKey

_REST: Final = 0.008
"""Seconds from one batch to the next: what a commit costs is shared by the calls that come meanwhile."""
NEWS_AFTER: Final = 0.5
"""Seconds that states and events may wait."""


class CallJournal(Protocol):
    """Keeps completed calls, and gives them back by dialogue."""

    def append(self, answered: Answered) -> Awaitable[None]:
        """Take down a call; what is returned is done once it is durable."""
        ...

    def calls_of(self, dialogue: int) -> Mapping[CallKey, CallRecord]:
        """The completed calls of a dialogue, in the order in which they were completed."""
        ...

    def part(self, digest: bytes) -> Any:
        """The content of a part that records name; KeyError where it is lost."""
        ...

    def mark(self, dialogue: int, state: State, stage: str | None = None, reason: str | None = None) -> None:
        """Take down what has become of a dialogue."""
        ...

    def states(self) -> Iterable[DialogueState]:
        """What has become of all dialogues."""
        ...

    def note(self, kind: str, /, **detail: Any) -> None:
        """Take down what befell the run."""
        ...


class MemoryJournal:
    """A journal for tests and virtual time: keeps records in memory and never blocks."""

    def __init__(self) -> None:
        self.records: dict[CallKey, CallRecord] = {}
        self.dialogues: dict[int, DialogueState] = {}
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._parts: dict[bytes, Any] = {}

    async def append(self, answered: Answered) -> None:
        record = answered.record()
        self.records[record.key] = record
        self._parts.update((part.hash, part.content) for part in record.parts)

    def calls_of(self, dialogue: int) -> Mapping[CallKey, CallRecord]:
        return {key: record for key, record in self.records.items() if key.dialogue == dialogue}

    def part(self, digest: bytes) -> Any:
        return self._parts[digest]

    def mark(self, dialogue: int, state: State, stage: str | None = None, reason: str | None = None) -> None:
        self.dialogues[dialogue] = DialogueState(dialogue, state, stage, reason, 0.0)

    def states(self) -> Iterable[DialogueState]:
        return [*self.dialogues.values()]

    def note(self, kind: str, /, **detail: Any) -> None:
        self.events.append((kind, detail))


class SqliteJournal:
    """The journal of a run directory. Use as a context manager inside a running loop.

    Calls gather here for a moment, or while those before them are committed, so that one commit is for all.

    Args:
        path: The file; made if it is not there.
        clock: The time of day, in Unix seconds. It is taken down for the reader, and nothing rests on it.

    Raises:
        RunDirectoryError: The file cannot be opened, is no journal, or has another schema version.
    """

    def __init__(self, path: Path, *, clock: Clock = wall) -> None:
        self._path = path
        self._clock = clock
        self._in_use = False
        with in_words(path):
            self._reader = open_for_writing(path)
            try:
                last = self._reader.execute(
                    "SELECT dialogue FROM calls_by_dialogue ORDER BY dialogue DESC LIMIT 1"
                ).fetchone()
            except BaseException:
                self._reader.close()
                raise
        self._frames = Frames(self._reader)
        self._last_dialogue: int = -1 if last is None else last[0]
        self._writer = Writer(path, self._committed)
        self._calls: list[tuple[Answered, asyncio.Future[None]]] = []
        self._news: list[News] = []
        self._news_at = 0.0
        self._rested_at = 0.0
        self._writing = False
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> SqliteJournal:
        self._loop = asyncio.get_running_loop()
        self._writer.start()
        self._in_use = True
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._in_use = False
        self._cancel_timer()
        self._writer.stop(Batch(_recorded(self._calls), self._news))
        self._reader.close()

    def append(self, answered: Answered) -> asyncio.Future[None]:
        """Take down a call; what is returned is done once it is committed.

        Raises:
            RunDirectoryError: The journal is closed; where it cannot be written, awaiting raises it.
        """
        if not self._in_use:
            raise RunDirectoryError("the journal cannot be written: it is closed")
        self._last_dialogue = max(self._last_dialogue, answered.asked.request.key.dialogue)
        durable: asyncio.Future[None] = self._loop.create_future()
        self._calls.append((answered, durable))
        if not self._writing and (len(self._calls) >= AT_ONCE or monotonic() >= self._rested_at):
            self._hand_over()  # a loop that is busy would come to it much later
        elif len(self._calls) == 1:
            self._plan()
        return durable

    def mark(self, dialogue: int, state: State, stage: str | None = None, reason: str | None = None) -> None:
        if self._in_use:
            self._tell(DialogueState(dialogue, state, stage, reason, self._clock()))

    def note(self, kind: str, /, **detail: Any) -> None:
        if self._in_use:
            self._tell(WrittenEvent(self._clock(), kind, msgspec.json.encode(detail).decode()))

    def _tell(self, news: News) -> None:
        self._news.append(news)
        if len(self._news) == 1:
            self._news_at = monotonic() + NEWS_AFTER
            self._plan()

    def _plan(self) -> None:
        """Hand over what has gathered as soon as it may be, unless the writer is at work: it reports back."""
        if self._writing or not self._in_use:
            return
        self._cancel_timer()
        if len(self._calls) >= AT_ONCE:
            due = 0.0
        elif self._calls:
            due = self._rested_at
        elif self._news:
            due = self._news_at
        else:
            return
        self._timer = self._loop.call_later(max(0.0, due - monotonic()), self._hand_over)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hand_over(self) -> None:
        self._cancel_timer()
        now = monotonic()
        self._rested_at = now + _REST
        news: list[News] = []
        if self._news and self._news_at <= now:
            news, self._news = self._news, []
        calls = _recorded(self._calls[:AT_ONCE])
        self._calls = self._calls[AT_ONCE:]
        self._writing = True
        if self._writer.write(Batch(calls, news)):
            self._settle(calls, None)

    def states(self) -> Iterable[DialogueState]:
        with in_words(self._path):
            yield from read_states(self._reader)

    def calls_of(self, dialogue: int) -> Mapping[CallKey, CallRecord]:
        """The completed calls of a dialogue, in the order in which they were completed.

        Raises:
            JournalDamagedError: They cannot be read.
        """
        if dialogue > self._last_dialogue:
            return {}
        with in_words(self._path):
            return read_records(self._reader, self._frames, dialogue)[1]

    def part(self, digest: bytes) -> Any:
        with in_words(self._path):
            return read_part(self._reader, digest)

    def totals(self) -> Totals:
        """All calls of the run added up."""
        with in_words(self._path):
            return read_totals(self._reader)

    def _committed(self, calls: Sequence[WrittenCall], failure: Exception | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, calls, failure)

    def _settle(self, calls: Sequence[WrittenCall], failure: Exception | None) -> None:
        for call in calls:
            durable = call.durable
            if durable.done():
                continue
            if failure is None:
                durable.set_result(None)
            else:
                durable.set_exception(_not_written(self._path, failure))
        self._writing = False
        self._plan()


def _recorded(calls: Sequence[tuple[Answered, asyncio.Future[None]]]) -> list[WrittenCall]:
    """The records of calls; who waits for one that cannot be made is told."""
    written: list[WrittenCall] = []
    for answered, durable in calls:
        try:
            written.append(WrittenCall(answered.record(), durable))
        except Exception as error:  # noqa: BLE001  whatever it is, it is this call's alone
            if not durable.done():
                durable.set_exception(error)
    return written


def _not_written(path: Path, failure: Exception) -> RunDirectoryError:
    if isinstance(failure, RunDirectoryError):
        return failure
    if isinstance(failure, sqlite3.Error):
        return worded(path, failure)
    return RunDirectoryError(f"{path} cannot be written: {failure}")
