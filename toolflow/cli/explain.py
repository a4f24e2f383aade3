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
    as_json: Annotated[bool, typer.Option("--json", help="Print its line as JSON.")] = False,
) -> None:
    """Show one dialogue with its plan and calls, or why it was thrown out."""
    from rich.console import Console

    from toolflow.catalog.tool import encode_json
    from toolflow.errors import RunDirectoryError
    from toolflow.journal.run_directory import find_dialogue
    from toolflow.view.transcript import render_dialogue, render_rejection

    line = find_dialogue(run, dialogue)
    if line is None:
        wanted = f"no dialogue {dialogue}" if dialogue else "no accepted dialogue yet"
        raise RunDirectoryError(
            f"{run} holds {wanted}", hint="dialogues.jsonl and rejected.jsonl list what there is."
        )
    if as_json:
        typer.echo(encode_json(line))
    else:
        Console().print(render_dialogue(line) if "messages" in line else render_rejection(line))
