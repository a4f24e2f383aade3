"""The budget: what is reserved, charged and given back, who waits, and when it is exhausted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from toolflow.errors import UsageError
from toolflow.llm.budget.budget import Budget, BudgetBounds, Reason, Spending, Spent
from toolflow.llm.budget.headroom import Headroom
from toolflow.llm.budget.ledger import Overshoot
from toolflow.llm.budget.prices import Price, Prices
from toolflow.llm.chat import CallKey, Request, Sampling, Usage
from toolflow.runtime.testing import DeadlockError, run_virtual

PRICES = Prices({"m": Price(1.0, 1.0), "dear": Price(10.0, 10.0), "free": Price(0.0, 0.0)})
"""A million LLM tokens of ``m`` cost a dollar: a token is a millionth of one."""


def usd(tokens: int) -> float:
    return tokens / 1_000_000


class Foreseen:
    """Estimates each prompt at 8 LLM tokens, which reserves 12, and completions at 10, which reserves 40."""

    def estimate(self, request: Request) -> Usage:
        return Usage(8, 10)


def ask(most: int | None = 88, model: str = "m") -> Request:
    """A request for which 12 LLM tokens and ``most`` are reserved."""
    return Request(CallKey(0, "user", 0), model, (), sampling=Sampling(max_tokens=most))


class Attempts:
    """Tasks that reserve, begin, and hold on until they are told how the attempt ends."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.tasks: list[asyncio.Task[None]] = []
        self.ends: list[asyncio.Future[Callable[[Spending], None]]] = []
        self.begun: list[int] = []

    def start(self, request: Request) -> None:
        number = len(self.tasks)
        self.ends.append(asyncio.get_running_loop().create_future())
        self.tasks.append(asyncio.create_task(self._run(number, request)))

    async def _run(self, number: int, request: Request) -> None:
        async with self.budget.reserve(request) as spending:
            await spending.begin()
            self.begun.append(number)
            end = await self.ends[number]
            end(spending)

    async def end(self, number: int, usage: Usage | None, model: str = "m") -> None:
        self.ends[number].set_result(lambda spending: spending.settle(model, usage))
        await steps()

    async def cancel(self, number: int) -> None:
        self.tasks[number].cancel()
        await steps()


async def steps() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


Scenario = Callable[["Attempts", list[Reason]], Coroutine[Any, Any, None]]


def play(bounds: BudgetBounds, scenario: Scenario, spent: Spent | None = None) -> None:
    async def main() -> None:
        reasons: list[Reason] = []
        clock = asyncio.get_running_loop().time
        budget = Budget(
            bounds, PRICES, Foreseen(), spent or Spent(), on_exhausted=reasons.append, clock=clock
        )
        attempts = Attempts(budget)
        await scenario(attempts, reasons)
        for task in attempts.tasks:
            task.cancel()
        await asyncio.gather(*attempts.tasks, return_exceptions=True)
        budget.close()

    run_virtual(main())


def test_calls_are_bounded_exactly() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        for _ in range(5):
            attempts.start(ask())
        await steps()
        assert attempts.begun == [0, 1, 2]
        await attempts.end(0, Usage(8, 8))
        await attempts.end(1, Usage())
        assert attempts.begun == [0, 1, 2]
        assert reasons == []  # the third may yet prove not to have been made
        await attempts.end(2, Usage(8, 8))
        assert reasons == ["calls"]
        attempts.start(ask())
        await steps()
        statistics = attempts.budget.statistics()
        assert attempts.begun == [0, 1, 2]
        assert (statistics.spent.calls, statistics.waiting, statistics.exhausted) == (3, 3, "calls")
        assert reasons == ["calls"]

    play(BudgetBounds(calls=3), scenario)


def test_a_reservation_waits_for_what_others_leave() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        for _ in range(3):
            attempts.start(ask(88))
        await steps()
        assert attempts.begun == [0, 1]
        assert attempts.budget.statistics().reserved == Spent(usd(200), 2, 200)
        await attempts.end(0, Usage(8, 12))  # 20 of 100: 20 + 100 + 100 is just within the bound
        assert attempts.begun == [0, 1, 2]
        assert attempts.budget.statistics().spent == Spent(usd(20), 1, 20)
        assert reasons == []

    play(BudgetBounds(tokens=220), scenario)
    play(BudgetBounds(cost=usd(220)), scenario)


def test_nobody_overtakes_who_waits() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        attempts.start(ask(88))
        attempts.start(ask(888))
        attempts.start(ask(8))  # would fit
        await steps()
        assert attempts.begun == [0]
        await attempts.end(0, Usage(8, 12))
        assert attempts.begun == [0, 1, 2]

    play(BudgetBounds(tokens=940), scenario)


def test_who_gives_up_waiting_lets_the_next_in() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        attempts.start(ask(88))
        attempts.start(ask(888))
        attempts.start(ask(8))
        await steps()
        await attempts.cancel(1)
        assert attempts.begun == [0, 2]

    play(BudgetBounds(tokens=920), scenario)


def test_a_reservation_granted_in_the_moment_of_cancellation_passes_on() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        for _ in range(3):
            attempts.start(ask(88))
        await steps()
        attempts.ends[0].set_result(lambda spending: spending.settle("m", Usage(2, 8)))
        await asyncio.sleep(0)
        attempts.tasks[1].cancel()  # its reservation is made, and it has not noticed
        assert attempts.budget.statistics().waiting == 1
        await steps()
        assert attempts.begun == [0, 2]
        assert attempts.budget.statistics().reserved.tokens == 100

    play(BudgetBounds(tokens=120), scenario)


def test_who_was_cancelled_and_has_not_noticed_is_passed_over() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        for _ in range(3):
            attempts.start(ask(88))
        await steps()
        attempts.ends[0].set_result(lambda spending: spending.settle("m", Usage(2, 8)))
        attempts.tasks[1].cancel()  # runs after the settlement
        await steps()
        assert attempts.begun == [0, 2]
        assert attempts.budget.statistics().reserved.calls == 1

    play(BudgetBounds(tokens=120), scenario)


def test_what_is_abandoned_in_flight_is_charged_in_full() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        attempts.start(ask(88))
        await steps()
        await attempts.cancel(0)
        statistics = attempts.budget.statistics()
        assert statistics.spent == Spent(usd(100), 1, 100)
        assert (statistics.reserved.calls, statistics.uncounted) == (0, 1)

    play(BudgetBounds(cost=1.0), scenario)


def test_what_was_never_sent_is_given_back() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        with pytest.raises(ValueError, match="no permit"):
            async with attempts.budget.reserve(ask()):
                raise ValueError("no permit")
        statistics = attempts.budget.statistics()
        assert statistics.spent == statistics.reserved == Spent(0.0, 0, 0)

    play(BudgetBounds(calls=1), scenario)


def test_a_failure_is_charged_a_call_and_an_uncounted_answer_its_reservation() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        attempts.start(ask())
        attempts.start(ask())
        await steps()
        await attempts.end(0, Usage())
        assert attempts.budget.statistics().spent == Spent(0.0, 1, 0)
        await attempts.end(1, None)
        assert attempts.budget.statistics().spent == Spent(usd(100), 2, 100)
        assert attempts.budget.statistics().uncounted == 1

    play(BudgetBounds(tokens=1000), scenario)


def test_what_passes_its_reservation_is_counted_and_nothing_begins_past_the_bound() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        attempts.start(ask(88))
        attempts.start(ask(8))
        await steps()
        await attempts.end(0, Usage(60, 120))
        statistics = attempts.budget.statistics()
        assert statistics.spent == Spent(usd(180), 1, 180)
        assert statistics.overshoot == Overshoot(1, 80, usd(80))
        attempts.start(ask(8))
        await attempts.end(1, Usage(4, 4))
        assert attempts.begun == [0, 1]
        assert reasons == ["tokens"]
        assert attempts.budget.statistics().overshoot.attempts == 1

    play(BudgetBounds(tokens=120), scenario)


def test_without_max_tokens_the_reservation_learns_from_usage() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        attempts.start(ask(None))
        await steps()
        assert attempts.budget.statistics().reserved.tokens == 12 + 40
        await attempts.end(0, Usage(8, 80))
        attempts.start(ask(None))
        await steps()
        assert attempts.budget.statistics().reserved.tokens == 12 + 100

    play(BudgetBounds(), scenario)


def test_who_waits_is_sized_by_what_was_learnt_since() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        attempts.start(ask(88))
        attempts.start(ask(88))
        await steps()
        await attempts.end(0, Usage(32, 0))  # 32 + 100 would fit, but prompts are known to be longer now
        assert attempts.begun == [0]
        assert reasons == ["tokens"]

    play(BudgetBounds(tokens=140), scenario)


def test_few_attempts_pass_their_reservations_once_enough_is_learnt() -> None:
    headroom, random = Headroom(), Random(0)
    request, estimate = ask(None), Usage(1000, 100)
    sizes: list[int] = []
    past = 0
    for number in range(4000):
        size = headroom.size(request, estimate)
        usage = Usage(int(random.uniform(800, 1200)), int(100 * random.lognormvariate(0.0, 0.8)))
        headroom.learn(request, estimate, usage)
        if number >= 500:
            sizes.append(size.completion)
            past += usage.completion > size.completion
            assert usage.prompt <= size.prompt
    assert past <= 0.02 * len(sizes)
    assert max(sizes) < 100 * 20


def test_the_time_ends_by_itself() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        loop = asyncio.get_running_loop()
        attempts.budget.start()
        attempts.start(ask())
        await asyncio.sleep(59.9)
        attempts.start(ask())
        await steps()
        assert attempts.begun == [0, 1]
        assert reasons == []
        await asyncio.sleep(0.2)
        assert reasons == ["time"]
        attempts.start(ask())
        await asyncio.sleep(1000)
        assert attempts.begun == [0, 1]
        await attempts.end(0, Usage(8, 8))  # what is in flight may end
        assert attempts.budget.statistics().spent.tokens == 16
        assert reasons == ["time"]
        assert attempts.budget.statistics().seconds == pytest.approx(loop.time())

    play(BudgetBounds(seconds=60.0), scenario)


def test_an_attempt_that_waited_elsewhere_does_not_begin_after_the_time() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        async with attempts.budget.reserve(ask()) as spending:
            await asyncio.sleep(61.0)  # for a permit, say
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1000.0):
                    await spending.begin()
        assert attempts.budget.statistics().spent.calls == 0
        assert reasons == ["time"]

    play(BudgetBounds(seconds=60.0), scenario)


def test_an_exhausted_budget_never_returns() -> None:
    async def main() -> None:
        budget = Budget(BudgetBounds(tokens=50), PRICES, Foreseen())
        async with budget.reserve(ask()):
            pass

    with pytest.raises(DeadlockError):
        run_virtual(main())


def test_the_time_reports_once_after_another_bound() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        attempts.start(ask(888))
        await asyncio.sleep(100.0)
        assert reasons == ["tokens"]

    play(BudgetBounds(tokens=500, seconds=60.0), scenario)


def test_drained_waits_for_the_attempts_in_flight() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        drained = asyncio.create_task(attempts.budget.drained())
        attempts.start(ask())
        attempts.start(ask())
        await asyncio.sleep(61.0)
        assert attempts.budget.statistics().in_flight == 2
        await attempts.end(0, Usage(1, 1))
        assert not drained.done()
        await attempts.cancel(1)
        assert drained.done()

    play(BudgetBounds(seconds=60.0), scenario)


def test_a_bounded_cost_needs_a_price() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        with pytest.raises(UsageError, match="unheard-of"):
            async with attempts.budget.reserve(ask(model="unheard-of")):
                pass
        assert attempts.budget.statistics().waiting == 0
        attempts.start(ask(model="m"))
        await steps()
        assert attempts.begun == [0]

    play(BudgetBounds(cost=1.0), scenario)


def test_without_a_bound_an_unknown_cost_is_none_and_never_zero() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        for model in ("unheard-of", "unheard-of", "m"):
            attempts.start(ask(model=model))
        await steps()
        assert attempts.budget.statistics().reserved.cost is None
        await attempts.end(0, Usage(), "unheard-of")
        assert attempts.budget.statistics().spent.cost == 0.0
        await attempts.end(1, Usage(8, 8), "unheard-of")
        await attempts.end(2, Usage(8, 8))
        assert attempts.budget.statistics().spent == Spent(None, 3, 32)
        assert attempts.budget.statistics().reserved.cost == 0.0

    play(BudgetBounds(calls=10), scenario)


def test_a_reply_is_priced_by_who_gave_it_or_else_by_who_was_asked() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        for _ in range(3):
            attempts.start(ask())
        await steps()
        await attempts.end(0, Usage(5, 5), "m-2026-01-01")
        await attempts.end(1, Usage(5, 5), "")
        assert attempts.budget.statistics().spent.cost == usd(20)
        await attempts.end(2, Usage(50, 50), "dear")
        assert attempts.budget.statistics().spent.cost == usd(1020)
        assert attempts.budget.statistics().overshoot == Overshoot(1, 0, usd(900))

    play(BudgetBounds(cost=1.0), scenario)


def test_what_costs_nothing_fits_a_cost_of_zero() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        attempts.start(ask(model="free"))
        await steps()
        await attempts.end(0, Usage(8, 8), "free")
        assert attempts.budget.statistics().spent == Spent(0.0, 1, 16)
        assert reasons == []

    play(BudgetBounds(cost=0.0), scenario)


def test_earlier_processes_count() -> None:
    async def scenario(attempts: Attempts, reasons: list[Reason]) -> None:
        attempts.start(ask(88))
        attempts.start(ask(88))
        await steps()
        assert attempts.begun == [0]
        await attempts.end(0, Usage(8, 12))
        assert reasons == ["cost"]
        assert attempts.budget.statistics().spent == Spent(0.90002, 8, 1020)

    play(BudgetBounds(cost=0.9001), scenario, Spent(0.9, 7, 1000))


def test_an_unknown_cost_of_earlier_processes_cannot_be_bounded() -> None:
    with pytest.raises(UsageError, match="without a price"):
        Budget(BudgetBounds(cost=1.0), PRICES, Foreseen(), Spent(None, 7, 1000))
    statistics = Budget(BudgetBounds(calls=9), PRICES, Foreseen(), Spent(None, 7, 1000)).statistics()
    assert statistics.spent == Spent(None, 7, 1000)


@pytest.mark.parametrize(
    "bounds",
    [
        {"cost": -0.01},
        {"cost": float("nan")},
        {"cost": float("inf")},
        {"calls": 0},
        {"tokens": -5},
        {"seconds": 0.0},
        {"seconds": float("nan")},
    ],
)
def test_a_bound_that_is_none_is_refused(bounds: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        BudgetBounds(**bounds)
