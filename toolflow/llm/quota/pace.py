"""One rate limit and how to keep it: evenly, never over, and no further than the server says is left."""

from __future__ import annotations

from typing import Final

from toolflow.llm.quota.limits import LimitKind, LimitSource
from toolflow.llm.quota.window import SLOTS_PER_SECOND, SlidingWindow

TOLERANCE: Final = 0.2
"""Seconds that sends may run ahead of an even pace: what a late timer or a stalled loop may catch up."""

_EVEN_MINUTE: Final = 60.1
"""Seconds over which a minute's worth is spread. The window is the ceiling; this only makes it smooth, and is
slower than a server's bucket refills, so that an unlucky start evens out."""

_UNDERWAY: Final = 2
"""Completions, itself included, that may be counted between sending a request and its arrival."""

_COMFORTABLE: Final = 0.25
"""Share of a limit above which what the server says is left does not matter."""


class Pace:
    """Keeps one limit of so much a minute.

    Three rules, each made for one kind of server, so that it need not be known which kind it is:

    * an even pace with a burst of :data:`TOLERANCE` seconds (GCRA, ITU-T I.371), for token buckets, even
      small ones;
    * an exact window, for servers that count any 60 s, and so for fixed minutes. It is kept twice for LLM
      tokens: servers count a completion either with its prompt, on arrival, or when it is complete;
    * what the server last said is left, less what was sent since, for limits that others use too.

    An amount of more than a minute's worth passes when the window is empty.

    Args:
        kind: What is limited.
        limit: Most in a minute; at least 1.
        source: Who says so.
        now: Monotonic seconds.
        arrived: What was sent before the limit was known, where it was counted.

    Attributes:
        kind: What is limited.
        began: When the limit became known.
        limit: Most in a minute.
        source: Who says so.
    """

    __slots__ = (
        "_arrived", "_completed", "_due", "_left", "_left_at", "_spacing", "began", "kind", "limit", "source",
    )  # fmt: skip

    def __init__(
        self,
        kind: LimitKind,
        limit: int,
        source: LimitSource,
        now: float,
        arrived: SlidingWindow | None = None,
    ) -> None:
        self.kind: LimitKind = kind
        self.began = now
        self._arrived = arrived or SlidingWindow()
        self._completed = SlidingWindow() if kind in {"tokens", "output_tokens"} else None
        self._due = now
        self._left: float | None = None
        self._left_at = now
        self.change(limit, source)

    def change(self, limit: int, source: LimitSource) -> None:
        """Keep another limit from now on; what was sent stays counted."""
        self.limit = limit
        self.source: LimitSource = source
        self._spacing = _EVEN_MINUTE / limit

    @property
    def used(self) -> int:
        """Amount in the window."""
        return self._arrived.total

    def wait(self, amount: int, arriving: int, now: float) -> float:
        """Seconds until ``amount`` may be sent; 0.0: now.

        Args:
            amount: What the request will be charged in the end.
            arriving: What of it is certain when it arrives: its prompt.
            now: Monotonic seconds.
        """
        if amount <= 0:
            return 0.0
        pause = self._due - TOLERANCE - now
        limit = self.limit
        arrived, completed = self._arrived, self._completed
        slot = int(now * SLOTS_PER_SECOND)
        if slot > arrived.newest:
            arrived.advance(slot)
        over = arrived.total + (amount if amount < limit else limit) - limit
        if over > 0:
            pause = max(pause, arrived.seconds_until_freed(over, now))
        if completed is not None:
            if slot > completed.newest:
                completed.advance(slot)
            # While the request is on its way others are completed: room for a few of them.
            over = completed.total + min(arriving + _UNDERWAY * (amount - arriving), limit) - limit
            if over > 0:
                pause = max(pause, completed.seconds_until_freed(over, now))
        if self._left is not None:
            lacking = min(amount, limit) - self._left - (now - self._left_at) * limit / 60.0
            pause = max(pause, lacking * 60.0 / limit)
        # A microsecond is rounding: no timer is worth it, and no window is that exact.
        return pause if pause > 1e-6 else 0.0

    def reserve(self, amount: int, arriving: int, now: float) -> None:
        """Count ``amount`` as sent."""
        due = self._due
        self._due = (due if due > now else now) + amount * self._spacing
        slot = int(now * SLOTS_PER_SECOND)
        self._arrived.add(amount, slot)
        if self._completed is not None:
            self._completed.add(arriving, slot)
        if self._left is not None:
            self._left -= amount

    def correct(self, sent: float, prompt: int, completion: int, completed: int, now: float) -> None:
        """Charge what it was instead of what was reserved.

        Args:
            sent: When it was reserved.
            prompt: By how much the prompt was larger than reserved.
            completion: By how much the completion was.
            completed: The completion itself, counted now by servers that count it when it is complete.
            now: Monotonic seconds.
        """
        if self._completed is not None and completed:
            self._completed.add(completed, int(now * SLOTS_PER_SECOND))
        change = prompt + completion
        if sent < self.began or (not change and not prompt):
            return
        slot = int(sent * SLOTS_PER_SECOND)
        self._arrived.add(change, slot)
        if self._completed is not None and prompt:
            self._completed.add(prompt, slot)
        due = self._due
        self._due = (now if change > 0 and due < now else due) + change * self._spacing
        if self._left is not None:
            self._left -= change

    def count(self, amount: int, now: float) -> None:
        """Count what was used before this limit was known."""
        self._arrived.add(amount, int(now * SLOTS_PER_SECOND))
        if self._completed is not None:
            self._completed.add(amount, int(now * SLOTS_PER_SECOND))

    def left(self, remaining: float | None, now: float) -> None:
        """Take over what is left of the limit by the server's count; None: it does not matter any more."""
        comfortable = remaining is None or remaining > self.limit * _COMFORTABLE
        self._left = None if comfortable else remaining
        self._left_at = now

    def near(self, now: float) -> bool:
        """Whether the limit is nearly used up, so that a refusal (429) is likely its doing."""
        self._arrived.advance(int(now * SLOTS_PER_SECOND))
        return self.used > 0.7 * self.limit or (self._left is not None and self._left < 0.05 * self.limit)


class Allowance:
    """Keeps a limit of so much an hour, a day or longer.

    It is not spread over its window, for nobody wants 1,000 requests a day one by one: they go as fast as
    other limits let them, and when all is used up, as fast as it comes back.

    Attributes:
        limit: Most in a window.
        window: Seconds.
    """

    __slots__ = ("_left", "_left_at", "limit", "window")

    def __init__(self, limit: int, window: float, now: float) -> None:
        self.limit = limit
        self.window = window
        self._left = float(limit)
        self._left_at = now

    def wait(self, amount: int, now: float) -> float:
        """Seconds until ``amount`` may be sent; 0.0: now."""
        lacking = min(amount, self.limit) - self._now_left(now)
        return lacking * self.window / self.limit + 1e-6 if lacking > 0 else 0.0

    def reserve(self, amount: int, now: float) -> None:
        """Count ``amount`` as sent."""
        self.left(self._now_left(now) - amount, now)

    def correct(self, change: int) -> None:
        """Charge ``change`` more than was reserved."""
        self._left -= change

    def left(self, remaining: float, now: float) -> None:
        """Take over what is left of the limit."""
        self._left, self._left_at = remaining, now

    def near(self, now: float) -> bool:
        """Whether it is nearly used up."""
        return self._now_left(now) < max(1.0, 0.01 * self.limit)

    def _now_left(self, now: float) -> float:
        return min(float(self.limit), self._left + (now - self._left_at) * self.limit / self.window)
