"""The watchdog: says that a run makes no progress, and what it waits for. Without a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Final

from toolflow.clock import Clock, monotonic
from toolflow.llm.client import Sleep
from toolflow.llm.gate import Holdup
from toolflow.llm.in_flight import Failure, Flight
from toolflow.llm.tally import ClientStatistics
from toolflow.text import one_line

_QUIET_SECONDS: Final = 60.0
_LATENCIES: Final = 5.0
"""A run is quiet for so many seconds, and so many times what an attempt usually takes, before it is told."""

_STUCK_SECONDS: Final = 10.0
"""Replies that wait to be written are told of sooner: that takes milliseconds where nothing is wrong."""

_LIKE_THE_LAST: Final = 1.5
"""Where silences end by themselves, as under a tight rate limit, only one that is so much longer is told."""

_LONGEST_PAUSE: Final = 3600.0
_LOOK_SECONDS: Final = 5.0
_MOST_ENDPOINTS: Final = 3
_MOST_TEXT: Final = 160


@dataclass(frozen=True, slots=True)
class Situation:
    """What a run does at a moment.

    Attributes:
        replayed: Calls answered from the journal so far.
        calls: What the client has done and has in hand.
        held_up: For each endpoint at which attempts wait for a permit, its name, how many they are, and why.
        oldest: The attempt that has been in flight for the longest time.
        usual: Seconds that an answered attempt usually takes.
        recording: Replies that wait to be written to the journal.
        budgeted: Attempts that wait for the budget.
        failure: How the last attempt failed; None if it was answered.
    """

    replayed: int
    calls: ClientStatistics
    held_up: Sequence[tuple[str, int, Holdup]] = ()
    oldest: Flight | None = None
    usual: float = 0.0
    recording: int = 0
    budgeted: int = 0
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Bark:
    """Something to tell the user.

    Attributes:
        quiet: Seconds since a call was completed last.
        waits: What the run waits for, a phrase each; empty: calls are completed again.
    """

    quiet: float
    waits: tuple[str, ...]

    def __str__(self) -> str:
        if not self.waits:
            return f"Calls are completed again, after {_span(self.quiet)} without one."
        return f"No call was completed for {_span(self.quiet)}: {'; '.join(self.waits)}."


class Watchdog:
    """Barks when no call is completed for long, again after pauses that grow, and once when that is over."""

    def __init__(self) -> None:
        self._last = -1
        self._since = 0.0
        self._next = inf
        self._barked = 0
        self._used_to = 0.0
        self._before: ClientStatistics | None = None

    def look(self, situation: Situation, now: float) -> Bark | None:
        """Look at the run.

        Args:
            situation: What it does.
            now: Seconds; never less than before.

        Returns:
            What to tell the user, if anything.
        """
        done = situation.calls.completed + situation.replayed
        if done != self._last or self._before is None:
            over = Bark(now - self._since, ()) if self._barked else None
            if over is not None:
                self._used_to = min(_LIKE_THE_LAST * over.quiet, _LONGEST_PAUSE)
            self._last, self._since, self._before = done, now, situation.calls
            self._barked = 0
            return over
        quiet = now - self._since
        patience = max(_QUIET_SECONDS, _LATENCIES * situation.usual, self._used_to)
        if situation.recording:
            patience = _STUCK_SECONDS
        if quiet < patience or (self._barked and now < self._next):
            return None
        self._next = now + min(patience * 2**self._barked, _LONGEST_PAUSE)
        self._barked += 1
        return Bark(quiet, tuple(_waits(situation, self._before, now)))

    async def watch(
        self,
        situation: Callable[[], Situation],
        tell: Callable[[Bark], object],
        *,
        clock: Clock = monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Look every few seconds, until cancelled.

        Args:
            situation: Gives what the run does now.
            tell: Told what is to be said.
            clock: Measures the silence.
            sleep: Passes the time.
        """
        while True:
            bark = self.look(situation(), clock())
            if bark is not None:
                tell(bark)
            await sleep(_LOOK_SECONDS)


def _waits(situation: Situation, before: ClientStatistics, now: float) -> Iterator[str]:
    """What a run waits for; what explains most comes first."""
    calls = situation.calls
    if situation.recording:
        yield (
            f"{_counted(situation.recording, 'reply waits', 'replies wait')} to be written to the journal: "
            "its disk does not answer, or another program holds a lock on it"
        )
    yield from _permits(situation, full=False)
    if situation.oldest is not None:
        flight = situation.oldest
        yield (
            f"{_counted(calls.in_flight, 'attempt is', 'attempts are')} in flight, the oldest "
            f"({flight.key.role} of dialogue {flight.key.dialogue}) for {_span(now - flight.began)}"
            f"{_at(flight.endpoint)}"
        )
    yield from _permits(situation, full=True)
    failed = calls.attempts - before.attempts
    if failed > 0:
        refused = calls.rate_limited - before.rate_limited
        yield f"{_counted(failed, 'attempt has', 'attempts have')} failed since, {refused} of them by a 429"
    if calls.backing_off:
        yield f"{_counted(calls.backing_off, 'call pauses', 'calls pause')} before another attempt"
    if situation.failure is not None:
        failure = situation.failure
        yield f"the last attempt failed {_span(now - failure.at)} ago: {one_line(failure.detail, _MOST_TEXT)}"
    if situation.budgeted:
        yield (
            f"{_counted(situation.budgeted, 'attempt waits', 'attempts wait')} for the budget, which is set "
            "aside for those in flight"
        )
    if not (situation.recording or situation.held_up or situation.oldest or calls.backing_off):
        yield "no call is in flight and none waits for a permit"


def _permits(situation: Situation, *, full: bool) -> Iterator[str]:
    """Who waits for permits: where they are all taken, or where something else is in the way."""
    held_up = [entry for entry in situation.held_up if (entry[2].cause == "concurrency") == full]
    for name, waiting, holdup in held_up[:_MOST_ENDPOINTS]:
        yield f"{_counted(waiting, 'attempt waits', 'attempts wait')} for a permit{_at(name)}, {_why(holdup)}"
    if len(held_up) > _MOST_ENDPOINTS:
        yield f"and so on at {len(held_up) - _MOST_ENDPOINTS} more endpoints"


def _why(holdup: Holdup) -> str:
    match holdup.cause:
        case "breaker":
            when = (
                f"the next probe goes in {_span(holdup.seconds)}"
                if isfinite(holdup.seconds)
                else "a probe is on its way"
            )
            return f"which does not answer: its circuit breaker is open, {when}"
        case "rate_limit":
            return f"whose rate limit lets the next one go in {_span(holdup.seconds)}"
        case "concurrency":
            return "where all permits are taken"


def _at(name: str) -> str:
    return f" at {name}" if name else ""


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _span(seconds: float) -> str:
    whole = max(round(seconds), 0)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"
