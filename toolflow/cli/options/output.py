"""What a command prints, and where."""

from __future__ import annotations

from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
ShowAll = Annotated[bool, typer.Option("--all", help="Print all of it, however long it gets.")]


def print_json(value: Any) -> None:
    """Print one line of JSON."""
    from toolflow.catalog.tool import encode_json

    typer.echo(encode_json(value))
