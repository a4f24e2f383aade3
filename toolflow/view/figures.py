"""Figures as people read them, and the pace of the last seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from toolflow.progress import ProgressSnapshot

UNKNOWN = "–"


def count(number: int) -> str:
    """A whole number with its thousands set off: ``120,331``."""
    return f"{number:,}"


def amount(number: float) -> str:
    """A number to three digits or so: ``999``, ``12.1k``, ``1.2M``, ``3.4G``."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        # What would round up to 1000 of a unit is 1.0 of the next.
        if number >= size * 0.99995:
            return f"{number / size:.1f}{unit}"
    return f"{number:.0f}"


def rate(number: float) -> str:
    """A rate, with a decimal where it tells something: ``212.4``, ``1,204``."""
    return f"{number:,.1f}" if number < 999.95 else f"{number:,.0f}"


def percent(part: int, whole: int) -> str:
    """A share, rounded down so that only the whole is ``100.0%``."""
    return f"{part * 1000 // whole / 10:.1f}%" if whole else UNKNOWN


def duration(seconds: float | None) -> str:
    """A span in its two largest units: ``17s``, ``4m 05s``, ``3h 48m``, ``2d 03h``; ``–`` for None."""
    if seconds is None:
        return UNKNOWN
    whole = max(round(seconds), 0)
    for size, unit, part, part_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // part:02d}{part_unit}"
    return f"{whole}s"


def clock(seconds: float) -> str:
    """Time that has passed, as a clock shows it: ``0:07``, ``2:14:05``."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


@dataclass(frozen=True, slots=True)
class Rates:
    """What happened per second.

    Attributes:
        calls: Completed calls.
        prompt_tokens: LLM tokens of their prompts.
        completion_tokens: LLM tokens of their completions.
    """

    calls: float = 0.0
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0


class Pace:
    """Rates over a sliding window.

    Args:
        window: Seconds that it looks back.
    """

    def __init__(self, window: float = 10.0) -> None:
        self._window = window
        self._seen: deque[tuple[float, int, int, int]] = deque()

    def observe(self, snapshot: ProgressSnapshot) -> Rates:
        """Take note of a snapshot; the rates from the window's beginning to it."""
        calls = snapshot.calls
        now = (snapshot.seconds, calls.completed, calls.prompt_tokens, calls.completion_tokens)
        self._seen.append(now)
        # The last one before the window stays, so that the window is always covered.
        while len(self._seen) > 1 and self._seen[1][0] <= now[0] - self._window:
            self._seen.popleft()
        first = self._seen[0]
        seconds = now[0] - first[0]
        if seconds <= 0:
            return Rates()
        return Rates(*((after - before) / seconds for before, after in zip(first[1:], now[1:], strict=True)))
