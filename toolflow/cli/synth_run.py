"""What ``toolflow synth`` does once its options are read; imported only then."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import typer
from rich.console import Console
from rich.text import Text

from toolflow import exit_codes
from toolflow.assembly import Material, read_material
from toolflow.cli.options.output import print_json
from toolflow.cli.telling import progress
from toolflow.config import RunConfig
from toolflow.journal.lock import require_free
from toolflow.journal.run_record import require_record
from toolflow.pipeline import Ending
from toolflow.playing import Result, play_run
from toolflow.runtime.loop import run
from toolflow.text import one_line
from toolflow.view.display import make_display

_EXIT_CODES: Final[Mapping[Ending, int]] = {
    "target_met": exit_codes.OK,
    "candidate_ceiling": exit_codes.PARTIAL,
    "budget_spent": exit_codes.PARTIAL,
    "interrupted": exit_codes.INTERRUPTED,
}


def run_synthesis(
    config: RunConfig,
    output: Path,
    *,
    fork: Path | None,
    retry_failed: bool,
    display: Literal["live", "plain", "none"] | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Carry out a run, or say what it would do; the exit code.

    Raises:
        ToolFlowError: The run cannot go on; nothing finished is lost.
    """
    console = Console(stderr=True)
    if fork is not None:
        require_record(output)
    folder = fork or output
    if folder.is_dir() and not dry_run:
        require_free(folder)  # before much is read, and anything asked
    with nullcontext() if display == "none" else progress() as tell:
        material = read_material(config, tell)
    if dry_run:
        _describe(config, material, folder, as_json=as_json)
        return exit_codes.OK
    view = make_display(
        display, console=console, title=f"{folder} · {', '.join(config.model_names()) or 'default model'}"
    )
    try:
        result = run(play_run(config, material, output, view, fork=fork, retry_failed=retry_failed))
    except asyncio.CancelledError:  # the second Ctrl-C
        console.print("Stopped at once. The same command continues the run.")
        return _EXIT_CODES["interrupted"]
    if as_json:
        print_json(result.summary)
    else:
        _report(result, folder, console)
    return _EXIT_CODES[result.ending]


def _describe(config: RunConfig, material: Material, output: Path, *, as_json: bool) -> None:
    facts: dict[str, Any] = {
        "output": str(output),
        "tools": len(material.catalogue.tools),
        "sampler": config.sampler.kind,
        "dialogues": config.n,
        "most_candidates": config.candidate_ceiling,
        "models": list(config.model_names()) or None,
        "endpoints": [endpoint.base_url for endpoint in config.endpoints] or None,
        "max_concurrency": config.max_concurrency,
        "seed": config.seed,
    }
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        shown = "(chosen when the run begins)" if value is None else value
        typer.echo(f"{name.replace('_', ' '):>16}  {shown}")


def _report(result: Result, output: Path, console: Console) -> None:
    """The end of a run in a few lines, on stderr beside the display."""
    counts, calls = result.summary["dialogues"], result.summary["calls"]
    tokens, processes = result.summary["tokens"], result.summary["processes"]
    uncounted = processes["begun"] - processes["counted"]
    tell = partial(console.print, soft_wrap=True)
    tell(
        Text(
            f"{counts['accepted']:,} of {counts['target']:,} dialogues accepted, "
            f"{counts['rejected']:,} rejected, {counts['failed']:,} failed; {calls['completed']:,} calls, "
            f"{tokens['prompt'] + tokens['completion']:,} LLM tokens, {result.summary['wall_s']:.1f} s"
            f"{f' (processes not counted: {uncounted})' if uncounted else ''}."
        )
    )
    for reason, count in result.summary["reasons"].items():
        detail = result.details.get(reason)
        tell(Text(f"  {count:,} × {one_line(reason, 60)}{f': {one_line(detail, 200)}' if detail else ''}"))
    if result.details:
        tell(Text(f"toolflow explain {output} ID tells all of one; rejected.jsonl has the IDs."))
    if counts["failed"]:
        tell("With --retry-failed the same command tries the failed ones again.")
    tell(Text(f"Data set: {output / 'dialogues.jsonl'}"))
    if result.ending == "interrupted":
        tell("Stopped. The same command continues the run.")
    elif result.ending == "budget_spent":
        tell("The budget is spent before the target is met. A larger one continues the run.")
    elif result.ending == "candidate_ceiling":
        tell(
            "The candidates are used up before the target is met. rejected.jsonl tells why each was thrown "
            "out; raise --max-candidates to go on."
        )
