"""The quota of a quota group: when the next request fits the provider's rate limits. Without a clock."""

from __future__ import annotations

from toolflow.llm.chat import Request, Usage
from toolflow.llm.outcome import Outcome
from toolflow.llm.quota.estimate import TokenEstimator, length_of
from toolflow.llm.quota.limits import LimitInForce, RateLimits
from toolflow.llm.quota.pacing import Pacing, Reservation

__all__ = ["Quota", "Reservation"]


class Quota:
    """Foresees what requests cost, and paces them by that (:class:`toolflow.llm.quota.pacing.Pacing`).

    Args:
        limits: What the user told; others are learned.
        estimator: Foresees LLM tokens, and learns from usage; one of its own if None.

    Raises:
        UsageError: A limit is less than one.
    """

    def __init__(self, limits: RateLimits | None = None, estimator: TokenEstimator | None = None) -> None:
        self._pacing = Pacing(limits)
        self._estimator = estimator or TokenEstimator()
        self._asked: Request | None = None
        self._cost = Usage()
        self._length = 0

    def __repr__(self) -> str:
        return f"<Quota over {self._pacing!r}>"

    @property
    def limits(self) -> RateLimits:
        """What is kept for a minute, told or learned."""
        return self._pacing.limits

    @property
    def in_force(self) -> tuple[LimitInForce, ...]:
        """All that is kept, with its window and who says so."""
        return self._pacing.in_force

    def is_held(self, now: float) -> bool:
        """Whether a refusal that was put down to the rate keeps everybody waiting."""
        return self._pacing.is_held(now)

    def wait(self, request: Request, now: float) -> float:
        """Seconds until a request may fit, by what is known now; 0.0: it fits.

        Args:
            request: The next to be sent.
            now: Monotonic seconds; never less than before.
        """
        return self._pacing.wait(self._cost_of(request), now)

    def reserve(self, request: Request, now: float) -> Reservation:
        """Count a request as sent now; whether it fits is :meth:`wait`'s answer."""
        reservation = self._pacing.reserve(self._cost_of(request), now)
        reservation.length = self._length
        self._asked = None
        return reservation

    def settle(self, reservation: Reservation, request: Request, outcome: Outcome | None, now: float) -> None:
        """Charge what an attempt cost in the end, and learn from its outcome; a second time changes nothing.

        Args:
            reservation: What :meth:`reserve` gave.
            request: What it was given for.
            outcome: How the attempt ended; None if nobody waited for that: it stays charged as reserved.
            now: Monotonic seconds.
        """
        if reservation.open and outcome is not None and outcome.usage.prompt:
            self._estimator.learn(request, outcome.usage, reservation.length)
        self._pacing.settle(reservation, outcome, now)

    def _cost_of(self, request: Request) -> Usage:
        # The head of the queue is asked about again and again; so that its cost cannot change meanwhile.
        if request is not self._asked:
            self._asked, self._length = request, length_of(request)
            self._cost = self._estimator.estimate(request, self._length)
        return self._cost
