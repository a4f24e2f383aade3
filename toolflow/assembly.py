"""Puts a run together from its configuration, plays it, and sums it up."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import toolflow
from toolflow.agents.cast import Troupe
from toolflow.agents.prompts import Prompts
from toolflow.agents.voice import RoleModel
from toolflow.catalog.catalogue import Catalogue, canonical_line
from toolflow.catalog.load import load_catalogue, load_sample
from toolflow.clock import monotonic
from toolflow.config import RunConfig
from toolflow.folders import cache_folder
from toolflow.graph.sampling import Sampler
from toolflow.journal.calls import SqliteJournal
from toolflow.journal.fork import TakingOver, begin_fork, origin_of
from toolflow.journal.replay import JournalledModel
from toolflow.journal.run_directory import Earlier, RunDirectory
from toolflow.journal.run_record import CATALOGUE, Inputs
from toolflow.llm.chat import ChatModel, Sampling, ToolCallStyle
from toolflow.llm.client import Client
from toolflow.llm.connect import Connection, connect, make_router
from toolflow.llm.estimate import TokenEstimator
from toolflow.llm.hedge import Hedging
from toolflow.llm.in_flight import InFlight
from toolflow.llm.retry import RetryPolicy
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


@dataclass(frozen=True, slots=True)
class Material:
    """What a run is made from, read before any call.

    Attributes:
        catalogue: The tools.
        sampler: Draws tool sets from them.
        prompts: The templates.
        notices: What the user should know, a sentence each.
    """

    catalogue: Catalogue
    sampler: Sampler
    prompts: Prompts
    notices: tuple[str, ...]

    def inputs(self) -> Inputs:
        """Catalogue and prompts as files, for the run directory."""
        lines = b"".join(map(canonical_line, self.catalogue.tools))
        prompts = {f"{role}.j2": source.encode() for role, source in self.prompts.sources.items()}
        return {CATALOGUE: gzip.compress(lines, mtime=0), **prompts}


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    Attributes:
        ending: Why no more dialogues were begun.
        summary: The content of summary.json.
    """

    ending: Ending
    summary: Mapping[str, Any]


def read_material(config: RunConfig) -> Material:
    """Read catalogue and prompts, build the graph or take it from the cache.

    Raises:
        CatalogueError: The catalogue cannot be read.
        GraphError: The graph cannot be built.
        UsageError: The prompts cannot be used.
    """
    prompts = Prompts(config.prompts)
    catalogue, notices = _read_catalogue(config)
    return Material(catalogue, _make_sampler(config, catalogue), prompts, tuple(notices))


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
            fingerprint, facts = _describe(config, material, connection)
            if fork is not None:
                facts["forked_from"] = begin_fork(run, output)
            continued = run.claim(fingerprint, facts, material.inputs)
            for notice in (*material.notices, *connection.notices):
                display.notice(notice)
            earlier = run.take_up(target=config.n, retry_failed=retry_failed)
            if continued:
                display.notice(f"Continuing the run in {run.path}.")
            for notice in earlier.notices():
                display.notice(notice)
            with SqliteJournal(run.journal) as journal:
                journal.note("continued" if continued else "began", n=config.n, retried=earlier.retried)
                return await _play(
                    config,
                    material,
                    connection,
                    spending,
                    run=run,
                    earlier=earlier,
                    journal=journal,
                    display=display,
                )


async def _play(
    config: RunConfig,
    material: Material,
    connection: Connection,
    spending: Spending,
    *,
    run: RunDirectory,
    earlier: Earlier,
    journal: SqliteJournal,
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
        fallbacks=config.fallback_models,
    )
    origin = TakingOver(client, origin_of(run.path)) if origin_of(run.path).exists() else None
    model = JournalledModel(origin or client, journal)
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
            client.set_limit,
            synthesis.pause,
            stop=lambda: signal.raise_signal(signal.SIGINT),
            live=connection.live,
        )
    )
    if budget is not None:

        def exhausted(reason: str) -> None:
            display.notice(f"The budget is spent ({BOUNDS[reason]}): the calls in flight finish.")
            synthesis.stop_spent(budget.drained)

        budget.on_exhausted = exhausted
        budget.start()

    def replayed() -> int:
        return model.replayed + (origin.taken if origin else 0)

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
        kind = "no_progress" if bark.waits else "progress_again"
        journal.note(kind, seconds=round(bark.quiet, 1), waits=list(bark.waits))

    def stop() -> None:
        display.notice("Stopping: the calls in flight finish first. Once more to stop at once.")
        journal.note("stopping")
        synthesis.stop()

    before = run.read_summary()
    try:
        with stopped_by_signals(stop):
            async with _beside(display.show(snapshot), Watchdog().watch(situation, tell)):
                ending = await synthesis.play()
    finally:
        if budget is not None:
            budget.close()
        if origin is not None:
            origin.close()
        summary = summarise(
            snapshot(),
            journal.totals().all,
            before,
            taken_over=origin.taken if origin else 0,
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


def _read_catalogue(config: RunConfig) -> tuple[Catalogue, list[str]]:
    if not config.tools:
        catalogue = load_sample()
        size = len(catalogue.tools)
        return catalogue, [f"No --tools given: using the {size} tools of the sample catalogue."]
    report = load_catalogue(config.tools, skip_invalid=config.skip_invalid, limit=config.limit_tools)
    notices = [f"{len(report.skipped)} wrong catalogue entries were left out."] if report.skipped else []
    return report.catalogue, notices


def _make_sampler(config: RunConfig, catalogue: Catalogue) -> Sampler:
    from toolflow.graph.sampling import (  # noqa: PLC0415  numpy and the encoder load when they are needed
        GraphSampler,
        SizeRange,
        UniformSampler,
    )
    from toolflow.graph.shapes import ShapeWeights  # noqa: PLC0415

    settings = config.sampler
    sizes = SizeRange(settings.fewest_tools, settings.most_tools, settings.size_weights)
    distractors = SizeRange(settings.fewest_distractors, settings.most_distractors)
    if settings.kind == "random":
        return UniformSampler(catalogue.tools, config.seed, sizes=sizes, distractors=distractors)
    from toolflow.graph.cache import cached_graph  # noqa: PLC0415
    from toolflow.graph.encoder import WordLlamaEncoder  # noqa: PLC0415

    graph = cached_graph(catalogue.tools, WordLlamaEncoder(), cache_folder(), threshold=settings.threshold)
    shapes = ShapeWeights(**settings.shapes.model_dump())
    return GraphSampler(graph, config.seed, sizes=sizes, shapes=shapes, distractors=distractors)


def make_troupe(
    config: RunConfig, material: Material, model: ChatModel, default: str, style: ToolCallStyle
) -> Troupe:
    """What every dialogue of a run is played with.

    Args:
        config: The run's.
        material: What it is made from.
        model: Answers the agents' requests.
        default: Name of the model of roles that name none.
        style: How the assistant calls tools.
    """
    roles = {role: _role_models(config, role, default) for role in material.prompts.hashes}
    return Troupe(model, material.prompts, roles, style, config.dialogue, config.seed)


def labels(*, rehearsal: bool) -> dict[str, Any]:
    """Metadata that every dialogue of a run carries."""
    return {"rehearsal": True} if rehearsal else {}


def _role_models(config: RunConfig, role: str, default: str) -> tuple[RoleModel, ...]:
    settings = dict(config.roles.items())[role]
    sampling = Sampling(settings.temperature, settings.top_p, settings.max_tokens)
    return tuple(RoleModel(name, sampling) for name in settings.models or (default,))


def _describe(
    config: RunConfig, material: Material, connection: Connection
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fingerprint of the run, and the facts about it that may change."""
    fingerprint = {
        **config.what(),
        "model": connection.model,
        "tool_calls": connection.tool_calls,
        "catalogue": {"tools": len(material.catalogue.tools), "hash": material.catalogue.content_hash},
        "prompts": material.prompts.hashes,
    }
    facts = {
        "toolflow": toolflow.__version__,
        "rehearsal": connection.rehearsal,
        "config": config.model_dump(mode="json"),
    }
    return fingerprint, facts
