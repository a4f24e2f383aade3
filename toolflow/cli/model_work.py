"""What the commands share that have a model work on a catalogue or a graph."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from toolflow.cli.options.endpoints import Entry, Models
from toolflow.cli.options.panels import LIMITS
from toolflow.exit_codes import INTERRUPTED

if TYPE_CHECKING:
    from toolflow.curation.session import Session

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Work:
    """Which model works, and how much."""

    models: Models
    entry: Entry
    max_concurrency: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="LLM calls in flight at each endpoint.", rich_help_panel=LIMITS
        ),
    ] = 64
    max_calls: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Most LLM calls; what is then missing, the same command goes on with.",
            rich_help_panel=LIMITS,
        ),
    ] = None

    @asynccontextmanager
    async def session(self, seed: int) -> AsyncGenerator[Session]:
        """The way to the model; what the user should know is told, now and when it turns up.

        Raises:
            UsageError: No model is named where one must be, or an extra is missing.
            LLMError: The endpoint does not answer, or refuses.
        """
        import os

        from toolflow.cli.telling import note
        from toolflow.config import load_config
        from toolflow.curation.session import open_session

        flags = {"max_concurrency": self.max_concurrency, "seed": seed}
        config = load_config(None, flags | self.models.flags() | self.entry.flags())
        async with open_session(config, os.environ, self.max_calls, tell=note) as session:
            for notice in session.notices:
                note(notice)
            yield session


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
