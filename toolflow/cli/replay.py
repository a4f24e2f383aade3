"""``toolflow replay``: steps through one dialogue."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from toolflow.cli.options.output import open_console
from toolflow.cli.options.panels import examples
from toolflow.cli.options.runs import DialogueName, RunFolder

if TYPE_CHECKING:
    from rich.console import Console

    from toolflow.journal.bodies import JournalledCall


EXAMPLES = examples(
    "toolflow replay runs/paid 17",
    "toolflow replay runs/paid d0000017 --all --prompts > dialogue.txt",
)


def replay(
    run: RunFolder,
    dialogue: DialogueName = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Print everything at once, as is done where there is no terminal.")
    ] = False,
    prompts: Annotated[
        bool, typer.Option("--prompts", help="Show of each LLM call the exact prompt and reply.")
    ] = False,
) -> None:
    """Step through a dialogue as it took place: each LLM call, and each event that the agents published.

    On a terminal Enter or space shows the next step, p the prompt and reply of the last call, a the rest,
    q ends. Works for accepted, rejected, failed and unfinished dialogues, also while the run goes on; no
    model is asked.
    """
    import asyncio

    from rich.text import Text

    from toolflow.journal.bodies import JournalledCall
    from toolflow.rework.explanation import find_index, read_steps
    from toolflow.rework.replay import Rework
    from toolflow.text import printable
    from toolflow.view.stepping import render_exchange, render_step

    with Rework(run) as rework:
        steps, end = asyncio.run(read_steps(rework, find_index(rework, dialogue)))
    console = open_console()
    # What is kept or piped stays as it was written; a terminal is for reading.
    show = partial(console.print, soft_wrap=not console.is_terminal)
    waiting = not show_all and console.is_terminal and sys.stdin.isatty()
    last: JournalledCall | None = None
    with _keys_at_once() if waiting else nullcontext():
        for number, step in enumerate(steps, 1):
            show(render_step(step, number, len(steps)))
            if isinstance(step, JournalledCall):
                last = step
                if prompts:
                    show(render_exchange(step))
            if waiting and number < len(steps):
                wanted = _ask(console, last)
                if wanted == "end":
                    return
                waiting = wanted == "next"
    if end:
        show(Text(f"It goes no further: {printable(end)}", "yellow"))


def _ask(console: Console, last: JournalledCall | None) -> Literal["next", "all", "end"]:
    """What the user wants to see."""
    from toolflow.view.stepping import render_exchange

    while True:
        match _key():
            case "q":
                return "end"
            case "a":
                return "all"
            case "p" if last is not None:
                console.print(render_exchange(last))
            case "\n" | "\r" | " ":
                return "next"
            case _:
                pass


def _key() -> str:
    """The next key."""
    return os.read(sys.stdin.fileno(), 1).decode("ascii", "replace") or "q"


@contextmanager
def _keys_at_once() -> Generator[None]:
    """Have keys without waiting for the end of the line, where the terminal lets us; none is lost."""
    try:
        import termios
        import tty
    except ImportError:  # not on this platform
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal, termios.TCSANOW)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
