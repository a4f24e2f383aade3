"""``toolflow check``: the checks of today over a run of yesterday."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from toolflow.cli.options.output import AsJson, print_json
from toolflow.cli.options.panels import examples
from toolflow.cli.options.runs import RunFolder
from toolflow.cli.telling import progress
from toolflow.exit_codes import OK, PARTIAL

EXAMPLES = examples(
    "toolflow check runs/paid",
    "toolflow check runs/paid --apply",
)


def check(
    run: RunFolder,
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
    as_json: AsJson = False,
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
        tell = stack.enter_context(progress())
        found = recheck(run, progress=partial(tell, "checking"), processes=processes)
        if held is not None and not found.agrees:
            asyncio.run(found.apply(held))
    if as_json:
        print_json(found.to_json() | {"applied": apply and not found.agrees})
    else:
        from toolflow.cli.check_print import print_recheck

        print_recheck(found, run, applied=apply, seconds=time.monotonic() - began)
    raise typer.Exit(OK if not found.stuck and (found.agrees or apply) else PARTIAL)
