"""The budget: every attempt reserves what it may cost before it is made, so that the bounds of a run hold.

    async with budget.reserve(request) as spending:     waits until it fits; for ever once it never will
        async with gate.permit(request):
            await spending.begin()                      sent from here on
            ...
            spending.settle(model, usage)

How exact each bound is:

- calls: no attempt more than the bound, ever;
- time: no attempt begins once the seconds are over; those in flight then may end;
- LLM tokens and cost: no reservation passes the bound, but an attempt may use more than was reserved for it.
  With ``max_tokens`` set that can only come from the estimate of its prompt (or from a reply by a
  dearer model than was asked for), without it also from a completion longer than
  ``Headroom`` foresaw. It is counted as overshoot, and at most the attempts in
  flight can add to it: past a bound nothing begins.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final, Protocol

from toolflow.clock import Clock, monotonic
from toolflow.llm.budget.headroom import Headroom
from toolflow.llm.budget.ledger import REFUSED, Amount, BudgetBounds, BudgetStatistics, Ledger, Reason, Spent
from toolflow.llm.budget.prices import Price, Prices
from toolflow.llm.chat import Request, Usage

__all__ = ["Budget", "BudgetBounds", "BudgetStatistics", "Estimator", "Reason", "Spending", "Spent"]

_NOTHING: Final = Spent()


class Estimator(Protocol):
    """Foresees usage."""

    def estimate(self, request: Request) -> Usage:
        """LLM tokens that one attempt of the request is likely to use."""
        ...


class Spending(Protocol):
    """A reservation in use."""

    async def begin(self) -> None:
        """Say that the attempt is sent now. Returns at once, or never if the time is over.

        A reservation that is left without this is given back; with it, it is charged in full unless it was
        settled: the endpoint may bill what we abandon.
        """
        ...

    def settle(self, model: str, usage: Usage | None) -> None:
        """Replace the reservation by what the attempt took; once.

        Args:
            model: Who answered. If that name has no price, the requested one's counts: endpoints report dated
                names.
            usage: LLM tokens as the endpoint counted them; zero for an attempt that failed without an answer,
                which is charged as a call and nothing else. None for an answer that nobody counted: it is
                charged what was reserved.
        """
        ...


class Budget:
    """Lets an attempt begin only if what is spent and reserved, its own included, stays within the bounds.

    Attempts are served in order. One that does not fit waits, and all behind it, while others hold
    reservations, for they may take less. Where nobody does, the budget is exhausted, and from then on nothing
    is reserved: whoever asks waits until it is cancelled.

    Args:
        bounds: What may be spent.
        prices: Of the models; without a bound on the cost a model may lack one.
        estimator: Foresees usage; taught by others.
        spent: What earlier processes of the run spent.
        on_exhausted: Called once, with the reason; it must return at once and not raise. May be set later.
        clock: Measures the time, on the scale of the event loop.

    Raises:
        UsageError: The cost is bounded and what was spent of it is unknown.
    """

    def __init__(
        self,
        bounds: BudgetBounds,
        prices: Prices,
        estimator: Estimator,
        spent: Spent = _NOTHING,
        *,
        on_exhausted: Callable[[Reason], object] | None = None,
        clock: Clock = monotonic,
    ) -> None:
        self.on_exhausted = on_exhausted
        self._bounds = bounds
        self._prices = prices
        self._estimator = estimator
        self._clock = clock
        self._ledger = Ledger(bounds, spent)
        self._headroom = Headroom()
        self._queue: OrderedDict[_Attempt, asyncio.Future[None]] = OrderedDict()
        self._exhausted: Reason | None = None
        self._drained = asyncio.Event()
        self._in_flight = 0
        self._uncounted = 0
        self._started: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._time_over = False

    def __repr__(self) -> str:
        held, waiting = self._ledger.held, len(self._queue)
        return f"<Budget held={held} waiting={waiting} exhausted={self._exhausted}>"

    def start(self) -> None:
        """Let the time run, in the event loop; the first reservation does so too, a second start nothing."""
        if self._started is None:
            self._started = self._clock()
            if self._bounds.seconds is not None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._bounds.seconds, self._end_time)

    def close(self) -> None:
        """Stop the timer. Reservations stay as they are."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def reserve(self, request: Request) -> AbstractAsyncContextManager[Spending]:
        """Wait until one attempt of the request fits, and set aside what it may take.

        Entering raises :class:`toolflow.errors.UsageError` if the cost is bounded and the model has no price.
        """
        return _Attempt(self, request)

    async def drained(self) -> None:
        """Return once the budget is exhausted and no attempt is in flight any more."""
        await self._drained.wait()

    def statistics(self) -> BudgetStatistics:
        return BudgetStatistics(
            self._bounds,
            self._ledger.spent,
            self._ledger.reserved,
            self._in_flight,
            len(self._queue),
            self._exhausted,
            self._ledger.overshoot,
            self._uncounted,
            0.0 if self._started is None else self._clock() - self._started,
        )

    async def take(self, attempt: _Attempt) -> None:
        """Wait for the attempt's reservation; cancelled at any moment, it holds none."""
        self.start()
        if self._bounds.cost is not None:
            self._prices.require([attempt.request.model])
        attempt.estimate = self._estimator.estimate(attempt.request)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue[attempt] = turn
        self._serve()
        if turn.done():
            return
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.give_back(attempt)  # The reservation came in the same moment as the cancellation.
            else:
                turn.cancel()
                self._queue.pop(attempt, None)
                self._serve()
            raise

    def give_back(self, attempt: _Attempt) -> None:
        """Free a reservation of which nothing was used."""
        self._ledger.give_back(attempt.amount)
        self._serve()

    def begin(self) -> bool:
        """Count an attempt as in flight, unless the time is over."""
        if self.is_time_over():
            return False
        self._in_flight += 1
        return True

    def end(self) -> None:
        """An attempt in flight has ended."""
        self._in_flight -= 1
        self._look_for_end()

    def settle(self, attempt: _Attempt, model: str, usage: Usage | None) -> None:
        """Charge an attempt with its usage, or with its reservation where nobody counted."""
        if usage is None:
            self._uncounted += 1
            self._ledger.settle(attempt.amount, attempt.amount)
        elif usage.prompt + usage.completion == 0:
            self._ledger.settle(attempt.amount, REFUSED)
        else:
            named = self._prices.find(model) if model else None
            price = named or self._prices.find(attempt.request.model)
            self._ledger.settle(attempt.amount, _amount(price, usage))
            self._headroom.learn(attempt.request, attempt.estimate, usage)
        self._serve()

    def is_time_over(self) -> bool:
        """Whether no attempt may begin any more; says so to whom it concerns."""
        seconds = self._bounds.seconds
        if seconds is None or self._started is None or self._time_over:
            return self._time_over
        if self._clock() - self._started >= seconds:
            self._end_time()
        return self._time_over

    def _end_time(self) -> None:
        self.close()
        self._time_over = True
        self._exhaust("time")

    def _exhaust(self, reason: Reason) -> None:
        if self._exhausted is None:
            self._exhausted = reason
            self._look_for_end()
            if self.on_exhausted is not None:
                self.on_exhausted(reason)

    def _look_for_end(self) -> None:
        if self._exhausted is not None and not self._in_flight:
            self._drained.set()

    def _serve(self) -> None:
        """Give reservations to the first in the queue, one by one, as far as they fit."""
        while self._queue and not self.is_time_over() and self._exhausted is None:
            attempt, turn = next(iter(self._queue.items()))
            if turn.done():  # Cancelled, and about to notice.
                self._queue.popitem(last=False)
                continue
            # Sized again each time: the headroom may have learnt while it waited.
            size = self._headroom.size(attempt.request, attempt.estimate)
            attempt.amount = _amount(self._prices.find(attempt.request.model), size)
            lacking = self._ledger.lacking(attempt.amount)
            if lacking is None:
                self._queue.popitem(last=False)
                self._ledger.reserve(attempt.amount)
                turn.set_result(None)
            elif self._ledger.held:
                return
            else:
                self._exhaust(lacking)


class _Attempt:
    __slots__ = ("_begun", "_budget", "_settled", "amount", "estimate", "request")

    def __init__(self, budget: Budget, request: Request) -> None:
        self._budget = budget
        self._begun = False
        self._settled = False
        self.request = request
        self.estimate = Usage()
        self.amount = REFUSED

    async def __aenter__(self) -> Spending:
        await self._budget.take(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._settled:
            if self._begun:
                self.settle(self.request.model, None)
            else:
                self._budget.give_back(self)
        if self._begun:
            self._budget.end()

    async def begin(self) -> None:
        assert not self._begun, "an attempt begins once"
        self._begun = self._budget.begin()
        if not self._begun:
            await asyncio.get_running_loop().create_future()

    def settle(self, model: str, usage: Usage | None) -> None:
        assert not self._settled, "an attempt is settled once"
        self._settled = True
        self._budget.settle(self, model, usage)


def _amount(price: Price | None, usage: Usage) -> Amount:
    return Amount(None if price is None else price.picodollars(usage), usage.prompt + usage.completion)
