"""The LLM core as a whole, in virtual time: router, gates, quotas, breakers, budget, second attempts.

Whatever comes back from the endpoints, whoever is cancelled and when: no limit is passed, nobody is
forgotten, older dialogues go first, and nothing stays held. A call that waits for what cannot come is a
deadlock, and the loop of virtual time reports it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolflow.clock import Clock
from toolflow.dialogue.message import Message
from toolflow.errors import (
    ConnectionFailedError,
    LLMError,
    MalformedCompletionError,
    PermanentLLMError,
    RateLimitedError,
    ServerFailedError,
)
from toolflow.llm.breaker import Breaker
from toolflow.llm.budget.budget import Budget, BudgetBounds
from toolflow.llm.budget.prices import Prices
from toolflow.llm.chat import CallKey, Completion, Request, Sampling, Usage
from toolflow.llm.client import Client
from toolflow.llm.concurrency.adaptive import AdaptiveConcurrency
from toolflow.llm.concurrency.limit import ConcurrencyLimit
from toolflow.llm.gate import Gate
from toolflow.llm.hedge import Hedging
from toolflow.llm.outcome import Outcome
from toolflow.llm.permit import Lease
from toolflow.llm.quota.estimate import TokenEstimator
from toolflow.llm.quota.limits import RateLimits
from toolflow.llm.quota.quota import Quota, Reservation
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.router import Replica, Router
from toolflow.llm.stall import Stalls
from toolflow.runtime.testing import VirtualTimeLoop, run_virtual

PATIENCE = 40.0
"""Seconds that an attempt may take."""

Answer = tuple[float, str]
"""Seconds, and what comes then."""

answers = st.tuples(
    st.sampled_from([0.0, 0.01, 1.0, 1.0, 1.0, 3.0]),
    st.sampled_from(["good"] * 8 + ["500", "reset", "429", "429 later", "malformed", "400", "stall"]),
)


@dataclass(frozen=True)
class Call:
    """One call of the plan: whose it is, when it is made, and when cancelled: so many steps after a time."""

    dialogue: int
    at: float
    cancelled: tuple[float, int] | None


calls = st.builds(
    Call,
    dialogue=st.integers(0, 5),
    at=st.sampled_from([0.0, 0.0, 0.5, 2.0, 30.0]),
    cancelled=st.none() | st.tuples(st.sampled_from([0.0, 0.0, 1.0, 1.5, 3.0, 20.0]), st.integers(0, 40)),
)


@dataclass(frozen=True)
class Plan:
    """What happens."""

    calls: list[Call]
    answers: list[Answer]
    endpoints: int
    limit: ConcurrencyLimit
    most: int
    rpm: int | None
    budget: int | None
    hedge: bool
    outage: tuple[float, float] | None


plans = st.builds(
    Plan,
    calls=st.lists(calls, min_size=1, max_size=14),
    answers=st.lists(answers, min_size=1, max_size=40),
    endpoints=st.integers(1, 3),
    limit=st.sampled_from([1, 2, 3, "auto"]),
    most=st.integers(3, 6),
    rpm=st.none() | st.integers(2, 12),
    budget=st.none() | st.integers(1, 30),
    hedge=st.booleans(),
    outage=st.none() | st.tuples(st.sampled_from([0.0, 1.0, 5.0]), st.sampled_from([2.0, 30.0])),
)


@dataclass
class Endpoint:
    """Answers by the plan, one answer after the other whoever asks."""

    plan: deque[Answer]
    clock: Clock
    outage: tuple[float, float] | None = None
    sent: list[float] = field(default_factory=list[float])
    in_flight: int = 0
    most: int = 0

    async def send(self, request: Request) -> Completion:
        self.sent.append(self.clock())
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            return await self._answer(request)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: Request) -> Completion:
        if self.outage is not None and self.outage[0] <= self.clock() < sum(self.outage):
            raise ConnectionFailedError("refused")
        seconds, what = self.plan.popleft() if self.plan else (1.0, "good")
        if what == "stall":
            await asyncio.sleep(10 * PATIENCE)
        await asyncio.sleep(seconds)
        failures: dict[str, LLMError] = {
            "500": ServerFailedError("500"),
            "reset": ConnectionFailedError("reset"),
            "429": RateLimitedError("429"),
            "429 later": RateLimitedError("429", retry_after=5.0),
            "malformed": MalformedCompletionError("empty", prompt_tokens=10, completion_tokens=3),
            "400": PermanentLLMError("400"),
        }
        if what in failures:
            raise failures[what]
        return Completion(Message("assistant", "hi"), usage=Usage(12, 4), model=request.model)

    async def close(self) -> None: ...


@dataclass
class Waiting:
    """Somebody in the queue of a gate."""

    request: Request
    task: asyncio.Task[object] | None
    gone: bool = False


class WatchedQuota(Quota):
    """Remembers what was reserved when, and is there to see that whoever goes is the first in turn."""

    def __init__(self, rpm: int | None) -> None:
        super().__init__(RateLimits(requests=rpm))
        self.reserved: list[float] = []
        self.open = 0
        self.queue: list[Waiting] = []

    def reserve(self, request: Request, now: float) -> Reservation:
        waiting = [one for one in self.queue if not one.gone and not (one.task and one.task.cancelling())]
        first = min(waiting, key=lambda one: one.request.key.dialogue)  # the earliest of equals
        assert request.key == first.request.key, "somebody overtook"
        first.gone = True
        self.reserved.append(now)
        self.open += 1
        return super().reserve(request, now)

    def settle(self, reservation: Reservation, request: Request, outcome: Outcome | None, now: float) -> None:
        self.open -= 1
        super().settle(reservation, request, outcome, now)


class WatchedGate(Gate):
    """Tells its quota who waits."""

    def __init__(self, plan: Plan, breaker: Breaker, clock: Clock) -> None:
        self.quota = WatchedQuota(plan.rpm)
        adaptive = AdaptiveConcurrency(start=min(2, plan.most), most=plan.most)
        super().__init__(
            adaptive if plan.limit == "auto" else plan.limit,
            most=plan.most,
            quota=self.quota,
            breaker=breaker,
            clock=clock,
        )

    def permit(self, request: Request) -> AbstractAsyncContextManager[Lease]:
        return self._watched(super().permit(request), request)

    @asynccontextmanager
    async def _watched(
        self, permit: AbstractAsyncContextManager[Lease], request: Request
    ) -> AsyncGenerator[Lease]:
        entry = Waiting(request, asyncio.current_task())
        self.quota.queue.append(entry)
        try:
            async with permit as lease:
                yield lease
        finally:
            self.quota.queue.remove(entry)

    def turn_away(self) -> None:
        for entry in self.quota.queue:
            entry.gone = True
        super().turn_away()


class Core:
    """All of it, put together as a run does."""

    def __init__(self, plan: Plan) -> None:
        self.clock = asyncio.get_running_loop().time
        self.plan = plan
        self.gates: list[WatchedGate] = []
        answers = deque(plan.answers)
        self.endpoints = [Endpoint(answers, self.clock) for _ in range(plan.endpoints)]
        self.endpoints[0].outage = plan.outage
        self.router = Router(
            [Replica(str(place), endpoint) for place, endpoint in enumerate(self.endpoints)],
            self._make_gate,
            clock=self.clock,
        )
        estimator = TokenEstimator()
        self.budget = Budget(BudgetBounds(calls=plan.budget), Prices({}), estimator, clock=self.clock)
        hedging = Hedging(1.0) if plan.hedge else None
        self.client = Client(
            self.router,
            RetryPolicy(attempts=6, resamples=2, first_wait=0.5, attempt_timeout=PATIENCE, deadline=1e6),
            budget=self.budget,
            hedging=hedging,
            stalls=Stalls(),
            clock=self.clock,
        )
        if hedging is not None:  # An answer takes a second, as far as it knows.
            for _ in range(40):
                hedging.patience(request_of(0, 0))
                hedging.answered(request_of(0, 0), 1.0)

    def _make_gate(self, breaker: Breaker) -> Gate:
        self.gates.append(WatchedGate(self.plan, breaker, self.clock))
        return self.gates[-1]

    async def play(self) -> list[asyncio.Task[Completion]]:
        """Make all calls; they are over then, or wait for a budget that is spent."""
        tasks = [asyncio.create_task(self._call(number, call)) for number, call in enumerate(self.plan.calls)]
        cancellers = [
            asyncio.create_task(cancel(task, call.at + call.cancelled[0], call.cancelled[1]))
            for task, call in zip(tasks, self.plan.calls, strict=True)
            if call.cancelled is not None
        ]
        exhausted = asyncio.create_task(self.budget.drained())
        everything = asyncio.create_task(asyncio.wait((*tasks, *cancellers)))
        await asyncio.wait((everything, exhausted), return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, exhausted):
            task.cancel()
        await asyncio.wait((everything, exhausted))
        return tasks

    async def _call(self, number: int, call: Call) -> Completion:
        await asyncio.sleep(call.at)
        return await self.client.complete(request_of(call.dialogue, number))


async def cancel(task: asyncio.Task[Completion], at: float, steps: int) -> None:
    await asyncio.sleep(at)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()


def request_of(dialogue: int, number: int) -> Request:
    key = CallKey(dialogue, "user", number)
    return Request(key, "m", (Message("user", "hi"),), sampling=Sampling(max_tokens=8), seed=number)


def most_in_a_window(times: Sequence[float], seconds: float) -> int:
    return max((sum(begin <= at < begin + seconds for at in times) for begin in times), default=0)


@settings(max_examples=300)
@given(plans)
def test_whatever_happens_no_limit_is_passed_nobody_is_forgotten_and_nothing_stays_held(plan: Plan) -> None:
    async def play() -> None:
        core = Core(plan)
        tasks = await core.play()
        spent = core.budget.statistics()
        assert all(task.done() for task in tasks)
        for task, call in zip(tasks, plan.calls, strict=True):
            if task.cancelled():
                assert call.cancelled is not None or spent.exhausted is not None
            elif (error := task.exception()) is not None:
                assert isinstance(error, LLMError)
        # Nothing stays held.
        assert len(asyncio.all_tasks()) == 1
        for gate in core.gates:
            figures = gate.statistics()
            assert (figures.in_flight, figures.waiting, gate.quota.open) == (0, 0, 0)
        assert [endpoint.in_flight for endpoint in core.endpoints] == [0] * plan.endpoints
        assert (spent.in_flight, spent.waiting, spent.reserved.calls) == (0, 0, 0)
        # No limit is passed.
        most = plan.most if plan.limit == "auto" else plan.limit
        assert max(endpoint.most for endpoint in core.endpoints) <= most
        sent = [at for endpoint in core.endpoints for at in endpoint.sent]
        if plan.rpm is not None:
            assert all(most_in_a_window(endpoint.sent, 60.0) <= plan.rpm for endpoint in core.endpoints)
        if plan.budget is not None:
            assert len(sent) <= plan.budget

    run_virtual(play())


@settings(max_examples=60)
@given(plans, st.data())
def test_limits_set_by_hand_hold_from_then_on(plan: Plan, data: st.DataObject) -> None:
    choices: list[ConcurrencyLimit] = [1, 2, 5, "auto"]
    limits = data.draw(st.lists(st.sampled_from(choices), min_size=1, max_size=4))

    async def play() -> None:
        core = Core(plan)

        async def change() -> None:
            for limit in limits:
                await asyncio.sleep(1.5)
                core.client.set_limit(limit)
                if isinstance(limit, int):
                    assert all(gate.statistics().limit == min(limit, plan.most) for gate in core.gates)
                    before = [endpoint.in_flight for endpoint in core.endpoints]
                    await asyncio.sleep(0.5)
                    for endpoint, held in zip(core.endpoints, before, strict=True):
                        assert endpoint.in_flight <= max(held, min(limit, plan.most))

        changing = asyncio.create_task(change())
        await core.play()
        await changing
        assert all(gate.statistics().in_flight == 0 for gate in core.gates)

    run_virtual(play())


class CancellingLoop(VirtualTimeLoop):
    """Cancels a task in one certain turn of the loop."""

    def __init__(self, turn: int) -> None:
        super().__init__()
        self.turns = 0
        self.turn = turn
        self.victim: asyncio.Task[Completion] | None = None

    def _run_once(self) -> None:
        self.turns += 1
        if self.turns == self.turn and self.victim is not None:
            self.victim.cancel()
        super()._run_once()  # type: ignore[misc]


@pytest.mark.parametrize("hedge", [False, True])
@pytest.mark.parametrize("victim", [0, 1, 2])
@pytest.mark.parametrize("rpm", [None, 2])
def test_cancelled_in_any_turn_of_the_loop_a_call_gives_all_back(
    rpm: int | None, victim: int, hedge: bool
) -> None:
    """Every await of a call is met: three calls share one permit, or a second attempt's two."""
    answers = [(2.0, "good"), (1.0, "500"), (3.0, "good"), (0.0, "malformed")]
    plan = Plan(
        [Call(number, 0.0, None) for number in range(3)],
        answers,
        endpoints=1,
        limit=2 if hedge else 1,
        most=3,
        rpm=rpm,
        budget=12,
        hedge=hedge,
        outage=None,
    )

    async def play() -> int:
        core = Core(plan)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CancellingLoop)
        tasks = [
            asyncio.create_task(core.client.complete(request_of(call.dialogue, number)))
            for number, call in enumerate(plan.calls)
        ]
        loop.victim = tasks[victim]
        await asyncio.wait(tasks)
        others = [task for task in tasks if task is not tasks[victim]]
        assert all(task.result().message.content == "hi" for task in others)
        assert len(asyncio.all_tasks()) == 1
        figures = core.gates[0].statistics()
        assert (figures.in_flight, figures.waiting, core.gates[0].quota.open) == (0, 0, 0)
        spent = core.budget.statistics()
        assert (spent.in_flight, spent.waiting, spent.reserved.calls) == (0, 0, 0)
        return loop.turns

    def turns(turn: int) -> int:
        with asyncio.Runner(loop_factory=lambda: CancellingLoop(turn)) as runner:
            return runner.run(play())

    last = turns(-1)
    assert last > 10
    for turn in range(1, last):
        turns(turn)
