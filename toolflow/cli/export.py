"""``toolflow export``: a run's data set in a trainer's format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="The run directory.", metavar="RUN")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.", metavar="FILE")],
    format_name: Annotated[
        str, typer.Option("--format", "-f", help="openai: one {messages, tools} a line.")
    ] = "openai",
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Write a run's data set in the order of dialogue indices.

    Two runs with the same seed and the same replies give the same file, byte for byte.
    """
    from toolflow.export.openai import export as write

    count = write(run, format_name, output)
    if as_json:
        from toolflow.catalog.tool import encode_json

        typer.echo(encode_json({"format": format_name, "dialogues": count, "output": str(output)}))
    else:
        typer.echo(f"{count} dialogues written to {output}")
