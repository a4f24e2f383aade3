"""``toolflow synth``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolflow.cli.options.catalogues import Catalogues
from toolflow.cli.options.endpoints import Entry, Models
from toolflow.cli.options.output import AsJson
from toolflow.cli.options.panels import WHAT, examples
from toolflow.cli.options.spread import spread
from toolflow.cli.synth_calls import Asking, Bounds
from toolflow.cli.synth_options import Carrying, Drawing, Wanted

EXAMPLES = examples(
    "toolflow synth -n 10 -o runs/first",
    "toolflow synth --tools tools.jsonl -n 5000 --model gpt-4.1-mini --max-cost 20 -o runs/paid",
    "toolflow synth -t tools.jsonl -n 5000 --base-url http://gpu:8000/v1 --max-concurrency 256 -o runs/vllm",
)


@spread
def synth(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="RUN",
            help="Run directory; a run that is there already is continued.",
            rich_help_panel=WHAT,
        ),
    ] = Path("toolflow-run"),
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML with any of these settings, a model for each role, and more; options go before it.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    *,
    wanted: Wanted,
    catalogues: Catalogues,
    drawing: Drawing,
    models: Models,
    entry: Entry,
    asking: Asking,
    bounds: Bounds,
    carrying: Carrying,
    as_json: AsJson = False,
) -> None:
    """Make a data set of tool-calling dialogues from a catalogue of tools.

    The same command again continues a run that was stopped, however it was stopped: no call is paid twice
    but those that were in flight. How it runs may change (concurrency, limits, budgets, endpoints, display),
    and so may -n: a larger one extends the run, a smaller one keeps the first dialogues. What determines the
    data set (seed, catalogue, prompts, models, sampler) may not; --fork makes a new run with it.

    The first Ctrl-C lets the calls in flight finish, a second one stops at once; neither loses finished work.

    Exit codes: 0 target met, 1 failure, 2 wrong usage or configuration, 3 candidates or a budget used up,
    130 Ctrl-C.
    """
    from toolflow.cli.synth_run import run_synthesis
    from toolflow.config import load_config

    flags = {
        name: value
        for group in (wanted, catalogues, drawing, models, entry, asking, bounds)
        for name, value in group.flags().items()
    }
    code = run_synthesis(
        load_config(config, flags),
        output,
        fork=carrying.fork,
        retry_failed=carrying.retry_failed,
        display=carrying.display.value if carrying.display else None,
        dry_run=carrying.dry_run,
        as_json=as_json,
    )
    raise typer.Exit(code)
