"""The picture on a terminal, drawn a few times a second."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from rich.console import Console, ConsoleDimensions
from rich.control import Control
from rich.live import Live
from rich.text import Text

from toolflow.llm.client import Sleep
from toolflow.progress import ProgressSnapshot
from toolflow.runtime.bus import Envelope
from toolflow.text import printable
from toolflow.view.figures import Pace
from toolflow.view.focus import Focus
from toolflow.view.keys import reading_keys
from toolflow.view.outlet import Outlet
from toolflow.view.picture import ViewState, render, render_last
from toolflow.view.steering import Controls, Steering

_FRAME_SECONDS: Final = 0.2

# Synchronised output shows a frame whole or not at all. Without automatic wrap, a character that the terminal
# draws wider than rich believes costs the end of its line instead of the picture. Terminals that know neither
# ignore them.
_BEGIN: Final = "\x1b[?2026h\x1b[?7l"
_END: Final = "\x1b[?7h\x1b[?2026l"


class LiveDisplay:
    """Fills the terminal while the run goes on, and leaves the last figures behind.

    Notices go to the scrollback at once, and the last ones stay in the picture too.

    Args:
        console: A terminal.
        title: Names the run.
        sleep: Paces the frames.
    """

    def __init__(self, console: Console, title: str, *, sleep: Sleep = asyncio.sleep) -> None:
        self._console = console
        self._outlet = Outlet(console)
        self._title = title
        self._sleep = sleep
        self._focus = Focus()
        self._pace = Pace()
        self._notices: deque[str] = deque(maxlen=2)
        self._unprinted: list[str] = []
        self._showing = False
        self._size: ConsoleDimensions | None = None
        self._controls: Controls | None = None
        self._steering: Steering | None = None

    def watch(self, envelope: Envelope) -> None:
        self._focus.watch(envelope)

    def notice(self, text: str) -> None:
        self._notices.append(printable(text))
        self._unprinted.append(printable(text))
        if not self._showing:
            self._outlet.write_now(self._outlet.drawn(self._print_notices))

    def steer(self, controls: Controls) -> None:
        self._controls = controls

    async def show(self, snapshot: Callable[[], ProgressSnapshot]) -> None:
        """Draw, and do what keys say, until cancelled.

        Raises:
            asyncio.CancelledError: The last figures are drawn and the terminal is restored.
        """
        if self._controls is None:
            await self._show(snapshot)
            return
        steering = Steering(self._controls, self._focus, snapshot)
        with reading_keys(steering.press) as read:
            self._steering = steering if read else None
            await self._show(snapshot)

    async def _show(self, snapshot: Callable[[], ProgressSnapshot]) -> None:
        live = Live(console=self._console, auto_refresh=False, redirect_stdout=False)
        self._showing = True
        text = self._outlet.drawn(live.start)
        try:
            while True:
                text += self._outlet.drawn(partial(self._draw, live, snapshot()))
                await self._outlet.write(_BEGIN + text + _END)
                text = ""
                await self._sleep(_FRAME_SECONDS)
        finally:
            self._outlet.write_now(text + self._outlet.drawn(partial(self._draw_last, live, snapshot())))
            self._showing = False

    def _draw(self, live: Live, snapshot: ProgressSnapshot) -> None:
        size = self._console.size
        if size != self._size:
            # The terminal has moved what was drawn for its old size, nobody knows where to.
            if self._size is not None:
                self._console.control(Control.clear(), Control.home())
            self._size = size
        self._print_notices()
        live.update(render(self._state(snapshot), snapshot, size), refresh=True)

    def _draw_last(self, live: Live, snapshot: ProgressSnapshot) -> None:
        self._print_notices()
        try:
            live.update(render_last(self._state(snapshot), snapshot, self._console.size))
        finally:
            live.stop()

    def _state(self, snapshot: ProgressSnapshot) -> ViewState:
        live = None if self._controls is None else self._controls.live.of(self._focus.dialogue)
        keys = "" if self._steering is None else self._steering.line()
        return ViewState(self._title, self._pace.observe(snapshot), self._focus, self._notices, live, keys)

    def _print_notices(self) -> None:
        if self._unprinted:
            self._console.print(Text("\n".join(self._unprinted), "yellow"))
            self._unprinted.clear()
