"""What stops a run from outside: Ctrl-C, SIGTERM, and a terminal that is closed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

_STOPPING = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Generator[None]:
    """The first signal calls ``stop``, a second one cancels the current task.

    A signal that whoever started the process chose to ignore (``nohup``) stays ignored.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    asked = False

    def on_signal() -> None:
        nonlocal asked
        if asked:
            task.cancel()
            return
        asked = True
        stop()

    handled: list[signal.Signals] = []
    try:
        for name in _STOPPING:
            number: signal.Signals | None = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, on_signal)
                handled.append(number)
    except (NotImplementedError, RuntimeError, ValueError):  # not on this platform, or not in this thread
        pass
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
