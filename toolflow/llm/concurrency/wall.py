"""The wall: a cap above which an endpoint refuses attempts (429), as far as refusals tell of it."""

from __future__ import annotations

from math import inf
from typing import Final, NamedTuple

from toolflow.llm.concurrency.cohort import BACK
from toolflow.llm.concurrency.limit import Ended

_BACK_UNDER_WALL: Final = 0.25
_FEWEST_UNDER_WALL: Final = 4
_SHORTEST_HOLD: Final = 2
_LONGEST_HOLD: Final = 8
_PROBE_SHARE: Final = 64
"""Under a low wall, so many attempts come on each that is risked."""

_STEP_FACTOR: Final = 3
_TESTABLE: Final = 1.2
"""Growth by less than this factor is not measured: that nothing was refused is enough."""

_LARGEST_CUT: Final = 0.7


class Cut(NamedTuple):
    """What a refusal leaves.

    Attributes:
        limit: Attempts that may be in flight.
        is_new: Whether it is the first of its episode, and not what an earlier one has already told.
    """

    limit: int
    is_new: bool


class Wall:
    """Cuts once an episode, and says how far to try whether the wall has moved.

    Attributes:
        stands: Whether there is one that bounds the limit.
    """

    def __init__(self) -> None:
        self.stands = False
        self._step = 1
        self._last_cut = -inf
        self._further = 0

    def refused(self, ended: Ended, limit: int, latency: float, now: float) -> Cut | None:
        """What an attempt that was refused leaves of a limit; None for all of it.

        Args:
            ended: The attempt.
            limit: The present limit.
            latency: Seconds that count as soon after a cut.
            now: Seconds.
        """
        if ended.began <= self._last_cut:
            # It was sent before the cut: nothing goes in its place.
            return Cut(ended.left, is_new=False) if 0 < ended.left < limit else None
        beside = max(1, min(ended.in_flight - 1, limit))
        if now - self._last_cut < latency:
            beside = max(1, beside - self._further, int(_LARGEST_CUT * beside))
            self._further = 2 * self._further + 1
        else:
            self._further = 0
        self._last_cut = now
        return Cut(beside, is_new=True)

    def stand(self) -> None:
        """There is one, and the next step is small."""
        self.stands, self._step = True, 1

    def next(self, best: int, most: int) -> int:
        """What to try above the best limit."""
        return min(best + self._step, most)

    def passed(self, limit: int) -> None:
        """Nothing was refused with a limit that was tried: the next step is larger."""
        self._step = min(self._step * _STEP_FACTOR, max(1, limit // 2))


def longest_hold(limit: int) -> int:
    """Cohorts between two tries, at most."""
    return max(_SHORTEST_HOLD, min(_LONGEST_HOLD, _PROBE_SHARE // limit))


def is_testable(limit: int, best: int) -> bool:
    """Whether what a limit brings can be told from what the best one does."""
    return limit >= _TESTABLE * best


def cohort_of(limit: int, best: int, fewest: int) -> tuple[int, float]:
    """How many attempts tell that nothing is refused, and which share of them must be back."""
    size = max(_FEWEST_UNDER_WALL, limit - best)
    share = _BACK_UNDER_WALL
    if is_testable(limit, best):
        share = max(share, min(BACK, fewest / size))
    return size, share
