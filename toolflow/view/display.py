"""What is shown while a run goes on, and how it is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from rich.console import Console

from toolflow.progress import ProgressSnapshot
from toolflow.runtime.bus import Envelope
from toolflow.view.live import LiveDisplay
from toolflow.view.plain import PlainDisplay, SilentDisplay
from toolflow.view.steering import Controls


class Display(Protocol):
    """Shows a run."""

    def watch(self, envelope: Envelope) -> None:
        """See an event of some dialogue: called for each of them, at once, and never waits."""
        ...

    def steer(self, controls: Controls) -> None:
        """What the user may do to the run, where the display takes keys; before :meth:`show`."""
        ...

    async def show(self, snapshot: Callable[[], ProgressSnapshot]) -> None:
        """Draw until cancelled.

        Raises:
            asyncio.CancelledError: The last figures are drawn and the terminal is restored.
        """
        ...

    def notice(self, text: str) -> None:
        """Tell the user something, in a line that does not tear the picture."""
        ...


def make_display(kind: Literal["live", "plain", "none"] | None, *, console: Console, title: str) -> Display:
    """The display of a kind; None means live on a terminal, plain otherwise.

    A live picture that the console cannot show becomes plain lines.

    Args:
        kind: What the user wants.
        console: Gets everything that is shown.
        title: Names the run: its directory, its model.
    """
    if kind == "none":
        return SilentDisplay(console)
    # FORCE_COLOR makes rich call a log file a terminal: whoever sets it wants colours, not pictures in logs.
    if kind == "plain" or not _draws(console) or (kind is None and not console.file.isatty()):
        return PlainDisplay(console, title)
    return LiveDisplay(console, title)


def _draws(console: Console) -> bool:
    return (
        console.is_terminal
        and not console.is_dumb_terminal
        and not console.legacy_windows
        and console.encoding.startswith("utf")
    )
