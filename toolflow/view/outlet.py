"""Where the display writes: a terminal that stands still costs frames, never calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Lock

from rich.console import Console


class Outlet:
    """Writes to a console's file without holding up the loop.

    A terminal stops reading when its user presses Ctrl-S or the ssh line hangs, and a write to it then blocks
    for as long. So the blocking write, and nothing else, is done in a thread. A terminal that has gone makes
    the console quiet, and the run goes on without it.

    Args:
        console: Turns renderables into text, and has the file.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = Lock()
        self._pending = ""

    def drawn(self, draw: Callable[[], object]) -> str:
        """What the console would write while it draws."""
        try:
            with self._console.capture() as captured:
                draw()
            return captured.get()
        except OSError:  # what an earlier write has left in the file's own buffer cannot be written
            self._console.quiet = True
            return ""

    async def write(self, text: str) -> None:
        """Write, and wait until it is written; after a cancellation it may still be written."""
        self._pending = text
        await asyncio.to_thread(self._flush)

    def write_now(self, text: str) -> None:
        """Write after what is still being written, and return only then."""
        with self._lock:
            self._pending += text
        self._flush()

    def _flush(self) -> None:
        with self._lock:
            text, self._pending = self._pending, ""
            if self._console.quiet or not text:
                return
            try:
                self._console.file.write(text)
                self._console.file.flush()
            except OSError:
                self._console.quiet = True
