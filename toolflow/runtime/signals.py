"""What stops a run from outside: Ctrl-C, SIGTERM, and a terminal that is closed."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

_STOPPING = ("SIGINT", "SIGTERM", "SIGHUP")


class Stop(Protocol):
    """Is told of each signal; ``again`` once an earlier one has come."""

    def __call__(self, number: signal.Signals, *, again: bool) -> None: ...


@contextmanager
def stopped_by_signals(stop: Stop) -> Generator[None]:
    """Each signal calls ``stop``, and a second one cancels the current task.

    A signal that whoever started the process chose to ignore (``nohup``) stays ignored.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    asked = False

    def on_signal(number: signal.Signals) -> None:
        nonlocal asked
        stop(number, again=asked)
        if asked:
            task.cancel()
        asked = True

    handled: list[signal.Signals] = []
    try:
        for name in _STOPPING:
            number: signal.Signals | None = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, on_signal, number)
                handled.append(number)
    except (NotImplementedError, RuntimeError, ValueError):  # not on this platform, or not in this thread
        pass
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


@contextmanager
def interruptible() -> Generator[None]:
    """Ctrl-C ends at once what is done here, although a loop is running, which only takes a note of it.

    For work on files in long steps, before the first call is sent.
    """
    before = signal.getsignal(signal.SIGINT)
    in_charge = threading.current_thread() is threading.main_thread() and callable(before)
    if in_charge:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if in_charge:
            signal.signal(signal.SIGINT, before)
