"""What the commands share that have a model work on a catalogue or a graph."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

import typer

T = TypeVar("T")

PARTIAL = 3
INTERRUPTED = 130

_MODEL = "Models"

Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=_MODEL,
        help="Model at the endpoint, a path to a GGUF file, or 'rehearsal'.",
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        rich_help_panel=_MODEL,
        help="Endpoint; OPENAI_BASE_URL and OPENAI_API_KEY are heeded, ANTHROPIC_… likewise.",
    ),
]
MaxConcurrency = Annotated[
    int, typer.Option(min=1, metavar="N", help="LLM calls in flight.", rich_help_panel=_MODEL)
]
MaxCalls = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        help="Most LLM calls; what is then missing, the same command goes on with.",
        rich_help_panel=_MODEL,
    ),
]


def run_job(job: Coroutine[Any, Any, T]) -> T:
    """Run a job; Ctrl-C stops it, and what it has paid for stays.

    Raises:
        typer.Exit: It was interrupted.
    """
    from toolflow.runtime.loop import run

    try:
        return run(job)
    except KeyboardInterrupt:
        typer.echo("Stopped. The same command goes on from here.", err=True)
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def job_progress() -> Generator[Callable[[str, int, int], None]]:
    """Progress on standard error: a bar on a terminal, else a line for each tenth."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _tenths()
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total)


def _tenths() -> Callable[[str, int, int], None]:
    told: dict[str, int] = {}

    def tell(stage: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth > told.get(stage, 0):
            told[stage] = tenth
            typer.echo(f"{stage}: {done:,} of {total:,}", err=True)

    return tell


def print_notices(notices: tuple[str, ...]) -> None:
    """What the user should know before it begins."""
    from toolflow.text import printable

    for notice in notices:
        typer.echo(f"note: {printable(notice)}", err=True)


def print_failures(failed: Mapping[str, int], examples: Mapping[str, str]) -> None:
    """Failures by reason, most frequent first, each with what the first one said."""
    from toolflow.text import one_line

    for reason, count in sorted(failed.items(), key=lambda item: (-item[1], item[0])):
        typer.echo(
            f"  failed, {one_line(reason, 40)}: {count:,}; the first: {one_line(examples[reason], 200)}"
        )
