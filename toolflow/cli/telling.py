"""What commands tell beside their output, on standard error: notes, and how far the work is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

import typer

Tell = Callable[[str, int, int], None]
"""Called with the stage of the work, how much of it is done, and of how much."""


def note(text: str) -> None:
    """Tell the user something; above the bar where one is drawn."""
    from toolflow.text import printable

    typer.echo(f"note: {printable(text)}", err=True)


@contextmanager
def progress(*, lines: bool = False) -> Generator[Tell]:
    """A bar on a terminal; elsewhere nothing, or a line for each tenth of a stage."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _tenths() if lines else _nothing
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total)


def _nothing(stage: str, done: int, total: int) -> None:
    """Tell nothing."""


def _tenths() -> Tell:
    told: dict[str, int] = {}

    def tell(stage: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth > told.get(stage, 0):
            told[stage] = tenth
            typer.echo(f"{stage}: {done:,} of {total:,}", err=True)

    return tell


def print_failures(failed: Mapping[str, int], examples: Mapping[str, str]) -> None:
    """Print failures by reason, most frequent first, each with what the first one said."""
    from toolflow.text import one_line

    for reason, count in sorted(failed.items(), key=lambda item: (-item[1], item[0])):
        typer.echo(
            f"  failed, {one_line(reason, 40)}: {count:,}; the first: {one_line(examples[reason], 200)}"
        )
