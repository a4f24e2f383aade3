"""When the next attempt of a known cost fits the rate limits, and what its outcome teaches about them."""

from __future__ import annotations

from typing import Final

from toolflow.errors import FatalLLMError, MalformedCompletionError, PermanentLLMError, RateLimitedError
from toolflow.llm.chat import Usage
from toolflow.llm.outcome import Outcome
from toolflow.llm.quota.limits import LimitInForce, RateLimits
from toolflow.llm.quota.pace import Pace
from toolflow.llm.quota.rates import Rates, Sent
from toolflow.llm.quota.refusals import Refusals
from toolflow.llm.quota.window import SLOTS_PER_SECOND, WINDOW, SlidingWindow

_GROWTH: Final = 1.05
"""By how much an inferred limit is tried to be exceeded after each minute without a refusal."""


class Reservation:
    """What was reserved for an attempt; to be settled once.

    Attributes:
        cost: The estimate that was reserved.
        sent: When.
        in_flight: Attempts in flight then, itself included.
        before: All that had been sent by then, itself included.
        open: Whether it is yet to be settled.
        length: Characters of the request; 0 where nobody measured them.
    """

    __slots__ = ("before", "cost", "in_flight", "length", "open", "sent")

    def __init__(self, cost: Usage, sent: float, in_flight: int, before: Sent) -> None:
        self.cost = cost
        self.sent = sent
        self.in_flight = in_flight
        self.before = before
        self.open = True
        self.length = 0


class Pacing:
    """Paces attempts so that no rate limit is exceeded and nearly all of it is used.

    Limits are told, or learned from what answers report (``Rates``). Refusals (429)
    that no known limit explains teach a rate only if they keep coming while few attempts are in flight
    (``Refusals``), and only where answers report no limits: what got through in
    the last minute is then taken for the limit, and 5 % more is tried after each minute without a refusal.

    LLM tokens are reserved by an estimate and settled by what the endpoint counted. An attempt that failed
    stays counted, since some providers count it; only the completion that a refused one never made is given
    back.

    Every operation takes constant time, and memory does not grow.

    Args:
        limits: What the user told.

    Raises:
        UsageError: A limit is less than one.
    """

    def __init__(self, limits: RateLimits | None = None) -> None:
        self._rates = Rates(limits or RateLimits())
        self._refusals = Refusals()
        self._refused = SlidingWindow()
        self._in_flight = 0
        self._first: float | None = None
        self._reported_at: float | None = None
        self._changed = float("-inf")

    def __repr__(self) -> str:
        limits = " ".join(f"{it.kind}={it.limit}/{it.window:g}s ({it.source})" for it in self.in_force)
        return f"<Pacing {limits or 'without limits'}>"

    @property
    def limits(self) -> RateLimits:
        """What is kept for a minute, told or learned."""
        return self._rates.limits

    @property
    def in_force(self) -> tuple[LimitInForce, ...]:
        """All that is kept, with its window and who says so."""
        return self._rates.in_force

    def is_held(self, now: float) -> bool:
        """Whether a refusal that was put down to the rate keeps everybody waiting."""
        return self._refusals.held_until > now

    def wait(self, request_cost: Usage, now: float) -> float:
        """Seconds until a request may fit, by what is known now; 0.0: it fits.

        Args:
            request_cost: Estimate of its LLM tokens.
            now: Monotonic seconds; never less than before.
        """
        pause = self._rates.wait(request_cost, now)
        held = self._refusals.held_until - now
        return held if held > pause else pause

    def reserve(self, request_cost: Usage, now: float) -> Reservation:
        """Count a request as sent now; whether it fits is :meth:`wait`'s answer."""
        if self._first is None:
            self._first = now
        self._in_flight += 1
        return Reservation(request_cost, now, self._in_flight, self._rates.reserve(request_cost, now))

    def settle(self, reservation: Reservation, outcome: Outcome | None, now: float) -> None:
        """Charge what an attempt cost in the end, and learn from its outcome; a second time changes nothing.

        Args:
            reservation: What :meth:`reserve` gave.
            outcome: How it ended; None if nobody waited for that: it stays charged as reserved.
            now: Monotonic seconds.
        """
        if not reservation.open:
            return
        reservation.open = False
        self._in_flight -= 1
        if outcome is None:
            return
        cost, sent = reservation.cost, reservation.sent
        self._rates.settle(cost, _charged(cost, outcome), sent, now)
        if outcome.limits and (self._reported_at is None or sent >= self._reported_at):
            # An answer to an older request would describe the past.
            self._reported_at = sent
            for reported in outcome.limits:
                self._rates.learn(reported, sent, reservation.before, now)
        error = outcome.error
        if error is None:
            self._refusals.accepted(sent, reservation.in_flight, now)
            pace = self._rates.requests
            if pace is not None and pace.source == "inferred":
                self._try_more(pace, now)
        elif isinstance(error, RateLimitedError):
            self._refuse(reservation, error, now)

    def _refuse(self, reservation: Reservation, error: RateLimitedError, now: float) -> None:
        self._refused.add(1, int(now * SLOTS_PER_SECOND))
        proved = self._refusals.refused(
            reservation.sent,
            reservation.in_flight,
            error.retry_after,
            near=self._rates.near(now),
            now=now,
        )
        # Before a minute has passed, what got through is no measure of what gets through in one.
        if proved and self._reported_at is None and self._first is not None and now - self._first > WINDOW:
            self._infer(now)

    def _infer(self, now: float) -> None:
        accepted = self._rates.requests_in_window(now) - self._refused.total - self._in_flight
        pace = self._rates.requests
        if accepted >= 1 and (pace is None or accepted < pace.limit):
            self._changed = now
            self._rates.keep("requests", accepted, "inferred", now)

    def _try_more(self, pace: Pace, now: float) -> None:
        if now - max(self._changed, self._refusals.last) > 60.0:
            self._changed = now
            self._rates.keep("requests", int(pace.limit * _GROWTH) + 1, "inferred", now)


def _charged(cost: Usage, outcome: Outcome) -> Usage:
    """LLM tokens that an attempt must be taken to have cost."""
    usage, error = outcome.usage, outcome.error
    if usage.prompt:
        return usage
    if isinstance(error, MalformedCompletionError) and error.prompt_tokens:
        return Usage(error.prompt_tokens, error.completion_tokens)
    if usage.completion:
        return Usage(cost.prompt, usage.completion)
    if isinstance(error, RateLimitedError | PermanentLLMError | FatalLLMError):
        return Usage(cost.prompt, 0)
    # Nobody said: a server that broke off may have counted all of it.
    return cost
