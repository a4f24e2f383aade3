"""What a user may do to a run from the view, and the keys for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, floor
from typing import Final, Literal

from toolflow.llm.live import LiveText
from toolflow.progress import ProgressSnapshot
from toolflow.view.focus import Focus

HELP: Final = "+ − limit · a auto · p pause · ← → dialogue · q stop"

_MORE: Final = 1.25
_LESS: Final = 0.8


@dataclass(frozen=True, slots=True)
class Controls:
    """What the view may do to a run.

    Attributes:
        set_limit: Changes how many attempts may be in flight at each gate.
        pause: Begins no more dialogues, or begins them again.
        stop: Ends the run as the first Ctrl-C does.
        live: What models are writing right now.
    """

    set_limit: Callable[[int | Literal["auto"]], None]
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
        self._by_hand: int | None = None
        self._paused = False
        self._stopped = False

    def press(self, key: str) -> None:
        """A key was pressed; one without a meaning does nothing."""
        match key:
            case "+" | "=":
                self._set_limit(max(self._limit() + 1, ceil(self._limit() * _MORE)))
            case "-" | "_" | "−":
                self._set_limit(max(1, min(self._limit() - 1, floor(self._limit() * _LESS))))
            case "a":
                self._by_hand = None
                self._controls.set_limit("auto")
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
            *([f"limit {self._by_hand} by hand"] if self._by_hand is not None else []),
            *(["PAUSED: no new dialogues (p goes on)"] if self._paused else []),
        ]
        return " · ".join([*changed, HELP])

    def _set_limit(self, limit: int) -> None:
        self._by_hand = limit
        self._controls.set_limit(limit)

    def _limit(self) -> int:
        """The limit of one gate."""
        if self._by_hand is not None:
            return self._by_hand
        calls = self._snapshot().calls
        if calls.changes:
            return calls.changes[-1].after
        return max(1, calls.limit // max(len(calls.endpoints), 1))
