"""The concurrency limit that finds what an endpoint bears, and follows it."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, log, sqrt
from typing import Final

from toolflow.errors import RateLimitedError
from toolflow.llm.concurrency.cohort import Cohorts
from toolflow.llm.concurrency.limit import MOST, Ended, LimitChange, Limited, checked
from toolflow.llm.concurrency.search import Level, PeakSearch, compare
from toolflow.llm.concurrency.wall import Wall, cohort_of, is_testable, longest_hold
from toolflow.llm.concurrency.workload import Answered, Measurement, Workload

_FIRST_LIMIT: Final = 32
_FEWEST: Final = 12
"""Attempts that are measured, at least."""

_FULL: Final = 0.75
"""An attempt tells of a limit if it was let through with this share of it in flight."""

_TRIAL: Final = 2
"""Half of a limit is measured to try it; where that leaves doubt, all of it."""

_LONGEST_HOLD: Final = 8
"""Cohorts between two probes."""

_CHANGED: Final = 1.2
_CHANGED_MUCH: Final = 1.5
_FAILING: Final = 0.2

_SOON: Final = 1.0
"""Seconds that count as soon after a cut before a latency is known."""


class AdaptiveConcurrency(Limited):
    """Looks for the limit with the most throughput, and follows it when it moves.

    *What is measured.* Attempts are measured in cohorts: as many as the limit, let through one after the
    other with most of the limit in use. What they took, compared with what their kind takes
    (``Workload``), is the endpoint's slowness, and what was in flight / slowness
    its throughput (Little's law); it needs no clock of its own, and neither pauses between dialogues nor
    another mix of roles look like a change. Its standard error is known, so that half a cohort decides
    where it can, and more are waited for where it cannot.

    *The knee.* A server without a 429 shows only that throughput stops rising while latency does. The limit
    doubles while that is worth it; then the peak is closed in from both sides
    (``PeakSearch``), and held. After one, two, four, up to eight cohorts 12 % more
    are tried again, and, where answers are slower than with fewer, 12 % fewer. Where a cohort at the held
    limit is clearly slower or quicker than when it was chosen, the search begins anew, at once.

    *The wall.* A 429 cuts once an episode: to what was in flight beside the refused attempt, since an
    endpoint refuses at once what is above its cap. Attempts that were let through before the cut cut no more,
    but nothing goes in their place where they are refused as well. Refusals soon after, of attempts sent
    since, show that the cap is lower still, and cut by one, three, seven more. Under a wall the limit is
    probed by one more, which costs one 429, and while nothing is refused by three, nine and so on, as soon as
    the first of these are answered: a wall that moves is found again within few latencies. A ``Retry-After``
    is the call's own business and plays no part.

    Server and network failures cut nothing and measure nothing; where they are many, growth waits every other
    cohort.

    Args:
        start: First limit.
        most: Largest limit.
        started: Attempts that were let through before.
        history: Changes until now, oldest first.

    Raises:
        UsageError: ``start`` or ``most`` is less than one.
    """

    def __init__(
        self,
        *,
        start: int = _FIRST_LIMIT,
        most: int = MOST,
        started: int = 0,
        history: Iterable[LimitChange] = (),
    ) -> None:
        self._most = checked(most)
        super().__init__(min(start, most), history)
        self._workload = Workload()
        self._search = PeakSearch(self._limit)
        self._trial: Measurement | None = None
        self._chosen: Measurement | None = None
        self._probing = self._doubted = False
        self._hold = self._next_hold = 0
        self._wall = Wall()
        self._latency = _SOON
        self._paused = False
        # The first ones also open connections.
        self._cohorts = Cohorts(started + self._limit, max(_FEWEST, self._limit))

    def __repr__(self) -> str:
        best = self._search.best.limit
        return f"<AdaptiveConcurrency limit={self._limit} best={best} hold={self._hold}>"

    def settled(self, ended: Ended, now: float) -> None:
        if isinstance(ended.outcome.error, RateLimitedError):
            self._refused(ended, now)
            return
        self._cohorts.take(ended)
        while self._cohorts.tell(ended.started, self._limit):
            self._look(ended, now)

    def _tells(self, ended: Ended) -> bool:
        """Whether an attempt met the endpoint with the limit in use."""
        if self._wall.stands and self._limit > self._search.best.limit:
            return ended.in_flight > self._search.best.limit
        return ended.saturated and ended.in_flight >= _FULL * self._limit

    def _look(self, ended: Ended, now: float) -> None:
        cohort = self._cohorts.go_on(max(_FEWEST, self._limit))
        observed = [_answered(one) for one in cohort.answered if self._tells(one)]
        if not observed or 2 * (len(observed) + cohort.failures) < cohort.returned:
            return  # The limit was not what held further attempts back.
        # Growth waits where much fails, yet not for ever: every other time.
        failing = self._paused = not self._paused and cohort.failures > _FAILING * cohort.returned
        measured = self._workload.measure(observed)
        if self._limit == self._search.best.limit:
            self._hold_on(measured, ended, now, failing=failing)
        elif not failing:
            self._trial = measured if self._trial is None else self._trial + measured
            if self._wall.stands:
                self._judge_under_wall(self._trial, ended, now)
            else:
                self._judge(self._trial, ended, now)

    # -- the best limit

    def _hold_on(self, measured: Measurement, ended: Ended, now: float, *, failing: bool) -> None:
        best = self._search.best
        self._latency = measured.latency
        # What made it the best was a lucky measurement more often than not: held, it is measured anew.
        held = self._chosen is not None and best.measured is not None
        best.measured = best.measured.plus(measured, keep=0.7) if held and best.measured else measured
        if self._chosen is None or self._chosen.count < 2 * max(best.limit, _FEWEST):
            self._chosen = measured if self._chosen is None else self._chosen + measured
        else:
            slower, error = measured.slower_than(self._chosen)
            changed = abs(slower) > max(log(_CHANGED), 3 * error)
            if changed and (self._doubted or abs(slower) > log(_CHANGED_MUCH)):
                self._look_again(measured, slower, ended, now)
                return
            self._doubted = changed  # It may have been a hiccup.
        self._hold = max(0, self._hold - 1)
        if self._hold or failing:
            return
        if self._wall.stands:
            self._probe_wall(ended, now)
        elif self._probing:
            self._go(*self._search.probe(), ended, now)
        else:
            self._search_on(ended, now)

    def _look_again(self, measured: Measurement, slower: float, ended: Ended, now: float) -> None:
        """The endpoint has become slower or quicker, and what was known of other limits is of no use."""
        limit = self._search.best.limit
        # A cohort that saw both times would make the old limit look too good.
        self._search.restart(Level(limit, measured if slower < 0 else None))
        self._hold = self._next_hold = 0
        self._probing = self._doubted = False
        self._chosen = None
        if self._wall.stands:
            return
        if slower > 0 and limit > 1:
            fewer = max(1, min(int(limit / sqrt(exp(slower))), limit - 1))
            self._go(fewer, "answers became slower: fewer may do", ended, now)
        else:
            self._search_on(ended, now)

    def _search_on(self, ended: Ended, now: float) -> None:
        following = self._search.next()
        if following is None or min(following[0], self._most) == self._search.best.limit:
            self._rest(ended, now)
        else:
            self._go(*following, ended, now)

    def _rest(self, ended: Ended, now: float) -> None:
        self._next_hold = min(2 * self._next_hold or 1, _LONGEST_HOLD)
        self._hold = self._next_hold
        self._probing = True
        knee = self._search.corner()
        if knee is not None:
            self._search.restart(Level(knee), self._search.below)
            self._chosen = None
        best, tried = self._search.best.limit, self._limit
        if tried != best:
            self._go(best, f"throughput is best here; {tried} was tried", ended, now)

    def _go(self, limit: int, reason: str, ended: Ended, now: float, *, same_cause: bool = False) -> None:
        """Change the limit, and measure the attempts that are let through once it is in use."""
        before, limit = self._limit, min(limit, self._most)
        self._change(limit, now, reason, same_cause=same_cause)
        self._trial = None
        # Those that are let through at once to fill the limit meet an endpoint that is not yet full.
        known = limit == self._search.best.limit
        self._cohorts.begin(
            ended.started + max(0, limit - before), max(_FEWEST, limit if known else limit // _TRIAL)
        )

    def _judge(self, trial: Measurement, ended: Ended, now: float) -> None:
        tried, best = self._limit, self._search.best.limit
        verdict = self._search.judge(tried, trial)
        if verdict is None:
            return
        if verdict == "worse" and tried > best and self._chosen is None and not self._probing:
            self._go(best, f"{tried} are too many: {best} is measured again", ended, now)
            return
        if verdict != "worse":
            self._chosen = None
        if verdict == "better":
            self._next_hold, self._probing = 0, False
        if verdict == "alike" or self._probing:
            self._rest(ended, now)
        else:
            self._search_on(ended, now)

    # -- walls

    def _refused(self, ended: Ended, now: float) -> None:
        cut = self._wall.refused(ended, self._limit, self._latency, now)
        if cut is None:
            return
        if cut.is_new:
            in_vain = cut.limit >= self._search.best.limit
            self._next_hold = min(2 * self._next_hold or 1, longest_hold(cut.limit)) if in_vain else 1
        self._cut(cut.limit, f"429 with {ended.in_flight} in flight", ended, now, same_cause=not cut.is_new)

    def _cut(self, limit: int, reason: str, ended: Ended, now: float, *, same_cause: bool = False) -> None:
        best = self._search.best
        if limit != best.limit:
            self._search.restart(Level(limit), best if best.limit < limit else None)
            self._chosen = None
        self._wall.stand()
        self._probing = False
        self._hold = self._next_hold
        self._go(limit, reason, ended, now, same_cause=same_cause)

    def _probe_wall(self, ended: Ended, now: float) -> None:
        best, below = self._search.best, self._search.below
        if below is not None and below.measured is not None and best.measured is not None:
            gain, error = compare(best.measured, below.measured)
            if gain < -2 * error:
                # There is a knee below the wall.
                self._wall.stands = False
                self._search.restart(below, above=best)
                self._search_on(ended, now)
                return
        limit = self._wall.next(best.limit, self._most)
        if limit == best.limit:
            return
        self._go(limit, "nothing was refused for a while", ended, now)
        size, share = cohort_of(limit, best.limit, _FEWEST)
        # The first ones only fill what was in flight before.
        self._cohorts.begin(ended.started + max(0, best.limit - ended.left), size, share)

    def _judge_under_wall(self, trial: Measurement, ended: Ended, now: float) -> None:
        best, limit = self._search.best, self._limit
        gain, error = compare(trial, best.measured)
        if gain < -2 * error and is_testable(limit, best.limit):
            self._wall.stands = False
            self._search.above = Level(limit, trial)
            self._search_on(ended, now)
            return
        few = trial.count < _FEWEST and best.measured is not None
        self._search.accept(limit, best.measured + trial if few and best.measured else trial)
        self._chosen = None
        self._next_hold = 0
        self._wall.passed(limit)
        self._probe_wall(ended, now)


def _answered(ended: Ended) -> Answered:
    outcome = ended.outcome
    return Answered(ended.role, outcome.usage.completion, outcome.seconds, ended.in_flight)
