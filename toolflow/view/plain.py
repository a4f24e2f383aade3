"""Lines for logs and pipes, and silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from rich.console import Console
from rich.text import Text

from toolflow.llm.client import Sleep
from toolflow.progress import ProgressSnapshot
from toolflow.runtime.bus import Envelope
from toolflow.text import one_line, printable
from toolflow.view.figures import Pace, Rates, amount, clock, count, duration, rate
from toolflow.view.outlet import Outlet
from toolflow.view.steering import Controls

_LOOK_SECONDS: Final = 1.0
_LINE_SECONDS: Final = 10.0
_STEPS: Final = 10
"""Each of so many equal parts of the target that is reached gets a line, too."""


class SilentDisplay:
    """Prints notices and nothing else.

    Args:
        console: Gets the notices.
        sleep: Passes the time.
    """

    def __init__(self, console: Console, *, sleep: Sleep = asyncio.sleep) -> None:
        self._console = console
        self._outlet = Outlet(console)
        self._sleep = sleep

    def watch(self, envelope: Envelope) -> None:
        """Events are not shown."""

    def notice(self, text: str) -> None:
        self._outlet.write_now(self._line(printable(text)))

    def steer(self, controls: Controls) -> None:
        """No keys are read."""

    async def show(self, snapshot: Callable[[], ProgressSnapshot]) -> None:  # noqa: ARG002  nothing is drawn
        while True:
            await self._sleep(3600.0)

    def _line(self, text: str) -> str:
        return self._outlet.drawn(partial(self._console.print, Text(text), soft_wrap=True))


class PlainDisplay(SilentDisplay):
    """A line at the start, then every ten seconds and at each tenth of the target, and one at the end.

    Args:
        console: Gets the lines.
        title: Names the run.
        sleep: Paces the looks at the run, one a second.
    """

    def __init__(self, console: Console, title: str, *, sleep: Sleep = asyncio.sleep) -> None:
        super().__init__(console, sleep=sleep)
        self._title = one_line(title, 500)
        self._pace = Pace()

    async def show(self, snapshot: Callable[[], ProgressSnapshot]) -> None:
        """Print lines until cancelled.

        Raises:
            asyncio.CancelledError: The last line is printed.
        """
        last = snapshot()
        self._pace.observe(last)
        text = self._line(f"{self._title}: {count(last.accepted)} of {count(last.target)} dialogues accepted")
        try:
            while True:
                if text:
                    await self._outlet.write(text)
                await self._sleep(_LOOK_SECONDS)
                now = snapshot()
                rates = self._pace.observe(now)
                text = ""
                if now.seconds - last.seconds >= _LINE_SECONDS or _step(now) > _step(last):
                    text = self._line(progress_line(now, rates))
                    last = now
        finally:
            self._outlet.write_now(self._line(last_line(snapshot())))


def progress_line(snapshot: ProgressSnapshot, rates: Rates) -> str:
    """How far a run is, in a line."""
    return (
        f"{_dialogues(snapshot)} · {count(snapshot.calls.in_flight)} in flight · "
        f"{rate(rates.calls)} calls/s · {_tokens(snapshot)} · ETA {duration(snapshot.seconds_left)}"
    )


def last_line(snapshot: ProgressSnapshot) -> str:
    """What a run came to, in a line."""
    return (
        f"{_dialogues(snapshot)} · {count(snapshot.calls.completed)} calls · "
        f"mean {rate(snapshot.calls_per_second)} calls/s · {_tokens(snapshot)} · end"
    )


def _step(snapshot: ProgressSnapshot) -> int:
    return snapshot.accepted * _STEPS // max(snapshot.target, 1)


def _dialogues(snapshot: ProgressSnapshot) -> str:
    seconds = snapshot.seconds
    return (
        f"{f'{seconds:.1f}s' if seconds < 60 else clock(seconds)} "
        f"accepted {count(snapshot.accepted)}/{count(snapshot.target)} "
        f"(rejected {count(snapshot.rejected)}, failed {count(snapshot.failed)})"
    )


def _tokens(snapshot: ProgressSnapshot) -> str:
    return f"{amount(snapshot.calls.prompt_tokens + snapshot.calls.completion_tokens)} tokens"
