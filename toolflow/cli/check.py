"""``toolflow check``: the checks of today over a run of yesterday."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

_AGREES, _DIFFERS = 0, 3


def check(
    run: Annotated[Path, typer.Argument(help="The run directory.", metavar="RUN")],
    apply: Annotated[
        bool,
        typer.Option(
            "--apply",
            help="Write dialogues.jsonl and rejected.jsonl anew by what was found; toolflow synth then "
            "replaces what fell out.",
        ),
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Processes that share the work.", show_default="as many as pay"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Judge every dialogue of a run again, from its journal: no model is asked, no key needed, nothing paid.

    Each dialogue is played again with the replies in the journal and put before the checks of this version. A
    dialogues.jsonl that is damaged or missing is made whole by --apply. Without it nothing is changed, and
    the run may be going on.

    Exit codes: 0 the files say what the checks say (or now do), 1 failure, 2 wrong usage, 3 they differ, or
    dialogues cannot be played again.
    """
    import asyncio
    import time
    from contextlib import ExitStack

    from toolflow.journal.run_directory import RunDirectory
    from toolflow.journal.run_record import require_record
    from toolflow.rework.recheck import recheck

    require_record(run)
    began = time.monotonic()
    with ExitStack() as stack:
        # Held from before the check, so that nobody writes meanwhile.
        held = stack.enter_context(RunDirectory(run)) if apply else None
        progress = stack.enter_context(_bar())
        found = recheck(run, progress=progress, processes=processes)
        if held is not None and not found.agrees:
            asyncio.run(found.apply(held))
    if as_json:
        from toolflow.catalog.tool import encode_json

        typer.echo(encode_json(found.to_json() | {"applied": apply and not found.agrees}))
    else:
        from toolflow.cli.check_print import print_recheck

        print_recheck(found, run, applied=apply, seconds=time.monotonic() - began)
    raise typer.Exit(_AGREES if not found.stuck and (found.agrees or apply) else _DIFFERS)


@contextmanager
def _bar() -> Generator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("")
        yield lambda done, total: bar.update(task, completed=done, total=total)
