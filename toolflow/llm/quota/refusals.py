"""What refusals (429) say about the rate, and how long nothing new is sent after one."""

from __future__ import annotations

from typing import Final

_FIRST_HOLD: Final = 0.5
_LONGEST_HOLD: Final = 30.0
_LONGEST_TOLD: Final = 600.0
_EVIDENCE: Final = 3
_EVIDENCE_KEPT: Final = 180.0


class Refusals:
    """Tells refusals for the rate from refusals for too many in flight, whose cure is another one.

    A refusal is put down to the rate when a limit that we know is nearly used up. Then nothing new is sent
    for as long as the server says, or, where it does not say, for 0.5 s, doubled with each episode up to
    30 s.

    Otherwise it says nothing about the rate, and nobody else waits for it, with two exceptions. Where nothing
    at all has got through for longer than three attempts take, it is no matter of how many are in flight: it
    counts as above. And a server that names a time to wait and refuses although few are in flight (a quarter
    of what went well in the last minutes, or a single one) has a rate that nobody told.

    Three episodes within three minutes that are put down to the rate are taken as proof of one.

    An episode is what one moment caused: what was let through before its first refusal belongs to it.

    Attributes:
        held_until: Nothing is sent before this time.
        last: When the last refusal came.
    """

    __slots__ = (
        "_began", "_evidence", "_peak", "_peak_before", "_peak_since", "_seconds", "_streak", "_unheard",
        "held_until", "last",
    )  # fmt: skip

    def __init__(self) -> None:
        self.held_until = 0.0
        self.last = float("-inf")
        self._began = float("-inf")
        self._evidence = 0
        self._streak = 0
        self._peak = self._peak_before = 0
        self._peak_since = float("-inf")
        self._unheard: float | None = None
        self._seconds = 0.0

    def accepted(self, began: float, in_flight: int, now: float) -> None:
        """An attempt was answered that was let through at ``began``, as one of ``in_flight``."""
        if self._unheard is not None and began >= self._unheard:
            self._unheard = None
        self._seconds += (now - began - self._seconds) / 16
        if self._streak and began > self._began:
            self._streak = 0
        if now - self._peak_since > 60.0:
            self._peak_before, self._peak, self._peak_since = self._peak, 0, now
        self._peak = max(self._peak, in_flight)

    def refused(
        self, began: float, in_flight: int, retry_after: float | None, *, near: bool, now: float
    ) -> bool:
        """An attempt was refused; whether refusals by now prove a rate that is not known.

        Args:
            began: When it was let through.
            in_flight: How many were in flight then, itself included.
            retry_after: Seconds that the server asks to wait, if it does.
            near: Whether a known limit is nearly used up.
            now: Monotonic seconds.
        """
        fresh = began >= self._began
        if self._unheard is None:
            self._unheard = began
        near = near or began - self._unheard > 3 * self._seconds + 1.0
        few = in_flight <= max(1, max(self._peak, self._peak_before) // 4)
        if now - self.last > _EVIDENCE_KEPT:
            self._evidence = 0
        self.last = now
        if fresh:
            self._began = now
        if near:
            self._hold(retry_after, now, fresh=fresh)
        if fresh and (near or (few and retry_after is not None)):
            self._evidence += 1
        if self._evidence < _EVIDENCE:
            return False
        self._evidence = 0
        return True

    def _hold(self, retry_after: float | None, now: float, *, fresh: bool) -> None:
        if retry_after is not None:
            pause = min(retry_after, _LONGEST_TOLD)
        elif fresh:
            pause = min(_FIRST_HOLD * 2.0**self._streak, _LONGEST_HOLD)
            self._streak = min(self._streak + 1, 16)
        else:
            return
        self.held_until = max(self.held_until, now + pause)
