"""The command line: one module a command group. Rooms are imported inside commands, so --help stays quick."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import toolflow
from toolflow.cli import (
    check,
    check_links,
    enrich,
    explain,
    export,
    graph,
    model,
    provider,
    replay,
    synth,
    tools,
    tune,
)
from toolflow.errors import CatalogueError, GraphError, RunDirectoryError, ToolFlowError, UsageError
from toolflow.exit_codes import FAILURE, INTERRUPTED, USAGE

_USAGE_ERRORS = (UsageError, CatalogueError, GraphError, RunDirectoryError)
_NOT_WRITTEN = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

app = typer.Typer(
    name="toolflow",
    help="Turn a catalogue of tools into a data set of natural, coherent, multi-turn tool-calling dialogues.",
    epilog="Start with: toolflow synth -n 10 -o RUN (no key needed: the rehearsal model answers).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=synth.EXAMPLES)(synth.synth)
app.add_typer(tools.app, name="tools")
app.add_typer(graph.app, name="graph")
app.command(epilog=explain.EXAMPLES)(explain.explain)
app.command(epilog=replay.EXAMPLES)(replay.replay)
app.command(epilog=check.EXAMPLES)(check.check)
app.command(epilog=export.EXAMPLES)(export.export)
app.command(epilog=tune.EXAMPLES)(tune.tune)
app.command(epilog=provider.EXAMPLES)(provider.provider)
app.add_typer(model.app, name="model")
tools.app.command(epilog=enrich.EXAMPLES)(enrich.enrich)
graph.app.command(epilog=check_links.EXAMPLES)(check_links.check_links)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"toolflow {toolflow.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def main() -> None:
    """Run a command; map errors to messages and exit codes."""
    _make_streams_safe()
    try:
        _refuse_empty(sys.argv[1:])
        app()
    except ToolFlowError as error:
        _print_error(error)
        sys.exit(USAGE if isinstance(error, _USAGE_ERRORS) else FAILURE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone (``| head``): nothing to say, and nobody to say it to.
        _drop_output()
        sys.exit(FAILURE)
    except OSError as error:
        known = _worded(error)
        if known is None:
            raise
        _drop_output()
        _print_error(known)
        sys.exit(USAGE if isinstance(known, UsageError) else FAILURE)


def _refuse_empty(arguments: Sequence[str]) -> None:
    """An empty path would mean the folder one is in: nobody who leaves a variable unset wants a run there.

    Raises:
        UsageError: An argument, or the value of an option, is empty.
    """
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if not argument or (argument.startswith("--") and argument.find("=") == len(argument) - 1):
            place = argument.rstrip("=") or (f"what follows {before}" if before else "the first argument")
            raise UsageError(f"{place} is empty", hint="Is a variable of the shell unset?")


def _worded(error: OSError) -> ToolFlowError | None:
    """The error of the house for what no room expects: a full disk, and a path that no system takes."""
    if error.errno in _NOT_WRITTEN:
        what = error.filename or "the output"
        return ToolFlowError(
            f"{what} cannot be written: {error.strerror}", hint="Free some disk space, or write elsewhere."
        )
    if error.errno == errno.ENAMETOOLONG:
        return UsageError(f"{error.filename}: {error.strerror}", hint="Give a shorter path.")
    return None


def _make_streams_safe() -> None:
    """Let closed streams take what is written, and characters that an encoding lacks be spelt out."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as Python has it for stderr


def _drop_output() -> None:
    """Let what is still in the buffer go nowhere: it would fail once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_error(error: ToolFlowError) -> None:
    from rich.console import Console
    from rich.text import Text

    from toolflow.text import printable

    console = Console(stderr=True)
    console.print(Text.assemble(("error: ", "bold red"), printable(error.message)), soft_wrap=True)
    if error.hint:
        console.print(Text.assemble(("hint: ", "bold"), printable(error.hint)), soft_wrap=True)
