"""What a user may do to a run from the view, and the keys for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from toolflow.llm.live import LiveText
from toolflow.progress import ProgressSnapshot
from toolflow.view.figures import count
from toolflow.view.focus import Focus

HELP: Final = "+ − limit · a auto · p pause · ← → dialogue · q stop"

_MORE: Final = 1.25
_LESS: Final = 0.8


@dataclass(frozen=True, slots=True)
class Controls:
    """What the view may do to a run.

    Attributes:
        scale_limit: Has so many times as many attempts in flight at each gate.
        free_limit: Has the limits follow the endpoints again.
        pause: Begins no more dialogues, or begins them again.
        stop: Ends the run as the first Ctrl-C does.
        live: What models are writing right now.
    """

    scale_limit: Callable[[float], None]
    free_limit: Callable[[], None]
    pause: Callable[[bool], None]
    stop: Callable[[], None]
    live: LiveText = field(default_factory=LiveText)


class Steering:
    """Turns keys into changes of the run and of the view.

    Args:
        controls: What may be done.
        focus: Follows a dialogue.
        snapshot: How the run stands.
    """

    def __init__(self, controls: Controls, focus: Focus, snapshot: Callable[[], ProgressSnapshot]) -> None:
        self._controls = controls
        self._focus = focus
        self._snapshot = snapshot
        self._by_hand = False
        self._paused = False
        self._stopped = False

    def press(self, key: str) -> None:
        """A key was pressed; one without a meaning does nothing."""
        match key:
            case "+" | "=":
                self._scale_limit(_MORE)
            case "-" | "_" | "−":
                self._scale_limit(_LESS)
            case "a":
                self._by_hand = False
                self._controls.free_limit()
            case "p":
                self._paused = not self._paused
                self._controls.pause(self._paused)
            case "n" | "right":
                self._focus.turn(1)
            case "left":
                self._focus.turn(-1)
            case "q" if not self._stopped:
                self._stopped = True
                self._controls.stop()
            case _:
                pass

    def line(self) -> str:
        """The keys, after what they have changed."""
        changed = [
            *([f"limit {count(self._snapshot().calls.limit)} by hand"] if self._by_hand else []),
            *(["PAUSED: no new dialogues (p goes on)"] if self._paused else []),
        ]
        return " · ".join([*changed, HELP])

    def _scale_limit(self, factor: float) -> None:
        self._by_hand = True
        self._controls.scale_limit(factor)
