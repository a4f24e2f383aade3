"""An exact account of the last minute, in constant memory and without a clock."""

from __future__ import annotations

from typing import Final

SLOTS_PER_SECOND: Final = 20

WINDOW: Final = 60.5
"""Seconds that an amount is remembered for at least; 0.05 s more at most.

A server counts arrivals, not departures: what arrives within 60 s left within 60 s and the spread of the
times that the way took. A spread of up to 0.5 s (jitter, a server that stalls) cannot push a window
over its limit; the price is 0.9 % of the pace. With 0.4 s a loaded machine was refused now and then.
"""

_KEPT: Final = round(WINDOW * SLOTS_PER_SECOND) + 1


class SlidingWindow:
    """Sums what was added in the last :data:`WINDOW` seconds.

    Amounts are kept in slots of 0.05 s, numbered from time 0.0. Each is forgotten when its youngest amount
    may be: never too early.

    Attributes:
        newest: The slot of the last :meth:`advance`.
        total: The sum, as of then.
    """

    __slots__ = ("_amounts", "newest", "total")

    def __init__(self) -> None:
        self.newest = 0
        self.total = 0
        self._amounts = [0] * _KEPT

    def advance(self, slot: int) -> None:
        """Forget what is old at ``slot``; an earlier slot than the newest changes nothing."""
        newest = self.newest
        if slot <= newest:
            return
        self.newest = slot
        amounts = self._amounts
        if slot - newest >= _KEPT:
            if self.total:
                self._amounts = [0] * _KEPT
                self.total = 0
            return
        for old in range(newest + 1, slot + 1):
            index = old % _KEPT
            self.total -= amounts[index]
            amounts[index] = 0

    def add(self, amount: int, slot: int) -> None:
        """Count an amount in a slot, or with a negative one take back; what is forgotten stays so."""
        newest = self.newest
        if slot > newest:
            self.advance(slot)
        elif slot <= newest - _KEPT:
            return
        self._amounts[slot % _KEPT] += amount
        self.total += amount

    def seconds_until_freed(self, amount: int, now: float) -> float:
        """Seconds until ``amount`` of the sum is forgotten, if nothing is added."""
        amounts, newest = self._amounts, self.newest
        freed = 0
        for slot in range(newest - _KEPT + 1, newest + 1):
            freed += amounts[slot % _KEPT]
            if freed >= amount:
                return max(0.0, (slot + _KEPT) / SLOTS_PER_SECOND - now)
        return WINDOW
