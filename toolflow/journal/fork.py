"""Forks: a run with another configuration that pays only for what differs.

A fork keeps a copy of the journal that it comes from, ``origin.sqlite``, and asks it before it asks a model.
A request that is the very same one, its model, messages, tools, sampling and seed included, is answered from
there and written to the fork's own journal as a call of 0 attempts. Any other request is paid, and since what
follows in a dialogue mostly rests on the reply, so is what follows. From then on the fork is a run like any
other: it continues from its own journal.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from toolflow.errors import JournalDamagedError, RunDirectoryError
from toolflow.journal.bodies import CallRecord, completion_of
from toolflow.journal.damage import find_damage
from toolflow.journal.digest import request_hash
from toolflow.journal.lines import unusable
from toolflow.journal.opening import in_words, open_for_reading
from toolflow.journal.reading import JournalReader
from toolflow.journal.run_directory import RunDirectory
from toolflow.journal.run_record import read_record, require_record
from toolflow.journal.salvage import salvage
from toolflow.llm.chat import CallKey, ChatModel, Completion, Delivery, Request
from toolflow.runtime.signals import interruptible

_KEPT: Final = 1024
"""Dialogues whose calls are kept at hand."""


def origin_of(run: Path) -> Path:
    """Where a fork keeps the journal that it comes from."""
    return run / "origin.sqlite"


def begin_fork(run: RunDirectory, origin: Path) -> str:
    """Make an open run directory a fork of another run, unless it is one already.

    Args:
        run: The fork's; nothing in it yet, or a fork of ``origin``.
        origin: The run to take calls from, which may be going on.

    Returns:
        What the run's ``forked_from`` is to say.

    Raises:
        RunDirectoryError: ``run`` holds something else, or ``origin`` holds no run.
    """
    require_record(origin)
    name = str(origin.resolve())
    if run.path.resolve() == origin.resolve():
        raise RunDirectoryError(
            f"{origin} cannot be forked into itself", hint="Name a new folder with --fork NEW_RUN."
        )
    known = read_record(run.path)
    if known is None:
        run.require_new()
        _copy(origin / "journal.sqlite", origin_of(run.path))
    elif known.facts.get("forked_from") != name:
        raise RunDirectoryError(
            f"{run.path} holds a run that is no fork of {origin}",
            hint="Name a new folder with --fork NEW_RUN.",
        )
    return name


def _copy(source: Path, target: Path) -> None:
    """Copy a journal as it is at this moment; the copy appears complete or not at all."""
    beside = target.with_name(target.name + ".tmp")
    leftovers = [beside, beside.with_name(beside.name + "-journal")]
    with in_words(source), closing(open_for_reading(source)) as there:
        try:
            for leftover in leftovers:
                leftover.unlink(missing_ok=True)
            with interruptible(), in_words(target), closing(sqlite3.connect(beside)) as here:
                there.backup(here)
                here.execute("PRAGMA journal_mode = DELETE")
            beside.replace(target)
        except OSError as error:
            raise unusable(target, error) from error
        finally:
            for leftover in leftovers:
                with suppress(OSError):
                    leftover.unlink(missing_ok=True)


class TakingOver:
    """A :class:`ChatModel` that has what another run has paid for.

    Args:
        model: Answers what that run does not know.
        journal: Of that run; where there is none, nothing is taken over.

    Attributes:
        taken: Calls taken over so far.
    """

    def __init__(self, model: ChatModel, journal: Path) -> None:
        self._model = model
        self._journal = journal
        self._reader = JournalReader(journal) if journal.exists() else None
        self._calls: OrderedDict[int, Mapping[CallKey, CallRecord]] = OrderedDict()
        self.taken = 0

    def close(self) -> None:
        """Close the journal."""
        if self._reader is not None:
            self._reader.close()

    async def complete(self, request: Request) -> Completion:
        """Answer a request.

        Raises:
            RunDirectoryError: The other run's journal is damaged, and what can be read of it cannot be saved.
            LLMError: The call failed.
        """
        if self._reader is None:
            return await self._model.complete(request)
        record = self._calls_of(request.key.dialogue).get(request.key)
        if record is None or record.request_hash != request_hash(request):
            return await self._model.complete(request)
        self.taken += 1
        return replace(completion_of(record), delivery=Delivery(attempts=0))

    def _calls_of(self, dialogue: int) -> Mapping[CallKey, CallRecord]:
        calls = self._calls.get(dialogue)
        if calls is None:
            calls = self._calls[dialogue] = self._read(dialogue)
            if len(self._calls) > _KEPT:
                self._calls.popitem(last=False)
        return calls

    def _read(self, dialogue: int) -> Mapping[CallKey, CallRecord]:
        assert self._reader is not None
        try:
            return self._reader.calls_of(dialogue)
        except JournalDamagedError:
            # What can no longer be taken over is paid.
            damage = find_damage(self._journal, thorough=True)
            if damage is None:
                raise
            self._reader.close()
            salvage(self._journal, damage)
            self._reader = JournalReader(self._journal)
            return self._reader.calls_of(dialogue)
