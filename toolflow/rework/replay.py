"""Plays the dialogues of a run again from its journal: no model, no key, no network, no cost.

A dialogue is determined by the run's inputs and the replies in its journal, so it can be judged again by the
checks of today, and looked at call by call, whether it was accepted, thrown out or never finished.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal

from pydantic import ValidationError

from toolflow.assembly import Material, labels, make_troupe, read_material
from toolflow.clock import monotonic
from toolflow.config import RunConfig
from toolflow.dialogue.scenario import Scenario
from toolflow.errors import CatalogueError, JournalDamagedError, RunDirectoryError, ToolFlowError
from toolflow.graph.link import ToolSet
from toolflow.journal.bodies import CallRecord, JournalledCall, completion_of, requests_of
from toolflow.journal.digest import request_hash
from toolflow.journal.mismatch import mismatch
from toolflow.journal.reading import JournalReader
from toolflow.journal.run_record import CATALOGUE, GRAPH, RunRecord, inputs_folder, require_record
from toolflow.llm.chat import CallKey, Completion, Request
from toolflow.runtime.bus import Bus, Envelope
from toolflow.stage import Outcome, Stage

_GO_ON: Final = "Bring it back from a copy, or begin the run anew with another -o RUN."
_PUT_BACK: Final = "Put the file back as it was: the run's inputs are kept to judge it by."

Whole = Literal["whole", "unfinished", "differs", "damaged"]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A dialogue as its journal tells it.

    Attributes:
        index: The dialogue's.
        whole: ``whole``: the journal holds it to its end. ``unfinished``: a call is missing. ``differs``: a
            request is not the one that was journalled, since the code has changed. ``damaged``: the journal
            cannot be read there.
        detail: What is missing, differs or is damaged; empty where it is whole.
        outcome: What the checks of today say; None where it is not whole.
        steps: Calls, by their keys, and events in the order in which they took place.
    """

    index: int
    whole: Whole
    detail: str
    outcome: Outcome | None
    steps: tuple[CallKey | Envelope, ...]


class Rework:
    """A run whose dialogues can be played again. Use as a context manager.

    It only reads: the run may be going on in another process.

    Args:
        run: The run directory.

    Raises:
        RunDirectoryError: There is no run that can be read, or its inputs are not what it began with.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.record = require_record(run)
        self.config = _config(run, self.record)
        material = _material(run, self.record, self.config)
        self.journal = JournalReader(run / "journal.sqlite")
        self._steps: list[CallKey | Envelope] = []
        self._model = _FromJournal(self.journal, self._steps)
        bus = Bus(monotonic)
        bus.watch(self._steps.append)
        fingerprint = self.record.fingerprint
        self._stage = Stage(
            material.sampler,
            make_troupe(self.config, material, self._model, fingerprint["model"], fingerprint["tool_calls"]),
            bus,
            labels=labels(rehearsal=bool(self.record.facts.get("rehearsal"))),
        )

    def __enter__(self) -> Rework:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.journal.close()

    def draw(self, index: int) -> tuple[ToolSet, Scenario]:
        """What a dialogue is about, and what it is to be like."""
        return self._stage.draw(index)

    def calls(self, index: int) -> list[JournalledCall]:
        """The calls of a dialogue in the order in which they were completed.

        Raises:
            JournalDamagedError: They cannot be read.
        """
        return self.journal.calls(index)

    async def play(self, index: int) -> Replayed:
        """Play a dialogue again, as far as its journal reaches.

        Raises:
            ToolFlowError: What every dialogue of the run would meet, such as a broken prompt.
        """
        self._steps.clear()
        whole: Whole = "whole"
        detail = ""
        outcome: Outcome | None = None
        try:
            self._model.begin(self.journal.calls_of(index))
            outcome = await self._stage.play(index)
        except _MissingError as error:
            whole, detail = "unfinished", error.message
        except _DiffersError as error:
            whole, detail = "differs", error.message
        except JournalDamagedError as error:
            whole, detail = "damaged", error.message
        return Replayed(index, whole, detail, outcome, tuple(self._steps))


class _MissingError(RunDirectoryError):
    """A call is not in the journal."""


class _DiffersError(RunDirectoryError):
    """The journal holds another request."""


class _FromJournal:
    """A :class:`toolflow.llm.chat.ChatModel` that knows the calls of one dialogue and asks nobody."""

    def __init__(self, journal: JournalReader, steps: list[CallKey | Envelope]) -> None:
        self._records: Mapping[CallKey, CallRecord] = {}
        self._journal = journal
        self._steps = steps

    def begin(self, records: Mapping[CallKey, CallRecord]) -> None:
        """Answer from the calls of another dialogue."""
        self._records = records

    async def complete(self, request: Request) -> Completion:
        key = request.key
        record = self._records.get(key)
        if record is None:
            raise _MissingError(f"{key.role} call {key.position} is not in the journal")
        if record.request_hash != request_hash(request):
            known = requests_of(self._records, self._journal.part)[key]
            raise _DiffersError(mismatch(known, request).message)
        self._steps.append(key)
        return completion_of(record)


def _config(run: Path, record: RunRecord) -> RunConfig:
    """The run's configuration, with the inputs that the run keeps in the place of the originals."""
    folder = inputs_folder(run)
    kept: dict[str, Any] = {
        "tools": [str(folder / CATALOGUE)],
        "prompts": str(folder),
        "limit_tools": None,
    }
    graph = folder / GRAPH
    try:
        config = record.facts["config"]
        if graph.exists():
            built = {"graph": str(graph), "encoder": None, "threshold": None}
            kept["sampler"] = {**config["sampler"], **built}
        return RunConfig.model_validate({**config, **kept})
    except (KeyError, TypeError, ValidationError) as error:
        raise RunDirectoryError(
            f"{run / 'run.json'}: the configuration cannot be read: {error}", hint=_GO_ON
        ) from error


def _material(run: Path, record: RunRecord, config: RunConfig) -> Material:
    try:
        material = read_material(config)
    except (CatalogueError, ToolFlowError) as error:
        raise RunDirectoryError(
            f"the inputs that {run} keeps cannot be read: {error.message}", hint=_GO_ON
        ) from error
    known = record.fingerprint
    if known.get("catalogue", {}).get("hash") != material.catalogue.content_hash:
        raise RunDirectoryError(
            f"{inputs_folder(run) / CATALOGUE} is not the catalogue that the run began with", hint=_PUT_BACK
        )
    for role, digest in material.prompts.hashes.items():
        if known.get("prompts", {}).get(role) != digest:
            raise RunDirectoryError(
                f"{inputs_folder(run) / role}.j2 is not the prompt that the run began with", hint=_PUT_BACK
            )
    return material
