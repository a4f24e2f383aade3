"""Keys that a user presses while a picture is shown, one at a time and without Enter."""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final, TextIO

_MOST_BYTES: Final = 1024
_ARROWS: Final = {
    "\x1b[A": "up", "\x1b[B": "down", "\x1b[C": "right", "\x1b[D": "left",
    "\x1bOA": "up", "\x1bOB": "down", "\x1bOC": "right", "\x1bOD": "left",
}  # fmt: skip


@contextmanager
def reading_keys(press: Callable[[str], None], terminal: TextIO | None = None) -> Generator[bool]:
    """Call ``press`` with each key: a character, or ``left``, ``right``, ``up``, ``down``.

    Ctrl-C keeps its meaning. Whatever ends the block, the terminal is as it was before. Where there is no
    terminal to read from, or another program has it, nothing is read.

    Args:
        press: Called in the event loop.
        terminal: Where keys come from; standard input if None.

    Yields:
        Whether keys are read.
    """
    descriptor = _descriptor(terminal or sys.stdin)
    if descriptor is None:
        yield False
        return
    import termios  # noqa: PLC0415  Windows has none
    import tty  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")

    def read() -> None:
        try:
            data = os.read(descriptor, _MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:  # The terminal has gone; the run goes on.
            loop.remove_reader(descriptor)
            return
        for key in keys_in(decoder.decode(data)):
            press(key)

    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor, termios.TCSADRAIN)
        loop.add_reader(descriptor, read)
        with _resumed(loop, lambda: tty.setcbreak(descriptor, termios.TCSADRAIN)):
            yield True
    finally:
        loop.remove_reader(descriptor)
        with suppress(termios.error):
            # What was typed ahead would otherwise be a command in the shell.
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


@contextmanager
def _resumed(loop: asyncio.AbstractEventLoop, again: Callable[[], object]) -> Generator[None]:
    """Do something again whenever the process goes on after Ctrl-Z: the shell has set its terminal back."""
    try:
        loop.add_signal_handler(signal.SIGCONT, again)
    except (NotImplementedError, RuntimeError, ValueError):  # not in this thread
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGCONT)


def keys_in(text: str) -> list[str]:
    """The keys of what a terminal sent at once; sequences of unknown keys are dropped."""
    keys: list[str] = []
    place = 0
    while place < len(text):
        if text[place] != "\x1b":
            keys.append(text[place])
            place += 1
            continue
        end = place + 1
        if end < len(text) and text[end] in "[O":
            end += 1
            while end < len(text) and not "@" <= text[end] <= "~":
                end += 1
            end += 1
        arrow = _ARROWS.get(text[place:end])
        if arrow is not None:
            keys.append(arrow)
        place = end
    return keys


def _descriptor(terminal: TextIO | None) -> int | None:
    """The terminal's file descriptor, if it is one and this process is in its foreground."""
    if terminal is None:  # started without standard input
        return None
    try:
        descriptor = terminal.fileno()
        # A process in the background that changes its terminal is stopped.
        if os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp():
            return descriptor
    except (OSError, ValueError, AttributeError):
        pass
    return None
