"""Which attempt is lost, told from how the others fare: nothing of a whole answer is heard until it is there.

A server that loses one request in a hundred would otherwise hold a permit, and a dialogue, for the whole
attempt timeout each time. An attempt is given up as stalled when three things come together:

* it has taken twice as long as the slowest of the last thousand or two that were answered to its role, by its
  model, at its endpoint. Whatever latencies are like, one in n + 1 is slower than the n before it, so that at
  most one in a thousand could be given up wrongly, and twice as slow is rarer by far;
* others were answered since it was sent, as in TCP what arrived later tells of what was lost (RFC 8985);
* few others are late with it. An endpoint that slows down or freezes makes all of them late, and then
  nothing is given up: what is asked for twice is paid twice, and would not come sooner.

No more than two attempts in a hundred are given up: where a tenth of all answers takes twenty times as long
as the rest, the quick ones come first, and more would be given up before the first of the slow ones is back.
And a call of which an attempt was given up is given four times the time in the next one, so that an answer
that does take long is had in the end, and moves the bound for the others.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_TIMES: Final = 2.0
_LONGER: Final = 4.0
"""Twice as long as the slowest one is too long, and after an attempt that was given up four times that."""

_LEAST: Final = 1.0
"""Seconds below which nothing is given up: a pause of this process is no stall."""

_FEWEST: Final = 64
"""Answers from which on the slowest is known."""

_GENERATION: Final = 1_000
"""Answers after which the slowest of them is that of the last generation; it is forgotten after the next."""

_SINCE: Final = 16
_LATE_SHARE: Final = 0.2
"""At least 16 answers since it was sent, and at most one that is late for five of them."""

_SHARE: Final = 0.02
_FIRST_CREDIT: Final = 4.0
_MOST_CREDIT: Final = 32.0
"""So many are given up at most beside the share of all: at first, and at once after a while without."""

_BRIEFEST: Final = 0.001
"""Seconds: a shorter pause may be none at all for a clock that counts from long ago."""

_KINDS_KEPT: Final = 256


class Kind(NamedTuple):
    """Attempts that take about as long.

    Attributes:
        endpoint: Where they are sent.
        model: Who is asked.
        role: Who asks.
    """

    endpoint: str
    model: str
    role: str


class _Known:
    """What is known of a kind.

    Attributes:
        answers: Attempts that were answered.
        credit: How many may be given up now.
        under_way: Attempts in flight, oldest first, and when they were sent.
    """

    __slots__ = ("_slowest", "_slowest_before", "answers", "credit", "under_way")

    def __init__(self) -> None:
        self.answers = 0
        self.credit = _FIRST_CREDIT
        self.under_way: dict[Sent, float] = {}
        self._slowest = self._slowest_before = 0.0

    @property
    def slowest(self) -> float:
        return max(self._slowest, self._slowest_before)

    def answered(self, seconds: float) -> None:
        self.answers += 1
        self.credit = min(_MOST_CREDIT, self.credit + _SHARE)
        if self.answers % _GENERATION == 0:
            self._slowest_before, self._slowest = self._slowest, 0.0
        self._slowest = max(self._slowest, seconds)

    def late(self, now: float) -> int:
        """Attempts in flight that have taken longer than the slowest one."""
        latest = now - self.slowest
        found = 0
        for sent in self.under_way.values():
            if sent >= latest:
                break
            found += 1
        return found


class Sent:
    """An attempt in flight.

    Attributes:
        known: What is known of its kind.
        answers: How many of its kind had been answered when it was sent.
        times: So many times as long as the slowest one is too long for it.
    """

    __slots__ = ("answers", "known", "times")

    def __init__(self, known: _Known, times: float) -> None:
        self.known = known
        self.answers = known.answers
        self.times = times


class Stalls:
    """Knows what attempts take, and which one is lost. Without a clock.

    Every operation takes constant time, but :meth:`look`, which few attempts live to see.
    """

    def __init__(self) -> None:
        self._kinds: dict[Kind, _Known] = {}

    def __repr__(self) -> str:
        return f"<Stalls of {len(self._kinds)} kinds>"

    def sent(self, kind: Kind, now: float, *, given_up: int = 0) -> Sent:
        """An attempt is sent.

        Args:
            kind: Where, to whom, by whom.
            now: Seconds.
            given_up: How many attempts of its call were given up as stalled before.
        """
        known = self._kinds.get(kind)
        if known is None:
            if len(self._kinds) >= _KINDS_KEPT:
                del self._kinds[next(iter(self._kinds))]
            known = self._kinds[kind] = _Known()
        attempt = Sent(known, _TIMES * _LONGER**given_up)
        known.under_way[attempt] = now
        return attempt

    def ended(self, attempt: Sent, now: float, *, answered: bool) -> None:
        """An attempt was answered, or it ended in any other way."""
        known = attempt.known
        began = known.under_way.pop(attempt)
        if answered:
            known.answered(now - began)

    def look(self, attempt: Sent, now: float) -> float | None:
        """Seconds until an attempt in flight should be looked at again; None: it is lost, and to be given up.

        Args:
            attempt: One that has not ended.
            now: Seconds.
        """
        known = attempt.known
        age = now - known.under_way[attempt]
        again = max(_LEAST, age / 4)
        if known.answers < _FEWEST:
            return again
        missing = max(_LEAST, attempt.times * known.slowest) - age
        if missing > 0.0:
            return max(_BRIEFEST, missing)
        since = known.answers - attempt.answers
        others = known.late(now) - 1
        if since < _SINCE or others > _LATE_SHARE * since or known.credit < 1.0:
            return again
        known.credit -= 1.0
        return None
