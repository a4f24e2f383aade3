"""Begins or continues a run, plays it until it ends, and sums it up."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Final, Literal

import toolflow
from toolflow.assembly import Material, describe, labels, make_troupe
from toolflow.calling import Calling, open_calling
from toolflow.clock import monotonic
from toolflow.config import RunConfig
from toolflow.errors import JournalDamagedError
from toolflow.journal.calls import SqliteJournal
from toolflow.journal.events import RunEvents
from toolflow.journal.fork import begin_fork
from toolflow.journal.reading import JournalReader
from toolflow.journal.run_directory import Earlier, RunDirectory
from toolflow.journal.salvage import Salvage, mend
from toolflow.llm.connect import Connection, connect
from toolflow.pipeline import Bounds, Ending, Synthesis
from toolflow.progress import Progress, ProgressSnapshot
from toolflow.runtime.bus import Bus
from toolflow.runtime.signals import stopped_by_signals
from toolflow.spending import BOUNDS, Spending, spending_of
from toolflow.summary import Before, added_up, summarise
from toolflow.view.display import Display
from toolflow.view.steering import Controls
from toolflow.watchdog import Bark, Watchdog

_ALIVE_PER_PERMIT: Final = 1.25
"""A dialogue waits on its agents, the journal and the disk now and then: a few more keep the permits busy."""

_Begun = Literal["run_begun", "run_continued"]


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    Attributes:
        ending: Why no more dialogues were begun.
        summary: The content of summary.json.
        details: What was told last of each reason that threw a dialogue out.
    """

    ending: Ending
    summary: Mapping[str, Any]
    details: Mapping[str, str]


async def play_run(
    config: RunConfig,
    material: Material,
    output: Path,
    display: Display,
    *,
    fork: Path | None = None,
    retry_failed: bool = False,
) -> Result:
    """Begin or continue the run in a run directory, and play it until it ends.

    Args:
        config: What it is told.
        material: What it is made from.
        output: The run directory.
        display: Shows it.
        fork: Another run directory: play there, with every call from ``output`` that stays the same.
        retry_failed: Try the dialogues again that failed while they were played.

    Raises:
        ToolFlowError: The run cannot go on; nothing finished is lost.
    """
    async with connect(config, os.environ, display.notice) as connection:
        spending = spending_of(config, connection)
        with RunDirectory(fork or output) as directory:
            begun = _claim(config, material, connection, directory, origin=output if fork else None)
            for notice in (*material.notices, *connection.notices):
                display.notice(notice)
            if begun == "run_continued":
                display.notice(f"Continuing the run in {directory.path}.")
            counted = added_up(directory.read_summary()).processes.counted
            run = _Run(config, material, connection, spending, directory, display, counted)
            saved = mend(directory.journal, tell=display.notice)
            try:
                return await run.play(begun, saved, retry_failed=retry_failed)
            except JournalDamagedError:
                # Damage that shows only now: what was played so far is safe, go on from there.
                saved = mend(directory.journal, thorough=True, tell=display.notice)
                if saved is None:
                    raise
                return await run.play("run_continued", saved, retry_failed=False)


def _claim(
    config: RunConfig,
    material: Material,
    connection: Connection,
    directory: RunDirectory,
    *,
    origin: Path | None,
) -> _Begun:
    """Make the directory this run's own, a fork of ``origin`` if there is one."""
    fingerprint, facts = describe(config, material, connection)
    if origin is not None:
        facts["forked_from"] = begin_fork(directory, origin)
    return "run_continued" if directory.claim(fingerprint, facts, material.inputs) else "run_begun"


@dataclass(frozen=True, slots=True)
class _Run:
    """A run that is connected to its models and has its directory to itself.

    Attributes:
        counted: Earlier processes whose part its summary tells.
    """

    config: RunConfig
    material: Material
    connection: Connection
    spending: Spending
    directory: RunDirectory
    display: Display
    counted: int

    async def play(self, begun: _Begun, saved: Salvage | None, *, retry_failed: bool) -> Result:
        """Take up what earlier processes have left, open the journal and play on; the journal tells of it."""
        earlier = self.directory.take_up(target=self.config.n, retry_failed=retry_failed)
        for notice in earlier.notices():
            self.display.notice(notice)
        with SqliteJournal(self.directory.journal) as journal:
            before = Before(
                added_up(self.directory.read_summary()),
                journal.totals().all,
                self.directory.processes,
                self.counted,
            )
            events = RunEvents(journal)
            if saved is not None:
                self.display.notice(str(saved))
                events.note("journal_salvaged", **saved.to_json())
            events.note(begun, target=self.config.n, toolflow=toolflow.__version__)
            try:
                result = await self._play(earlier, before, journal, events)
            except BaseException as error:
                events.note("run_ended", error=str(error) or type(error).__name__)
                raise
            events.note("run_ended", ending=result.ending)
            return result

    async def _play(
        self, earlier: Earlier, before: Before, journal: SqliteJournal, events: RunEvents
    ) -> Result:
        """Put everything together, let it run under watch, and sum it up however it ends."""
        progress = Progress(self.config.n, monotonic)
        with open_calling(
            self.config, self.connection, self.spending, journal, self.directory.path
        ) as calling:
            synthesis = self._synthesis(calling, progress, earlier)
            oversight = _Oversight(synthesis, calling, progress, events, self.display)
            oversight.take_charge(self.connection)
            try:
                with stopped_by_signals(oversight.stop):
                    async with _beside(*oversight.watchers()):
                        ending = await synthesis.play()
            finally:
                with JournalReader(self.directory.journal) as reader:
                    taken_over = reader.count_taken_over()
                summary = summarise(
                    oversight.snapshot(),
                    journal.totals().all,
                    before,
                    taken_over=taken_over,
                    cost=self.spending.cost(journal),
                    rehearsal=self.connection.rehearsal,
                )
                self.directory.write_summary(summary)
        return Result(ending, summary, progress.details)

    def _synthesis(self, calling: Calling, progress: Progress, earlier: Earlier) -> Synthesis:
        """The way of the data, with agents whose calls go the given way."""
        bus = Bus(monotonic)
        bus.watch(self.display.watch)
        bounds = Bounds(
            target=self.config.n,
            candidates=self.config.candidate_ceiling,
            alive=lambda: ceil(max(calling.router.limit, 1) * _ALIVE_PER_PERMIT),
            dialogue_seconds=self.config.dialogue_timeout,
        )
        there = self.connection
        return Synthesis(
            bounds,
            sampler=self.material.sampler,
            troupe=make_troupe(self.config, self.material, calling.model, there.model, there.tool_calls),
            model=calling.model,
            run=self.directory,
            bus=bus,
            progress=progress,
            labels=labels(rehearsal=there.rehearsal),
            earlier=earlier,
        )


@dataclass(frozen=True, slots=True)
class _Oversight:
    """Who watches a run while it is played, and who may steer or stop it."""

    synthesis: Synthesis
    calling: Calling
    progress: Progress
    events: RunEvents
    display: Display

    def take_charge(self, connection: Connection) -> None:
        """Join the parts that tell each other what to do: client → synthesis, keys and budget → both."""
        client, budget = self.calling.client, self.calling.budget
        client.on_spare = self.synthesis.look_for_room
        if budget is not None:
            budget.on_exhausted = self._end_spent
        self.display.steer(
            Controls(
                client.scale_limit,
                lambda: client.set_limit("auto"),
                self.synthesis.pause,
                stop=lambda: signal.raise_signal(signal.SIGINT),
                live=connection.live,
            )
        )

    def watchers(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """The view, the run's events and the watchdog, each until it is cancelled."""
        return (
            self.display.show(self.snapshot),
            self.events.follow(self.calling.client.statistics),
            Watchdog().watch(self.calling.situation, self._tell),
        )

    def snapshot(self) -> ProgressSnapshot:
        return self.progress.snapshot(self.calling.client.statistics(), self.calling.replayed)

    def stop(self, number: signal.Signals, *, again: bool) -> None:
        """A signal asks the run to stop; the second one cancels it without us."""
        self.events.note("stop_asked", signal=number.name)
        if not again:
            self.display.notice(_draining(self.calling.model.in_flight))
            self.synthesis.stop()

    def _end_spent(self, reason: str) -> None:
        assert self.calling.budget is not None
        self.events.note("budget_spent", bound=reason)
        self.display.notice(f"The budget is spent ({BOUNDS[reason]}): the calls in flight finish.")
        self.synthesis.stop_spent(self.calling.budget.drained)

    def _tell(self, bark: Bark) -> None:
        self.display.notice(str(bark))
        kind: Literal["no_progress", "progress_again"] = "no_progress" if bark.waits else "progress_again"
        self.events.note(kind, seconds=round(bark.quiet, 1), waits=list(bark.waits))


def _draining(calls: int) -> str:
    """What a first signal leads to, and what a second one would."""
    if calls == 0:
        return "Stopping: no call is in flight."
    first = "1 call in flight finishes" if calls == 1 else f"{calls:,} calls in flight finish"
    again = "it" if calls == 1 else "them"
    return f"Stopping: {first} first. Once more to stop at once, and to pay for {again} again."


@asynccontextmanager
async def _beside(*watchers: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Let others watch while something is done, and no longer."""
    tasks = [asyncio.create_task(watcher) for watcher in watchers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
