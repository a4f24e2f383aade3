"""What a command prints, and where."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from toolflow.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

_PIPED_WIDTH: Final = 240

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
ShowAll = Annotated[bool, typer.Option("--all", help="Print all of it, however long it gets.")]


def check_output(path: Path) -> None:
    """Make sure, before any work is done, that a file may be written there.

    Raises:
        UsageError: It may not.
    """
    folder = path.absolute().parent
    if path.is_dir():
        reason = "it is a folder"
    elif not folder.is_dir():
        reason = f"there is no folder {path.parent}"
    elif not os.access(path if path.exists() else folder, os.W_OK):
        reason = "no permission"
    else:
        return
    raise UsageError(f"{path}: cannot be written: {reason}", hint="Give the path of a file after -o.")


def say_written(text: str, path: Path) -> None:
    """Say what was written: beside the output, where it went to standard output or another device."""
    typer.echo(text, err=not path.is_file() or path.parent == Path("/dev"))


def print_json(value: Any) -> None:
    """Print one line of JSON, in UTF-8 whatever the terminal's encoding."""
    import msgspec

    typer.echo(msgspec.json.encode(value))


def open_console() -> Console:
    """Standard output; wide where it is no terminal, for whoever greps wants whole lines."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    return console
