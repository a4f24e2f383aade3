"""What ``toolflow tune`` does once its options are read; imported only then."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from toolflow import exit_codes
from toolflow.assembly import Material, make_troupe, read_material
from toolflow.cli.options.output import print_json
from toolflow.cli.telling import note
from toolflow.clock import monotonic
from toolflow.config import RolesConfig, RunConfig
from toolflow.errors import UsageError
from toolflow.journal.calls import MemoryJournal
from toolflow.journal.replay import JournalledModel
from toolflow.journal.run_directory import RunDirectory
from toolflow.llm.chat import Completion, Request
from toolflow.llm.concurrency.levels import Level, Stop, calls_for, doubling, recommend
from toolflow.llm.connect import REHEARSAL, Connection, connect
from toolflow.llm.providers.rehearsal import RehearsalProvider
from toolflow.pipeline import Bounds, Synthesis
from toolflow.progress import Progress
from toolflow.runtime.bus import Bus
from toolflow.runtime.loop import run
from toolflow.tuning import Tuning

_DIALOGUES: Final = 4
_BAR: Final = 24

_REASONS: Final[Mapping[Stop, str]] = {
    "throughput": "more calls in flight give hardly more calls a second",
    "latency": "answers became too slow",
    "rate_limits": "the endpoint refused calls with 429 (for limits a minute, see synth --rpm and --tpm)",
    "failures": "too many calls failed",
    "calls": "the calls were used up (--max-calls)",
    "levels": "there was no further level to measure",
}


def run_tuning(
    config: RunConfig, *, max_calls: int, seconds: float, levels: Sequence[int] | None, as_json: bool
) -> int:
    """Measure and print; the exit code.

    Raises:
        ToolFlowError: The endpoint cannot be measured.
    """
    if len(config.endpoints) > 1:
        raise UsageError(
            "one endpoint is measured at a time, and several are named",
            hint="Name one of them; --max-concurrency counts for each.",
        )
    lowest = levels[0] if levels else 1
    if not calls_for(lowest, max_calls):
        raise UsageError(
            f"--max-calls {max_calls} is too few to measure with {lowest} in flight",
            hint="Raise --max-calls, or begin --levels lower.",
        )
    material = read_material(config)
    # Where one call in twenty takes half of what it may, the slowest ones will soon be cut off.
    longest = config.attempt_timeout / 2
    measured: list[Level] = []
    try:
        stop = run(
            _tune(
                config,
                material,
                measured,
                longest=longest,
                max_calls=max_calls,
                seconds=seconds,
                levels=levels,
            )
        )
    except KeyboardInterrupt:
        _print(measured, recommend(measured, longest), None, as_json=as_json)
        return exit_codes.INTERRUPTED
    _print(measured, recommend(measured, longest), stop, as_json=as_json)
    return exit_codes.OK


async def _tune(
    config: RunConfig,
    material: Material,
    measured: list[Level],
    *,
    longest: float,
    max_calls: int,
    seconds: float,
    levels: Sequence[int] | None,
) -> Stop:
    console = Console(stderr=True)
    async with connect(config, os.environ, note) as connection:
        endpoint = connection.replicas[0]
        if endpoint.name == REHEARSAL:
            raise UsageError(
                "the rehearsal model answers in process: there is no endpoint to tune for",
                hint="Give --model NAME --base-url URL.",
            )
        for notice in (*material.notices, *connection.notices):
            note(notice)
        requests = await _record(config, material, connection)
        console.print(
            Text(
                f"Sending at most {max_calls:,} calls to {connection.model} at {endpoint.name}, made from "
                f"{len(requests):,} requests of {_DIALOGUES} dialogues. The endpoint may bill them."
            ),
            soft_wrap=True,
        )
        tuning = Tuning(
            endpoint.provider,
            requests,
            measured,
            seed=config.seed,
            max_calls=max_calls,
            seconds=seconds,
            longest=longest,
            attempt_timeout=config.attempt_timeout,
        )
        wanted: Iterable[int] = levels or doubling()
        most = connection.most_in_flight
        if most is not None:
            wanted = takewhile(lambda level: level <= most, wanted)
        with console.status("") as status:

            def show(level: int) -> None:
                status.update(f"measuring with {level} in flight")

            stop = await tuning.measure(wanted, show)
            if levels is None:
                await tuning.refine(show)
            return stop


class _Recorder:
    """Answers as the rehearsal model does, and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._rehearsal = RehearsalProvider()

    async def complete(self, request: Request) -> Completion:
        self.requests.append(request)
        return await self._rehearsal.send(request)


async def _record(config: RunConfig, material: Material, connection: Connection) -> list[Request]:
    """The requests of a few dialogues of the run, as the endpoint's model would be asked."""
    recorder = _Recorder()
    model = JournalledModel(recorder, MemoryJournal())
    # The one model that is measured plays all roles, each as it is to be asked.
    roles = {role: settings.model_copy(update={"model": None}) for role, settings in config.roles.items()}
    alone = config.model_copy(update={"roles": RolesConfig(**roles)})
    with TemporaryDirectory(prefix="toolflow-tune-") as folder, RunDirectory(Path(folder)) as directory:
        directory.claim({}, {})
        await Synthesis(
            Bounds(_DIALOGUES, 3 * _DIALOGUES, lambda: _DIALOGUES, config.dialogue_timeout),
            sampler=material.sampler,
            troupe=make_troupe(alone, material, model, connection.model, connection.tool_calls),
            model=model,
            run=directory,
            bus=Bus(monotonic),
            progress=Progress(_DIALOGUES, monotonic),
            labels={},
        ).play()
    if not recorder.requests:
        raise UsageError("the configuration gives no dialogue, and so no request to send")
    return recorder.requests


def _print(measured: Sequence[Level], chosen: Level | None, stop: Stop | None, *, as_json: bool) -> None:
    levels = sorted(measured, key=lambda level: level.concurrency)
    if as_json:
        facts = {
            "levels": [asdict(level) for level in levels],
            "stopped": stop or "interrupted",
            "recommendation": None if chosen is None else chosen.concurrency,
        }
        print_json(facts)
        return
    console = Console()
    if levels:
        console.print(_table(levels))
    console.print(Text(_sentence(levels, chosen, stop)), soft_wrap=True)


def _table(levels: Sequence[Level]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("in flight", "calls/s"):
        table.add_column(name, justify="right")
    table.add_column("")
    for name in ("p50 s", "p95 s", "calls", "429s", "failures"):
        table.add_column(name, justify="right")
    best = max(level.calls_per_second for level in levels) or 1.0
    for level in levels:
        table.add_row(
            str(level.concurrency),
            f"{level.calls_per_second:.1f}",
            ProgressBar(total=best, completed=level.calls_per_second, width=_BAR),
            *("–" if value is None else f"{value:.2f}" for value in (level.p50, level.p95)),
            str(level.calls),
            str(level.rate_limited),
            str(level.failed),
        )
    return table


def _sentence(levels: Sequence[Level], chosen: Level | None, stop: Stop | None) -> str:
    why = "it was interrupted" if stop is None else _REASONS[stop]
    if chosen is None:
        return f"No --max-concurrency can be recommended: {why}."
    return (
        f"Recommended: --max-concurrency {chosen.concurrency} ({chosen.calls_per_second:.1f} calls/s); "
        f"measuring ended at {levels[-1].concurrency} because {why}."
    )
