"""Puts a run together from its configuration, plays it, and sums it up."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Literal

import toolflow
from toolflow.agents.cast import Troupe
from toolflow.agents.prompts import Prompts
from toolflow.agents.voice import RoleModel
from toolflow.catalog.catalogue import Catalogue
from toolflow.catalog.load import load_catalogue, load_sample
from toolflow.clock import monotonic
from toolflow.config import RunConfig
from toolflow.errors import JournalDamagedError
from toolflow.folders import cache_folder
from toolflow.graph.sampling import Sampler
from toolflow.journal.calls import SqliteJournal
from toolflow.journal.events import RunEvents
from toolflow.journal.reading import Sum
from toolflow.journal.replay import JournalledModel
from toolflow.journal.run_directory import RunDirectory
from toolflow.journal.salvage import Salvage, mend
from toolflow.llm.chat import Sampling
from toolflow.llm.client import Client
from toolflow.llm.connect import Connection, connect, make_router
from toolflow.llm.estimate import TokenEstimator
from toolflow.llm.retry import RetryPolicy
from toolflow.pipeline import Bounds, Ending, Synthesis
from toolflow.progress import Progress, ProgressSnapshot
from toolflow.runtime.bus import Bus
from toolflow.spending import BOUNDS, Spending, spending_of
from toolflow.view.display import Display

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
    """Read catalogue and prompts, build the graph.

    Raises:
        CatalogueError: The catalogue cannot be read.
        GraphError: The graph cannot be built.
        UsageError: The prompts cannot be used.
    """
    prompts = Prompts(config.prompts)
    catalogue, notices = _read_catalogue(config)
    return Material(catalogue, _make_sampler(config, catalogue), prompts, tuple(notices))


async def play_run(config: RunConfig, material: Material, output: Path, display: Display) -> Result:
    """Begin or continue the run in a run directory, and play it until it ends.

    Raises:
        ToolFlowError: The run cannot go on; nothing finished is lost.
    """
    async with connect(config, os.environ) as connection:
        spending = spending_of(config, connection)
        with RunDirectory(output) as run:
            continued = run.claim(*_describe(config, material, connection))
            for notice in (*material.notices, *connection.notices):
                display.notice(notice)
            if continued:
                display.notice(f"Continuing the run in {output}.")
            play = partial(_play, config, material, connection, spending, run=run, display=display)
            begun: Literal["run_begun", "run_continued"] = "run_continued" if continued else "run_begun"
            saved = mend(run.journal)
            try:
                return await play(begun=begun, saved=saved)
            except JournalDamagedError:
                # Damage that shows only now: what was played so far is safe, go on from there.
                saved = mend(run.journal, thorough=True)
                if saved is None:
                    raise
                return await play(begun="run_continued", saved=saved)


async def _play(
    config: RunConfig,
    material: Material,
    connection: Connection,
    spending: Spending,
    *,
    run: RunDirectory,
    display: Display,
    begun: Literal["run_begun", "run_continued"],
    saved: Salvage | None,
) -> Result:
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
    journal: SqliteJournal,
    events: RunEvents,
    display: Display,
) -> Result:
    estimator = TokenEstimator()
    router = make_router(config, connection, estimator)
    budget = spending.open(estimator, journal)
    client = Client(
        router,
        RetryPolicy(attempts=config.retries + 1, attempt_timeout=config.attempt_timeout),
        budget=budget,
        fallbacks=config.fallback_models,
    )
    model = JournalledModel(client, journal)
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
        troupe=Troupe(
            model,
            material.prompts,
            {role: _role_models(config, role, connection.model) for role in material.prompts.hashes},
            connection.tool_calls,
            config.dialogue,
            config.seed,
        ),
        model=model,
        run=run,
        bus=bus,
        progress=progress,
        labels={"rehearsal": True} if connection.rehearsal else {},
    )

    client.on_spare = synthesis.look_for_room
    if budget is not None:

        def exhausted(reason: str) -> None:
            events.note("budget_spent", bound=reason)
            display.notice(f"The budget is spent ({BOUNDS[reason]}): the calls in flight finish.")
            synthesis.stop_spent(budget.drained)

        budget.on_exhausted = exhausted
        budget.start()

    def snapshot() -> ProgressSnapshot:
        return progress.snapshot(client.statistics(), model.replayed)

    earlier = run.read_summary()
    try:
        with _stopped_by_signals(synthesis.stop, display, events):
            async with _beside(display.show(snapshot), events.follow(client.statistics)):
                ending = await synthesis.play()
    finally:
        if budget is not None:
            budget.close()
        cost = spending.cost(journal)
        summary = _summarise(
            snapshot(), journal.totals().all, earlier, cost=cost, rehearsal=connection.rehearsal
        )
        run.write_summary(summary)
    return Result(ending, summary)


@asynccontextmanager
async def _beside(*watching: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Have those who watch run meanwhile."""
    tasks = [asyncio.create_task(each) for each in watching]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@contextmanager
def _stopped_by_signals(stop: Callable[[], None], display: Display, events: RunEvents) -> Generator[None]:
    """First signal: let the calls in flight finish. Second: stop at once."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    asked = False

    def on_signal(number: signal.Signals) -> None:
        nonlocal asked
        events.note("stop_asked", signal=number.name)
        if asked:
            task.cancel()
            return
        asked = True
        display.notice("Stopping: the calls in flight finish first. Once more to stop at once.")
        stop()

    signals = (signal.SIGINT, signal.SIGTERM)
    try:
        for number in signals:
            loop.add_signal_handler(number, on_signal, number)
    except (NotImplementedError, RuntimeError, ValueError):  # not on this platform, or not in this thread
        yield
        return
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


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


def _summarise(
    snapshot: ProgressSnapshot,
    journalled: Sum,
    earlier: Mapping[str, Any],
    *,
    cost: float | None,
    rehearsal: bool,
) -> dict[str, Any]:
    """The content of summary.json: the whole run, this process and earlier ones together."""
    calls = snapshot.calls
    before = earlier.get("calls", {})
    return {
        "dialogues": {
            "target": snapshot.target,
            "accepted": snapshot.accepted,
            "rejected": snapshot.rejected,
            "failed": snapshot.failed,
        },
        "reasons": snapshot.reasons,
        "calls": {
            "completed": journalled.calls,
            "failed": calls.failed + before.get("failed", 0),
            "attempts": calls.attempts + before.get("attempts", 0),
            "rate_limited": calls.rate_limited + before.get("rate_limited", 0),
        },
        "tokens": {
            "prompt": journalled.usage.prompt,
            "completion": journalled.usage.completion,
        },
        "cost_usd": None if cost is None else round(cost, 6),  # never guessed
        "wall_s": round(snapshot.seconds + earlier.get("wall_s", 0.0), 3),
        "rehearsal": rehearsal,
    }
