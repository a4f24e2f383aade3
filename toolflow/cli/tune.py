"""``toolflow tune``: how many calls in flight an endpoint bears."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolflow.cli.options.catalogues import Catalogues
from toolflow.cli.options.endpoints import Entry, Models
from toolflow.cli.options.output import AsJson
from toolflow.cli.options.panels import examples
from toolflow.cli.options.spread import spread

EXAMPLES = examples(
    "toolflow tune --model Qwen3-32B --base-url http://gpu:8000/v1",
    "toolflow tune --config run.yaml --levels 16,32,64,128 --seconds 30",
)


@spread
def tune(
    *,
    models: Models,
    entry: Entry,
    catalogues: Catalogues,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML with the settings of the run; options go before it."),
    ] = None,
    max_calls: Annotated[
        int, typer.Option(min=20, metavar="N", help="Most calls sent for measuring, all levels together.")
    ] = 2000,
    seconds: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Longest time in which a level may begin calls.")
    ] = 10.0,
    levels: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,…",
            help="Calls in flight to measure at.",
            show_default="1,2,4,8,… until more is no use",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure an endpoint with the requests of a run, and recommend its --max-concurrency.

    A few dialogues are played by the rehearsal model; their requests are then sent to the endpoint, at ever
    more calls in flight, until the throughput rises no more. The calls are real: the endpoint bills them.

    Exit codes: 0 measured, 1 failure, 2 wrong usage or configuration, 130 Ctrl-C (shows what was measured).
    """
    from toolflow.cli.tune_run import run_tuning
    from toolflow.config import load_config

    code = run_tuning(
        load_config(config, models.flags() | entry.flags() | catalogues.flags()),
        max_calls=max_calls,
        seconds=seconds,
        levels=None if levels is None else _read_levels(levels),
        as_json=as_json,
    )
    raise typer.Exit(code)


def _read_levels(text: str) -> tuple[int, ...]:
    from toolflow.errors import UsageError

    try:
        levels = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        levels = ()
    if not levels or levels[0] < 1:
        raise UsageError(f"--levels {text}: no whole numbers above zero", hint="Write 1,2,4,8.")
    return levels
