"""``toolflow explain``: one dialogue of a run, for a reader."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explain(
    run: Annotated[Path, typer.Argument(help="The run directory.", metavar="RUN")],
    dialogue: Annotated[
        str | None,
        typer.Argument(
            help="Its id (d0000012) or index (12). Default: the first accepted one.", metavar="[ID]"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that is known as JSON.")] = False,
) -> None:
    """Show one dialogue: its tools and plan, what was said, each LLM call and its cost, why it was dropped.

    Works for accepted, rejected, failed and unfinished dialogues, also while the run goes on. Nothing is
    asked of a model: the dialogue is played again from the journal.
    """
    import asyncio

    from rich.console import Console

    from toolflow.catalog.tool import encode_json
    from toolflow.rework.explanation import explain as explain_dialogue
    from toolflow.rework.explanation import find_index
    from toolflow.rework.replay import Rework
    from toolflow.view.transcript import render_explanation

    with Rework(run) as rework:
        document = asyncio.run(explain_dialogue(rework, find_index(rework, dialogue)))
    if as_json:
        typer.echo(encode_json(document))
    else:
        Console().print(render_explanation(document))
