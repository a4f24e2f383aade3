"""The gate, on schedules that hypothesis draws: never too many in flight, right order, no permit lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reachable import reachable
from toolflow.errors import RateLimitedError, UsageError
from toolflow.llm.chat import CallKey, Request
from toolflow.llm.concurrency.adaptive import AdaptiveConcurrency
from toolflow.llm.gate import Gate, GateStatistics
from toolflow.llm.outcome import Outcome
from toolflow.llm.quota.limits import RateLimits
from toolflow.llm.quota.quota import Quota
from toolflow.runtime.testing import run_virtual

Operation = tuple[str, int]

operations = st.lists(
    st.tuples(st.sampled_from(["ask", "step", "leave", "cancel"]), st.integers(0, 3)), max_size=60
)


def request_of(dialogue: int) -> Request:
    return Request(CallKey(dialogue, "user", 0), "m", ())


async def settle() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


class Crowd:
    """Tasks that take a permit and hold it until told to leave."""

    def __init__(self, limit: int) -> None:
        self.gate = Gate(limit)
        self.tasks: list[asyncio.Task[None]] = []
        self.leave: list[asyncio.Event] = []
        self.dialogues: list[int] = []
        self.granted: list[int] = []
        self.holding: set[int] = set()
        self.most = 0

    def ask(self, dialogue: int) -> None:
        number = len(self.tasks)
        self.dialogues.append(dialogue)
        self.leave.append(asyncio.Event())
        self.tasks.append(asyncio.create_task(self._hold(number, dialogue)))

    async def _hold(self, number: int, dialogue: int) -> None:
        async with self.gate.permit(request_of(dialogue)):
            self.granted.append(number)
            self.holding.add(number)
            self.most = max(self.most, len(self.holding))
            try:
                await self.leave[number].wait()
            finally:
                self.holding.discard(number)

    def waiting(self) -> list[int]:
        """Who has not noticed a permit yet, next in turn first."""
        unserved = [number for number in range(len(self.tasks)) if number not in self.granted]
        alive = [number for number in unserved if not self.tasks[number].cancelling()]
        return sorted(alive, key=lambda number: (self.dialogues[number], number))

    async def finish(self) -> None:
        """Let everybody go on; whoever is still waiting then has been forgotten."""
        for event in self.leave:
            event.set()
        for _ in range(4 * len(self.tasks) + 8):
            await asyncio.sleep(0)
        forgotten = [task for task in self.tasks if not task.done()]
        for task in forgotten:
            task.cancel()
        assert not forgotten


@settings(deadline=None)
@given(limit=st.integers(1, 4), schedule=operations)
def test_permits_go_to_the_oldest_dialogue_and_in_order_inside_it(
    limit: int, schedule: Sequence[Operation]
) -> None:
    async def play() -> None:
        crowd = Crowd(limit)
        holding: list[int] = []
        waiting: list[int] = []
        granted: list[int] = []

        def hand_on() -> None:
            while waiting and len(holding) < limit:
                first = min(waiting, key=lambda number: (crowd.dialogues[number], number))
                waiting.remove(first)
                holding.append(first)
                granted.append(first)

        for name, number in schedule:
            if name == "ask":
                waiting.append(len(crowd.tasks))
                crowd.ask(number)
            elif name == "leave" and holding:
                crowd.leave[holding.pop(number % len(holding))].set()
            elif name == "cancel" and (alive := holding + waiting):
                chosen = alive[number % len(alive)]
                crowd.tasks[chosen].cancel()
                (holding if chosen in holding else waiting).remove(chosen)
            hand_on()
            await settle()
            assert crowd.granted == granted
            assert crowd.gate.statistics() == GateStatistics(limit, len(holding), len(waiting))
        await crowd.finish()

    asyncio.run(play())


@settings(deadline=None, max_examples=300)
@given(limit=st.integers(1, 3), schedule=operations)
def test_no_permit_is_lost_or_doubled_whenever_a_cancellation_comes(
    limit: int, schedule: Sequence[Operation]
) -> None:
    """Nothing settles between the operations here: cancellations meet permits that are on their way."""

    async def play() -> None:
        crowd = Crowd(limit)
        cancelled: set[int] = set()
        for name, number in schedule:
            holding, waiting = sorted(crowd.holding), crowd.waiting()
            if name == "ask":
                crowd.ask(number)
            elif name == "leave" and holding:
                crowd.leave[holding[number % len(holding)]].set()
                # One step, and the permit is on its way to the next in turn.
                await asyncio.sleep(0)
            elif name == "cancel" and waiting:
                chosen = waiting[max(0, number - 2) % len(waiting)]
                cancelled.add(chosen)
                crowd.tasks[chosen].cancel()
            elif name == "step":
                await asyncio.sleep(0)
        await crowd.finish()
        assert crowd.most <= limit
        assert crowd.gate.statistics() == GateStatistics(limit, 0, 0)
        assert set(range(len(crowd.tasks))) - cancelled <= set(crowd.granted)
        assert len(crowd.granted) == len(set(crowd.granted))

    asyncio.run(play())


def test_a_permit_granted_in_the_moment_of_cancellation_passes_on() -> None:
    async def play() -> None:
        gate = Gate(1)
        first = await gate.take(request_of(0))
        granted, next_in_line = (asyncio.create_task(gate.take(request_of(place))) for place in (1, 2))
        await settle()
        gate.give_back(first, None)
        granted.cancel()
        await settle()
        assert granted.cancelled()
        assert next_in_line.done()
        assert gate.statistics() == GateStatistics(1, 1, 0)

    asyncio.run(play())


def test_one_release_wakes_one_waiter() -> None:
    async def play() -> None:
        crowd = Crowd(2)
        for dialogue in range(5):
            crowd.ask(dialogue)
        await settle()
        assert repr(crowd.gate) == "<Gate limit=2 in_flight=2 waiting=3>"
        crowd.leave[1].set()
        await settle()
        assert crowd.granted == [0, 1, 2]
        assert crowd.gate.statistics() == GateStatistics(2, 2, 2)
        await crowd.finish()

    asyncio.run(play())


def test_a_mass_cancellation_does_not_stay_in_memory() -> None:
    """Behind somebody who waits on: who left never comes to the head of the queue."""

    async def play() -> None:
        crowd = Crowd(1)
        for _ in range(2):
            crowd.ask(0)
        await settle()
        before = reachable(crowd.gate)
        for _ in range(100):
            crowd.ask(0)
        await settle()
        assert reachable(crowd.gate) > before + 100
        for task in crowd.tasks[2:]:
            task.cancel()
        await settle()
        assert crowd.gate.statistics() == GateStatistics(1, 1, 1)
        assert reachable(crowd.gate) <= before + 10
        await crowd.finish()

    asyncio.run(play())


def test_an_error_inside_gives_the_permit_back() -> None:
    async def play() -> None:
        gate = Gate(1)
        with pytest.raises(ValueError, match="inside"):
            async with gate.permit(request_of(0)):
                raise ValueError("inside")
        assert gate.statistics() == GateStatistics(1, 0, 0)

    asyncio.run(play())


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="lets no call through"):
        Gate(0)


def test_a_limit_set_by_hand_is_exact_until_it_is_auto_again() -> None:
    async def play() -> None:
        now = 0.0
        gate = Gate(AdaptiveConcurrency(start=4, most=64), clock=lambda: now)
        gate.set_limit(2)
        taken = [asyncio.create_task(gate.take(request_of(number))) for number in range(6)]
        await settle()
        assert gate.statistics().in_flight == 2
        for _ in range(3):
            for task in [task for task in taken if task.done()]:
                taken.remove(task)
                gate.give_back(task.result(), Outcome(0.01, error=RateLimitedError("429")))
            await settle()
            assert gate.statistics().limit == 2
        gate.set_limit("auto")
        crowd = [asyncio.create_task(gate.take(request_of(number))) for number in range(50)]
        for _ in range(20):
            await settle()
            now += 1.0
            for task in [task for task in crowd if task.done()]:
                crowd.remove(task)
                gate.give_back(task.result(), Outcome(1.0))
        assert gate.statistics().limit > 2
        assert [change.reason for change in gate.statistics().changes][:2] == [
            "set by hand",
            "set by hand: auto",
        ]

    asyncio.run(play())


def test_raising_the_limit_lets_the_waiting_go_and_the_most_bounds_it() -> None:
    async def play() -> None:
        gate = Gate(1, most=3)
        taken = [asyncio.create_task(gate.take(request_of(number))) for number in range(6)]
        await settle()
        gate.set_limit(50)
        await settle()
        assert sum(task.done() for task in taken) == 3
        with pytest.raises(UsageError, match="lets no call through"):
            gate.set_limit(0)
        for task in taken:
            task.cancel()

    asyncio.run(play())


@pytest.mark.parametrize(("rpm", "in_flight", "after"), [(6, 6, 32), (None, 6, 5), (31, 31, 30)])
def test_a_refusal_for_the_rate_says_nothing_of_a_limit_that_was_not_in_use(
    rpm: int | None, in_flight: int, after: int
) -> None:
    async def play() -> None:
        now = 0.0
        quota = Quota(RateLimits(requests=rpm))
        gate = Gate(AdaptiveConcurrency(start=32), quota=quota, clock=lambda: now)
        tasks = [asyncio.create_task(gate.take(request_of(number))) for number in range(in_flight)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            now += 60.0 / 32
            gate.pump()
        now += 0.01
        gate.give_back(tasks[-1].result(), Outcome(0.01, error=RateLimitedError("429", retry_after=1.0)))
        assert gate.statistics().limit == after

    run_virtual(play())
