"""Begins or continues a run, plays it until it ends, and sums it up."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Literal

import toolflow
from toolflow.assembly import Material, describe, labels, make_troupe
from toolflow.clock import monotonic
from toolflow.config import RunConfig
from toolflow.errors import JournalDamagedError
from toolflow.journal.calls import SqliteJournal
from toolflow.journal.events import RunEvents
from toolflow.journal.fork import TakingOver, begin_fork, origin_of
from toolflow.journal.replay import JournalledModel
from toolflow.journal.run_directory import Earlier, RunDirectory
from toolflow.journal.salvage import Salvage, mend
from toolflow.llm.client import Client
from toolflow.llm.connect import Connection, connect, make_router
from toolflow.llm.hedge import Hedging
from toolflow.llm.in_flight import InFlight
from toolflow.llm.quota.estimate import TokenEstimator
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.stall import Stalls
from toolflow.pipeline import Bounds, Ending, Synthesis
from toolflow.progress import Progress, ProgressSnapshot
from toolflow.runtime.bus import Bus
from toolflow.runtime.signals import stopped_by_signals
from toolflow.spending import BOUNDS, Spending, spending_of
from toolflow.summary import summarise
from toolflow.view.display import Display
from toolflow.view.steering import Controls
from toolflow.watchdog import Bark, Situation, Watchdog

_ALIVE_PER_PERMIT = 1.25
"""A dialogue waits on its agents, the journal and the disk now and then: a few more keep the permits busy."""


Begun = Literal["run_begun", "run_continued"]


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    Attributes:
        ending: Why no more dialogues were begun.
        summary: The content of summary.json.
    """

    ending: Ending
    summary: Mapping[str, Any]


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
        with RunDirectory(fork or output) as run:
            fingerprint, facts = describe(config, material, connection)
            if fork is not None:
                facts["forked_from"] = begin_fork(run, output)
            continued = run.claim(fingerprint, facts, material.inputs)
            for notice in (*material.notices, *connection.notices):
                display.notice(notice)
            if continued:
                display.notice(f"Continuing the run in {run.path}.")
            play = partial(_play, config, material, connection, spending, run=run, display=display)
            begun: Begun = "run_continued" if continued else "run_begun"
            saved = mend(run.journal)
            try:
                return await play(begun=begun, saved=saved, retry_failed=retry_failed)
            except JournalDamagedError:
                # Damage that shows only now: what was played so far is safe, go on from there.
                saved = mend(run.journal, thorough=True)
                if saved is None:
                    raise
                return await play(begun="run_continued", saved=saved, retry_failed=False)


async def _play(
    config: RunConfig,
    material: Material,
    connection: Connection,
    spending: Spending,
    *,
    run: RunDirectory,
    display: Display,
    begun: Begun,
    saved: Salvage | None,
    retry_failed: bool,
) -> Result:
    earlier = run.take_up(target=config.n, retry_failed=retry_failed)
    for notice in earlier.notices():
        display.notice(notice)
    with SqliteJournal(run.journal) as journal:
        events = RunEvents(journal)
        if saved is not None:
            display.notice(str(saved))
            events.note("journal_salvaged", **saved.to_json())
        events.note(begun, target=config.n, toolflow=toolflow.__version__)
        try:
            result = await _play_with(
                config,
                material,
                connection,
                spending,
                run=run,
                earlier=earlier,
                journal=journal,
                events=events,
                display=display,
            )
        except BaseException as error:
            events.note("run_ended", error=str(error) or type(error).__name__)
            raise
        events.note("run_ended", ending=result.ending)
        return result


async def _play_with(
    config: RunConfig,
    material: Material,
    connection: Connection,
    spending: Spending,
    *,
    run: RunDirectory,
    earlier: Earlier,
    journal: SqliteJournal,
    events: RunEvents,
    display: Display,
) -> Result:
    estimator = TokenEstimator()
    flights = InFlight()
    connection = replace(connection, replicas=tuple(map(flights.watch, connection.replicas)))
    router = make_router(config, connection, estimator)
    budget = spending.open(estimator, journal)
    client = Client(
        router,
        RetryPolicy(attempts=config.retries + 1, attempt_timeout=config.attempt_timeout),
        budget=budget,
        hedging=Hedging(config.hedge) if config.hedge else None,
        stalls=Stalls() if config.cut_stalled else None,
        is_writing=connection.live.is_writing,
        fallbacks=config.fallback_models,
    )
    origin = TakingOver(client, origin_of(run.path))
    model = JournalledModel(origin, journal)
    bus = Bus(monotonic)
    bus.watch(display.watch)
    progress = Progress(config.n, monotonic)
    synthesis = Synthesis(
        Bounds(
            target=config.n,
            candidates=config.candidate_ceiling,
            alive=lambda: ceil(max(router.limit, 1) * _ALIVE_PER_PERMIT),
            dialogue_seconds=config.dialogue_timeout,
        ),
        sampler=material.sampler,
        troupe=make_troupe(config, material, model, connection.model, connection.tool_calls),
        model=model,
        run=run,
        bus=bus,
        progress=progress,
        labels=labels(rehearsal=connection.rehearsal),
        earlier=earlier,
    )

    client.on_spare = synthesis.look_for_room
    display.steer(
        Controls(
            client.scale_limit,
            lambda: client.set_limit("auto"),
            synthesis.pause,
            stop=lambda: signal.raise_signal(signal.SIGINT),
            live=connection.live,
        )
    )
    if budget is not None:

        def exhausted(reason: str) -> None:
            events.note("budget_spent", bound=reason)
            display.notice(f"The budget is spent ({BOUNDS[reason]}): the calls in flight finish.")
            synthesis.stop_spent(budget.drained)

        budget.on_exhausted = exhausted
        budget.start()

    def replayed() -> int:
        return model.replayed + origin.taken

    def snapshot() -> ProgressSnapshot:
        return progress.snapshot(client.statistics(), replayed())

    def situation() -> Situation:
        return Situation(
            replayed(),
            client.statistics(),
            router.held_up(),
            oldest=flights.oldest(),
            usual=flights.usual,
            recording=model.recording,
            budgeted=budget.statistics().waiting if budget else 0,
            failure=flights.failure,
        )

    def tell(bark: Bark) -> None:
        display.notice(str(bark))
        kind: Literal["no_progress", "progress_again"] = "no_progress" if bark.waits else "progress_again"
        events.note(kind, seconds=round(bark.quiet, 1), waits=list(bark.waits))

    def stop(number: signal.Signals, *, again: bool) -> None:
        events.note("stop_asked", signal=number.name)
        if not again:
            display.notice("Stopping: the calls in flight finish first. Once more to stop at once.")
            synthesis.stop()

    watching = (
        display.show(snapshot),
        events.follow(client.statistics),
        Watchdog().watch(situation, tell),
    )
    before = run.read_summary()
    try:
        with stopped_by_signals(stop):
            async with _beside(*watching):
                ending = await synthesis.play()
    finally:
        if budget is not None:
            budget.close()
        origin.close()
        summary = summarise(
            snapshot(),
            journal.totals().all,
            before,
            taken_over=origin.taken,
            cost=spending.cost(journal),
            rehearsal=connection.rehearsal,
        )
        run.write_summary(summary)
    return Result(ending, summary)


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
