"""Puts a run together from its configuration, plays it, and sums it up."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import toolflow
from toolflow.agents.cast import Troupe
from toolflow.agents.prompts import Prompts
from toolflow.agents.voice import RoleModel
from toolflow.catalog.catalogue import Catalogue
from toolflow.catalog.load import load_catalogue, load_sample
from toolflow.clock import monotonic
from toolflow.config import RunConfig
from toolflow.errors import UsageError
from toolflow.folders import cache_folder
from toolflow.graph.sampling import Sampler
from toolflow.journal.calls import SqliteJournal
from toolflow.journal.replay import JournalledModel
from toolflow.journal.run_directory import RunDirectory
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

if TYPE_CHECKING:
    from toolflow.graph.graph import ToolGraph

GraphProgress = Callable[[str, int, int], None]

_ALIVE_PER_PERMIT = 1.25
"""A dialogue waits on its agents, the journal and the disk now and then: a few more keep the permits busy."""


@dataclass(frozen=True, slots=True)
class Material:
    """What a run is made from, read before any call.

    Attributes:
        catalogue: The tools.
        sampler: Draws tool sets from them.
        graph: What tells the graph of the sampler from the embedded encoder's; empty where there is no need.
        prompts: The templates.
        notices: What the user should know, a sentence each.
    """

    catalogue: Catalogue
    sampler: Sampler
    graph: Mapping[str, str]
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


def read_material(config: RunConfig, progress: GraphProgress | None = None) -> Material:
    """Read catalogue and prompts, read or build the graph.

    Args:
        config: The run's configuration.
        progress: Called while a graph is built: with the stage, how much of it is done, and of how much.

    Raises:
        CatalogueError: The catalogue cannot be read.
        GraphError: The graph cannot be read or built.
        LLMError: The encoder's endpoint failed.
        UsageError: The prompts cannot be used, there is no such encoder, or the graph is of other tools.
    """
    prompts = Prompts(config.prompts)
    if config.sampler.kind == "random":
        catalogue, notices = _read_catalogue(config)
        return Material(catalogue, _uniform_sampler(config, catalogue), {}, prompts, tuple(notices))
    if config.sampler.graph is None:
        catalogue, notices = _read_catalogue(config)
        graph = _build_graph(config, catalogue, progress)
        told = {} if config.sampler.encoder is None else {"encoder": graph.encoder}
    else:
        graph, notices = _read_graph(config, config.sampler.graph)
        catalogue = Catalogue(graph.tools)
        told = {"encoder": graph.encoder, "hash": graph.links_hash}
    return Material(catalogue, _graph_sampler(config, graph), told, prompts, tuple(notices))


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
            with SqliteJournal(run.journal) as journal:
                return await _play(
                    config, material, connection, spending, run=run, journal=journal, display=display
                )


async def _play(
    config: RunConfig,
    material: Material,
    connection: Connection,
    spending: Spending,
    *,
    run: RunDirectory,
    journal: SqliteJournal,
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
            display.notice(f"The budget is spent ({BOUNDS[reason]}): the calls in flight finish.")
            synthesis.stop_spent(budget.drained)

        budget.on_exhausted = exhausted
        budget.start()

    def snapshot() -> ProgressSnapshot:
        return progress.snapshot(client.statistics(), model.replayed)

    earlier = run.read_summary()
    try:
        with _stopped_by_signals(synthesis.stop, display):
            ending = await _shown(synthesis, display, snapshot)
    finally:
        if budget is not None:
            budget.close()
        cost = spending.cost(journal)
        summary = _summarise(snapshot(), journal.totals(), earlier, cost=cost, rehearsal=connection.rehearsal)
        run.write_summary(summary)
    return Result(ending, summary)


async def _shown(synthesis: Synthesis, display: Display, snapshot: Callable[[], ProgressSnapshot]) -> Ending:
    showing = asyncio.create_task(display.show(snapshot), name="display")
    try:
        return await synthesis.play()
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing


@contextmanager
def _stopped_by_signals(stop: Callable[[], None], display: Display) -> Generator[None]:
    """First signal: let the calls in flight finish. Second: stop at once."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    asked = False

    def on_signal() -> None:
        nonlocal asked
        if asked:
            task.cancel()
            return
        asked = True
        display.notice("Stopping: the calls in flight finish first. Once more to stop at once.")
        stop()

    signals = (signal.SIGINT, signal.SIGTERM)
    try:
        for number in signals:
            loop.add_signal_handler(number, on_signal)
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


def _read_graph(config: RunConfig, file: str) -> tuple[ToolGraph, list[str]]:
    """The graph of a file, which must be of the catalogue's tools; without a catalogue its own are used."""
    from toolflow.graph.graph import ToolGraph  # noqa: PLC0415  numpy loads when it is needed

    if not config.tools:
        graph = ToolGraph.load(file)
        return graph, [f"No --tools given: using the {len(graph):,} tools of the graph."]
    catalogue, notices = _read_catalogue(config)
    graph = ToolGraph.load(file, catalogue)
    if graph.content_hash != catalogue.content_hash:
        shared = sum(tool.name in catalogue for tool in graph.tools)
        raise UsageError(
            f"{file}: a graph of another catalogue: it holds {len(graph):,} tools, the catalogue "
            f"{len(catalogue):,}, and {shared:,} names are in both",
            hint="Leave out --tools to use the graph's own, or build it of the same catalogues with the same "
            "--limit-tools and --skip-invalid: toolflow graph build",
        )
    return graph, notices


def _build_graph(config: RunConfig, catalogue: Catalogue, progress: GraphProgress | None) -> ToolGraph:
    from toolflow.curation.encoders import make_encoder  # noqa: PLC0415
    from toolflow.graph.cache import cached_graph  # noqa: PLC0415

    return cached_graph(
        catalogue,
        make_encoder(config.sampler.encoder, os.environ),
        cache_folder(),
        threshold=config.sampler.threshold,
        progress=progress,
    )


def _graph_sampler(config: RunConfig, graph: ToolGraph) -> Sampler:
    from toolflow.graph.sampling import GraphSampler, SizeRange  # noqa: PLC0415
    from toolflow.graph.shapes import ShapeWeights  # noqa: PLC0415

    settings = config.sampler
    return GraphSampler(
        graph,
        config.seed,
        sizes=SizeRange(settings.fewest_tools, settings.most_tools, settings.size_weights),
        shapes=ShapeWeights(**settings.shapes.model_dump()),
        distractors=SizeRange(settings.fewest_distractors, settings.most_distractors),
    )


def _uniform_sampler(config: RunConfig, catalogue: Catalogue) -> Sampler:
    from toolflow.graph.sampling import SizeRange, UniformSampler  # noqa: PLC0415

    settings = config.sampler
    return UniformSampler(
        catalogue.tools,
        config.seed,
        sizes=SizeRange(settings.fewest_tools, settings.most_tools, settings.size_weights),
        distractors=SizeRange(settings.fewest_distractors, settings.most_distractors),
    )


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
    if material.graph:
        fingerprint["graph"] = dict(material.graph)
    facts = {
        "toolflow": toolflow.__version__,
        "rehearsal": connection.rehearsal,
        "config": config.model_dump(mode="json"),
    }
    return fingerprint, facts


def _summarise(
    snapshot: ProgressSnapshot,
    journalled: Mapping[str, int],
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
            "completed": journalled["calls"],
            "failed": calls.failed + before.get("failed", 0),
            "attempts": calls.attempts + before.get("attempts", 0),
            "rate_limited": calls.rate_limited + before.get("rate_limited", 0),
        },
        "tokens": {
            "prompt": journalled["prompt_tokens"],
            "completion": journalled["completion_tokens"],
        },
        "cost_usd": None if cost is None else round(cost, 6),  # never guessed
        "wall_s": round(snapshot.seconds + earlier.get("wall_s", 0.0), 3),
        "rehearsal": rehearsal,
    }
