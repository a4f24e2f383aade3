"""The budget, whatever the order of reservations, settlements and cancellations."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from toolflow.llm.budget.budget import Budget, BudgetBounds, Reason, Spent
from toolflow.llm.budget.ledger import Amount, Ledger
from toolflow.llm.budget.prices import PICODOLLARS, Price, Prices
from toolflow.llm.chat import CallKey, Request, Sampling, Usage
from toolflow.runtime.testing import run_virtual

PRICES = Prices({"m": Price(1.0, 1.0)})
MICRO = PICODOLLARS // 10**6

amounts = st.builds(Amount, st.integers(0, 40 * MICRO), st.integers(0, 40))
entries = st.tuples(st.sampled_from(["reserve", "settle", "give back"]), amounts, st.integers(0, 99))
bounds_drawn = st.builds(
    BudgetBounds,
    cost=st.none() | st.integers(0, 100).map(lambda micro: micro / 10**6),
    calls=st.none() | st.integers(1, 8),
    tokens=st.none() | st.integers(1, 100),
)


@given(bounds_drawn, st.lists(entries, max_size=40))
def test_spent_and_reserved_never_pass_a_bound_but_by_the_overshoot(
    bounds: BudgetBounds, schedule: Sequence[tuple[str, Amount, int]]
) -> None:
    ledger = Ledger(bounds, Spent())
    held: list[Amount] = []
    cost = calls = tokens = past_cost = past_tokens = 0
    for name, amount, number in schedule:
        if name == "reserve":
            if ledger.lacking(amount) is None:
                ledger.reserve(amount)
                held.append(amount)
        elif held:
            reserved = held.pop(number % len(held))
            if name == "give back":
                ledger.give_back(reserved)
            else:
                ledger.settle(reserved, amount)
                assert amount.cost is not None
                assert reserved.cost is not None
                cost, calls, tokens = cost + amount.cost, calls + 1, tokens + amount.tokens
                past_cost += max(0, amount.cost - reserved.cost)
                past_tokens += max(0, amount.tokens - reserved.tokens)
        assert ledger.held == len(held)
        assert ledger.spent == Spent(cost / PICODOLLARS, calls, tokens)
        assert (ledger.overshoot.cost, ledger.overshoot.tokens) == (past_cost / PICODOLLARS, past_tokens)
        all_cost = cost + sum(amount.cost or 0 for amount in held)
        if bounds.cost is not None:
            assert all_cost <= round(bounds.cost * PICODOLLARS) + past_cost
        if bounds.calls is not None:
            assert calls + len(held) <= bounds.calls
        if bounds.tokens is not None:
            assert tokens + sum(amount.tokens for amount in held) <= bounds.tokens + past_tokens


class TwoTokens:
    """Foresees a prompt of one LLM token, for which two are reserved."""

    def estimate(self, request: Request) -> Usage:
        return Usage(1, 1)


class Crowd:
    """Tasks that reserve 2 LLM tokens and ``max_tokens``, and hold on until they are told what they took."""

    def __init__(self, bounds: BudgetBounds) -> None:
        self.reasons: list[Reason] = []
        self.budget = Budget(
            bounds,
            PRICES,
            TwoTokens(),
            on_exhausted=self.reasons.append,
            clock=asyncio.get_running_loop().time,
        )
        self.tasks: list[asyncio.Task[None]] = []
        self.sizes: list[int] = []
        self.ends: list[asyncio.Future[int]] = []
        self.begun: list[int] = []
        self.holding: set[int] = set()

    def ask(self, size: int) -> None:
        number = len(self.tasks)
        self.sizes.append(size + 2)
        self.ends.append(asyncio.get_running_loop().create_future())
        self.tasks.append(asyncio.create_task(self._hold(number, size)))

    async def _hold(self, number: int, size: int) -> None:
        request = Request(CallKey(0, "user", 0), "m", (), sampling=Sampling(max_tokens=size))
        async with self.budget.reserve(request) as spending:
            await spending.begin()
            self.begun.append(number)
            self.holding.add(number)
            self.check()
            try:
                taken = await self.ends[number]
                spending.settle("m", Usage(0, taken))
            finally:
                self.holding.discard(number)

    def check(self) -> None:
        now = self.budget.statistics()
        bounds = now.bounds
        if bounds.tokens is not None:
            assert now.spent.tokens + now.reserved.tokens <= bounds.tokens + now.overshoot.tokens
        if bounds.calls is not None:
            assert now.spent.calls + now.reserved.calls <= bounds.calls

    async def finish(self) -> None:
        """Let everybody go on; who still waits then waits for an exhausted budget, or has been forgotten."""
        for end in self.ends:
            if not end.done():
                end.set_result(1)
        for _ in range(8 * len(self.tasks) + 8):
            await asyncio.sleep(0)
        waiting = [task for task in self.tasks if not task.done()]
        forgotten = bool(waiting) and not self.reasons
        statistics = self.budget.statistics()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        assert not forgotten
        assert len(self.reasons) <= 1
        assert statistics.waiting == len(waiting)
        assert statistics.reserved == Spent(0.0, 0, 0)
        assert self.budget.statistics().waiting == 0


operations = st.lists(
    st.tuples(st.sampled_from(["ask", "ask", "end", "cancel", "step"]), st.integers(0, 20)), max_size=40
)
crowd_bounds = st.builds(
    BudgetBounds, calls=st.none() | st.integers(1, 12), tokens=st.none() | st.integers(1, 120)
)


async def settle() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


@given(crowd_bounds, operations)
def test_reservations_are_made_in_order_and_as_soon_as_they_fit(
    bounds: BudgetBounds, schedule: Sequence[tuple[str, int]]
) -> None:
    async def play() -> None:
        crowd = Crowd(bounds)
        waiting: list[int] = []
        holding: list[int] = []
        begun: list[int] = []
        spent = calls = 0
        exhausted = False

        def hand_on() -> None:
            nonlocal exhausted
            while waiting and not exhausted:
                tokens = spent + sum(crowd.sizes[number] for number in [*holding, waiting[0]])
                fits = bounds.tokens is None or tokens <= bounds.tokens
                if fits and (bounds.calls is None or calls + len(holding) < bounds.calls):
                    begun.append(waiting[0])
                    holding.append(waiting.pop(0))
                elif holding:
                    return
                else:
                    exhausted = True

        for name, number in schedule:
            if name == "ask":
                waiting.append(len(crowd.tasks))
                crowd.ask(number)
            elif name == "end" and holding:
                chosen = holding.pop(number % len(holding))
                crowd.ends[chosen].set_result(number)
                spent, calls = spent + number, calls + 1
            elif name == "cancel" and (alive := holding + waiting):
                chosen = alive[number % len(alive)]
                crowd.tasks[chosen].cancel()
                if chosen in holding:  # abandoned in flight: charged what was reserved
                    holding.remove(chosen)
                    spent, calls = spent + crowd.sizes[chosen], calls + 1
                else:
                    waiting.remove(chosen)
            hand_on()
            await settle()
            crowd.check()
            assert crowd.begun == begun
            now = crowd.budget.statistics()
            assert (now.spent.tokens, now.spent.calls) == (spent, calls)
            assert (now.reserved.calls, now.waiting) == (len(holding), len(waiting))
            assert bool(crowd.reasons) == exhausted
        await crowd.finish()

    run_virtual(play())


@settings(max_examples=300)
@given(crowd_bounds, operations)
def test_no_reservation_is_lost_whenever_a_cancellation_comes(
    bounds: BudgetBounds, schedule: Sequence[tuple[str, int]]
) -> None:
    """Nothing settles between the operations here: cancellations meet reservations that are on their way."""

    async def play() -> None:
        crowd = Crowd(bounds)
        for name, number in schedule:
            if name == "ask":
                crowd.ask(number)
            elif name == "end" and crowd.holding:
                chosen = sorted(crowd.holding)[number % len(crowd.holding)]
                if not crowd.ends[chosen].done():
                    crowd.ends[chosen].set_result(number)
                    if number % 2:  # One step, and a reservation may be on its way to the next in turn.
                        await asyncio.sleep(0)
            elif name == "cancel" and crowd.tasks:
                crowd.tasks[number % len(crowd.tasks)].cancel()
            elif name == "step":
                await asyncio.sleep(0)
            crowd.check()
        await crowd.finish()
        assert crowd.begun == sorted(crowd.begun)
        assert len(crowd.begun) == len(set(crowd.begun))

    run_virtual(play())
