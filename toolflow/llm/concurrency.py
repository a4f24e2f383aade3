"""How many attempts may be in flight: a fixed number, or one that follows what the endpoint bears.

Both are told how each attempt ended and hold a limit; neither waits, sends or reads a clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from toolflow.errors import MalformedCompletionError, RateLimitedError, TransientLLMError, UsageError
from toolflow.llm.outcome import Outcome

ConcurrencyLimit = int | Literal["auto"]
"""A fixed number of attempts in flight, or as many as the endpoint turns out to bear."""

MOST: Final = 2048
"""Most attempts in flight that are found out; a number given by hand may be larger."""

_CHANGES_KEPT: Final = 64
_FIRST_LIMIT: Final = 32
_FEWEST_SAMPLES: Final = 8
_FULL: Final = 0.75
"""An attempt tells of a limit if it was let through with this share of it in flight."""
_TESTABLE: Final = 1.2
"""Growth by less than this factor drowns in the noise of latencies: throughput is compared from here."""
_LARGEST_STEP: Final = 0.5
_KNEE_STEP: Final = 0.2
_KNEE_HOLD: Final = 8
_WALL_HOLD: Final = 4
_SLOWER: Final = 1.3
_FAILING: Final = 0.2


@dataclass(frozen=True, slots=True)
class LimitChange:
    """One change of a concurrency limit.

    Attributes:
        at: When, in seconds of the gate's clock.
        before: The limit until then.
        after: The limit since.
        reason: Why, in a few words.
    """

    at: float
    before: int
    after: int
    reason: str


class Concurrency(Protocol):
    """Holds the number of attempts that may be in flight."""

    @property
    def limit(self) -> int: ...

    @property
    def changes(self) -> Sequence[LimitChange]:
        """The last changes, oldest first."""
        ...

    def settled(self, outcome: Outcome, *, began: float, in_flight: int, saturated: bool, now: float) -> None:
        """One attempt ended.

        Args:
            outcome: How.
            began: When it was let through.
            in_flight: Attempts in flight when it was let through, itself included.
            saturated: Whether the limit was what held further attempts back, then or now.
            now: Seconds of the same clock as ``began``.
        """
        ...


class _Limited:
    """A limit with a bounded history."""

    def __init__(self, limit: int, history: Iterable[LimitChange]) -> None:
        self._limit = checked(limit)
        self._changes: deque[LimitChange] = deque(history, maxlen=_CHANGES_KEPT)

    @property
    def limit(self) -> int:
        return self._limit

    @property
    def changes(self) -> Sequence[LimitChange]:
        return tuple(self._changes)

    def _change(self, limit: int, now: float, reason: str) -> None:
        if limit != self._limit:
            self._changes.append(LimitChange(now, self._limit, limit, reason))
            self._limit = limit


class FixedConcurrency(_Limited):
    """A limit that stays.

    Args:
        limit: The limit.
        history: Changes until now, oldest first.

    Raises:
        UsageError: It is less than one.
    """

    def __init__(self, limit: int, *, history: Iterable[LimitChange] = ()) -> None:
        super().__init__(limit, history)

    def __repr__(self) -> str:
        return f"<FixedConcurrency limit={self._limit}>"

    def settled(self, outcome: Outcome, *, began: float, in_flight: int, saturated: bool, now: float) -> None:
        """A fixed limit learns nothing from how attempts end."""


class AdaptiveConcurrency(_Limited):
    """Finds what an endpoint bears, and follows it.

    It measures in epochs: an epoch ends when as many attempts as the limit, let through since it began with
    most of the limit in use, have been answered, which takes one or two latencies. Throughput is then what
    was in flight / mean latency (Little's law). While more in flight brings more throughput the limit grows,
    doubling at first. Where throughput stops rising while latency rises, the knee is passed, and the limit
    goes back: that is all that a server without a 429 shows. Where answers have become slow, less is tried.

    A 429 cuts once an episode: attempts let through before the cut cut no more. Since an endpoint refuses at
    once what is above its cap, the cut goes to what was in flight beside the refused attempt; refusals soon
    after, of attempts sent since, show that the cap is lower still, and cut by one, three, seven more. Above
    such a wall the limit is probed by one, then by two, four and so on while nothing is refused: a wall costs
    few 429s, and one that moves is found again soon. A ``Retry-After`` is the call's own business and plays
    no part.

    Server and network failures cut nothing; where they are many, growth waits every other epoch.

    Args:
        start: First limit.
        most: Largest limit.
        history: Changes until now, oldest first.

    Raises:
        UsageError: ``start`` or ``most`` is less than one.
    """

    def __init__(
        self, *, start: int = _FIRST_LIMIT, most: int = MOST, history: Iterable[LimitChange] = ()
    ) -> None:
        self._most = checked(most)
        super().__init__(min(start, most), history)
        self._step = self._limit
        self._hold = 0
        self._next_hold = 0
        self._growing_fast = True
        self._largest_step = 1.0
        self._reference_limit = 0
        self._reference_throughput = 0.0
        self._quickest: float | None = None
        self._last_cut = float("-inf")
        self._further = 0
        self._doubted = False
        self._paused = False
        self._begin_epoch(float("-inf"))

    def __repr__(self) -> str:
        return f"<AdaptiveConcurrency limit={self._limit} step={self._step} hold={self._hold}>"

    def settled(self, outcome: Outcome, *, began: float, in_flight: int, saturated: bool, now: float) -> None:
        error = outcome.error
        if isinstance(error, RateLimitedError):
            if began > self._last_cut:
                self._cut(in_flight, now)
            return
        if began < self._epoch_began:
            return
        if isinstance(error, TransientLLMError) and not isinstance(error, MalformedCompletionError):
            self._failures += 1
            return
        if not saturated or in_flight < _FULL * self._limit:
            return
        self._samples += 1
        self._beside += in_flight
        self._seconds += outcome.seconds
        if self._samples >= max(self._limit, _FEWEST_SAMPLES):
            self._end_epoch(now)

    def _cut(self, in_flight: int, now: float) -> None:
        latency = self._quickest or 1.0
        beside = max(1, min(in_flight - 1, self._limit))
        if now - self._last_cut < latency:
            beside = max(1, beside - self._further)
            self._further = 2 * self._further + 1
        else:
            self._further = 0
        probed_in_vain = beside >= self._reference_limit > 0
        self._next_hold = min(self._next_hold * 2 or 1, _WALL_HOLD) if probed_in_vain else 1
        self._change(beside, now, f"429 with {in_flight} in flight")
        self._last_cut = now
        self._settle_down(beside, step=1, largest_step=_LARGEST_STEP)
        self._begin_epoch(now)

    def _settle_down(self, limit: int, *, step: int, largest_step: float) -> None:
        """Stay at ``limit`` for a while; then growth begins with ``step`` and doubles up to a share of it."""
        self._largest_step = largest_step
        if limit != self._reference_limit:
            self._reference_limit = 0
        self._step, self._hold, self._growing_fast, self._doubted = step, self._next_hold, False, False

    def _begin_epoch(self, now: float) -> None:
        self._epoch_began = now
        self._samples = self._failures = 0
        self._seconds = 0.0
        self._beside = 0

    def _end_epoch(self, now: float) -> None:
        latency = max(self._seconds / self._samples, 1e-9)
        # Growth waits where much fails, yet not for ever: every other epoch.
        failing = not self._paused and self._failures > _FAILING * (self._samples + self._failures)
        self._paused = failing
        throughput = self._beside / self._samples / latency
        limit = self._limit
        # The quickest epoch fades, for an endpoint may become slower for good.
        self._quickest = latency if self._quickest is None else min(latency, self._quickest * 1.02)
        if self._reference_limit in (0, limit):
            self._compare_to_itself(limit, throughput, latency, failing=failing, now=now)
        elif limit > self._reference_limit:
            self._judge_growth(limit, throughput, failing=failing, now=now)
        else:
            self._judge_shrinking(limit, throughput, now)
        self._begin_epoch(now)

    def _compare_to_itself(
        self, limit: int, throughput: float, latency: float, *, failing: bool, now: float
    ) -> None:
        known = self._reference_limit == limit
        self._reference_throughput = (self._reference_throughput + throughput) / 2 if known else throughput
        self._reference_limit = limit
        if self._hold > 0 or failing:
            self._hold = max(0, self._hold - 1)
        elif not self._growing_fast and self._quickest is not None and latency > _SLOWER * self._quickest:
            self._change(max(1, int(limit / _TESTABLE)), now, "answers slow: trying less")
        else:
            self._grow(limit, now)

    def _judge_growth(self, limit: int, throughput: float, *, failing: bool, now: float) -> None:
        factor = limit / self._reference_limit
        if failing:
            return
        if factor >= _TESTABLE:
            gain = throughput / self._reference_throughput - 1
            if gain < (factor - 1) / 2:
                # Noise deserves a second look, a loss does not.
                if gain > 0 and not self._doubted:
                    self._doubted = True
                    return
                self._next_hold = min(self._next_hold * 2 or 1, _KNEE_HOLD) if not self._growing_fast else 0
                back = self._reference_limit
                self._change(back, now, f"throughput stopped rising at {limit}")
                self._settle_down(back, step=max(1, int(_KNEE_STEP * back)), largest_step=_KNEE_STEP)
                return
            self._reference_limit, self._reference_throughput = limit, throughput
            self._next_hold = 0
        self._doubted = False
        self._step = min(self._step * 2, max(1, int(self._largest_step * limit)))
        self._grow(limit, now)

    def _judge_shrinking(self, limit: int, throughput: float, now: float) -> None:
        before = self._reference_limit
        if throughput >= self._reference_throughput * (1 + limit / before) / 2:
            self._reference_limit, self._reference_throughput = limit, throughput
            self._hold, self._step = 0, max(1, int(_KNEE_STEP * limit))
            return
        self._next_hold = min(self._next_hold * 2 or 1, _KNEE_HOLD)
        self._change(before, now, f"less throughput with {limit}")
        self._settle_down(before, step=max(1, int(_KNEE_STEP * before)), largest_step=_KNEE_STEP)

    def _grow(self, limit: int, now: float) -> None:
        grown = min(self._most, limit + self._step)
        self._change(grown, now, "every permit in use, and more brings more")


def checked(limit: int) -> int:
    """The limit, if it lets anything through.

    Raises:
        UsageError: It is less than one.
    """
    if limit < 1:
        raise UsageError(
            f"a concurrency limit of {limit} lets no call through",
            hint="Give --max-concurrency 1 or more.",
        )
    return limit
