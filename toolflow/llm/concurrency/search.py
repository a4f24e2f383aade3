"""Searches for the concurrency limit with the most throughput, from measurements that are noisy.

By Little's law throughput is what is in flight / what an answer takes. It rises with the limit up to a knee
and falls or stays behind it, so that three limits, of which the middle one is the best, hold the peak between
them. What is compared is

    worth = log(in flight) × 0.85 − log(slowness)

so that a limit with hardly more throughput is not preferred: ten in a hundred more in flight must bring one
and a half in a hundred more.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, hypot, log, sqrt
from typing import Final, Literal

from toolflow.llm.concurrency.workload import Measurement

Verdict = Literal["better", "worse", "alike"]

_WORTH: Final = 0.85
_SURE: Final = 2.0
"""Standard errors."""

_SYSTEMATIC: Final = 0.01
"""Error of a comparison, however many attempts were measured: no two times are alike."""

_ENOUGH: Final = 1.8
"""So many attempts for each in flight, and a difference that is not clear by then is small."""

_DOUBLING: Final = 2.0
_PROBE: Final = 1.12
_LEAP: Final = 1.3
_LEAP_WORTH: Final = 0.4
"""Growth by more than the factor 1.3 goes on only if it was worth this share of it: past a knee latencies
soar, and what lies between is tried before what lies beyond."""

_LEAP_CLEAR: Final = 0.35
"""Less beyond that, and it is measured for longer: answers that come all at once leave an endpoint empty for
a moment, and the first after a leap are quicker than those that follow."""

_FINE: Final = 1.2
"""Neighbours nearer than this factor hold the peak well enough."""

_UNHURRIED: Final = 1.1
"""Where answers are as quick as with fewer in flight, fewer can only bring less."""

_STEEP: Final = 1.3
"""Where answers become slower by more than this power, throughput falls, and the peak is rather below."""

_NEXT_TO_NOTHING: Final = 0.01


@dataclass(slots=True)
class Level:
    """A limit, and what was measured with it so far."""

    limit: int
    measured: Measurement | None = None


class PeakSearch:
    """Holds the best limit known and its nearest neighbours that are worse; says what to try next.

    Args:
        limit: Where it begins; it doubles from there.

    Attributes:
        best: The best limit known.
        below: The nearest lower one that is worse, if one is known.
        above: The nearest higher one that is worse, if one is known.
    """

    def __init__(self, limit: int) -> None:
        self.best = Level(limit)
        self.below: Level | None = None
        self.above: Level | None = None
        self._factor = _DOUBLING
        self._probed_up = False

    def restart(self, best: Level, below: Level | None = None, above: Level | None = None) -> None:
        """Search around another limit, in small steps at first."""
        self.best, self.below, self.above = best, below, above
        self._factor = _PROBE

    def probe(self) -> tuple[int, str]:
        """What to try, after a while, around a peak that was found: it may have moved."""
        best = self.best.limit
        self._factor = _PROBE
        self._probed_up = not (self._probed_up and self._is_hurried())
        if self._probed_up:
            self.above = None
            return max(best + 1, int(best * _PROBE)), "more may bring more by now"
        self.below = None
        return max(1, int(best / _PROBE)), "fewer may do by now"

    def next(self) -> tuple[int, str] | None:
        """What to try; None if the best limit is as good as can be told."""
        best, above = self.best.limit, self.above
        if above is None:
            return max(best + 1, int(best * self._factor)), "all permits in use, and more may bring more"
        up = above.limit / best if above.limit - best > 1 else 1.0
        down = self._room_below()
        if down > _FINE and (up <= _FINE or min(down, _DOUBLING) > up or self._slope(above) > _STEEP):
            return max(1, round(best / sqrt(down))), f"throughput fell at {above.limit}: fewer may do"
        if up > _FINE:
            return round(sqrt(best * above.limit)), f"throughput stopped rising below {above.limit}"
        return None

    def corner(self) -> int | None:
        """Where the knee must be, a little below the best, for answers to be as slow there as they are.

        Below a sharp knee answers are as quick as with fewer, above it they become slower by a power of what
        is in flight. Both lines are known once a peak is closed in; they meet in the knee.
        """
        best, below, above = self.best, self.below, self.above
        if below is None or above is None or best.measured is None or below.measured is None:
            return None
        slope = self._slope(above)
        slower, error = best.measured.slower_than(below.measured)
        if slope <= 1 or slower < error:
            return None
        knee = max(round(best.limit * exp(-slower / slope)), below.limit)
        return knee if knee < best.limit else None

    def judge(self, limit: int, trial: Measurement) -> Verdict | None:
        """Take in what was measured with another limit than the best; None if it is not clear yet."""
        best = self.best
        gain, error = compare(trial, best.measured)
        factor = limit / best.limit
        clear = _SURE * error
        if self.above is None and factor > _LEAP:
            gain -= _LEAP_WORTH * log(factor)
            if gain > 0:
                clear = max(clear, _LEAP_CLEAR * log(factor))
        enough = trial.count >= _ENOUGH * limit
        if not enough and abs(gain) <= clear:
            return None
        if enough and abs(gain) < error and abs(limit - best.limit) > 1:
            # Both are as good, and so the peak is between them.
            between = round(sqrt(best.limit * limit))
            below = None if self.below is None or self.below.limit >= between else self.below
            self.restart(Level(between), below)
            return "alike"
        if gain > 0:
            self.accept(limit, trial)
            return "better"
        if limit > best.limit:
            self.above = Level(limit, trial)
        else:
            self.below = Level(limit, trial)
        return "worse"

    def accept(self, limit: int, trial: Measurement) -> None:
        """Another limit is the best now."""
        if limit > self.best.limit:
            self.below = self.best
            self._factor = min(self._factor * self._factor, _DOUBLING)
        else:
            self.above = self.best
            self._factor = _PROBE
        self.best = Level(limit, trial)

    def _is_hurried(self) -> bool:
        """Whether answers are slower than with fewer in flight, as far as is known."""
        best, below = self.best, self.below
        if best.limit == 1 or best.measured is None:
            return False
        if below is None or below.measured is None:
            return True
        return best.measured.slowness > _UNHURRIED * below.measured.slowness

    def _room_below(self) -> float:
        best, below = self.best.limit, self.below
        if not self._is_hurried():
            return 1.0
        if below is None:
            return _DOUBLING**2
        return best / below.limit if best - below.limit > 1 else 1.0

    def _slope(self, above: Level) -> float:
        """How fast answers become slower above the best: the power of what is in flight; 0.0 if unknown."""
        best = self.best
        if above.measured is None or best.measured is None:
            return 0.0
        more = above.measured.log_in_flight - best.measured.log_in_flight
        return above.measured.slower_than(best.measured)[0] / more if more > _NEXT_TO_NOTHING else 0.0


def compare(trial: Measurement, reference: Measurement | None) -> tuple[float, float]:
    """How much more one measurement is worth than another, as a logarithm, and its standard error."""
    if reference is None:
        return 1.0, 0.0
    slower, error = trial.slower_than(reference)
    gain = _WORTH * (trial.log_in_flight - reference.log_in_flight) - slower
    return gain, hypot(error, _SYSTEMATIC)
