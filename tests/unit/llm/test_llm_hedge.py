"""Second attempts beside late ones, in virtual time: who wins, who pays, and what is given back."""

from __future__ import annotations

import asyncio

import pytest

from toolflow.dialogue.message import Message
from toolflow.errors import LLMError, ServerFailedError, UsageError
from toolflow.llm.budget.budget import Budget, BudgetBounds
from toolflow.llm.budget.prices import Prices
from toolflow.llm.chat import CallKey, Completion, Request, Sampling, Usage
from toolflow.llm.client import Client
from toolflow.llm.gate import Gate
from toolflow.llm.hedge import Hedging
from toolflow.llm.quota.estimate import TokenEstimator
from toolflow.llm.quota.limits import RateLimits
from toolflow.llm.quota.quota import Quota
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.router import Replica, Router
from toolflow.runtime.testing import run_virtual

STALL = 1000.0


class Endpoint:
    """Answers after a second, but for the attempts that are listed: by number, from 0."""

    def __init__(self, **special: float | LLMError) -> None:
        self.special = {int(name.removeprefix("a")): what for name, what in special.items()}
        self.sent: list[Request] = []
        self.cancelled: list[int] = []
        self.in_flight = 0

    async def send(self, request: Request) -> Completion:
        number = len(self.sent)
        self.sent.append(request)
        self.in_flight += 1
        what = self.special.get(number, 1.0)
        try:
            await asyncio.sleep(what if isinstance(what, float) else 1.0)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        finally:
            self.in_flight -= 1
        if isinstance(what, LLMError):
            raise what
        return Completion(Message("assistant", str(number)), usage=Usage(10, 5), model="m")

    async def close(self) -> None: ...


def request_of(number: int, role: str = "user") -> Request:
    return Request(
        CallKey(number, role, 0), "m", (Message("user", "hello"),), sampling=Sampling(max_tokens=8)
    )


def taught(share: float = 1.0, seconds: float = 1.0, calls: int = 40) -> Hedging:
    """Knows that an answer takes a second."""
    hedging = Hedging(share)
    for _ in range(calls):
        hedging.patience(request_of(0))
        hedging.answered(request_of(0), seconds)
    return hedging


def make(
    endpoints: list[Endpoint],
    hedging: Hedging,
    *,
    limit: int = 4,
    budget: Budget | None = None,
    timeout: float = STALL / 2,
) -> tuple[Client, list[Gate]]:
    clock = asyncio.get_running_loop().time
    gates: list[Gate] = []

    def make_gate(*_: object) -> Gate:
        quota = Quota(RateLimits(requests=600))
        gates.append(Gate(limit, quota=quota, clock=clock))
        return gates[-1]

    router = Router(
        [Replica(str(place), endpoint) for place, endpoint in enumerate(endpoints)], make_gate, clock=clock
    )
    policy = RetryPolicy(attempts=3, first_wait=0.1, attempt_timeout=timeout)
    return Client(router, policy, hedging=hedging, budget=budget, clock=clock), gates


def test_the_second_attempt_of_a_late_call_wins_and_the_first_is_cancelled() -> None:
    async def play() -> None:
        endpoint = Endpoint(a0=STALL)
        client, gates = make([endpoint], taught())
        completion = await client.complete(request_of(0))
        assert completion.message.content == "1"
        assert asyncio.get_running_loop().time() == pytest.approx(2.5)
        assert endpoint.cancelled == [0]
        assert endpoint.in_flight == 0
        assert endpoint.sent[0] == endpoint.sent[1]
        assert [(gate.statistics().in_flight, gate.statistics().waiting) for gate in gates] == [(0, 0)]
        assert (client.statistics().completed, client.statistics().hedged) == (1, 1)

    run_virtual(play())


def test_a_first_attempt_that_is_late_but_earlier_wins_and_the_second_is_cancelled() -> None:
    async def play() -> None:
        endpoint = Endpoint(a0=2.0)
        client, gates = make([endpoint], taught())
        completion = await client.complete(request_of(0))
        assert completion.message.content == "0"
        assert endpoint.cancelled == [1]
        assert gates[0].statistics().in_flight == 0
        assert client.statistics().completed == 1

    run_virtual(play())


class SlowToLeave(Endpoint):
    """Takes some turns of the loop to end what is cancelled, as a connection does."""

    async def send(self, request: Request) -> Completion:
        try:
            return await super().send(request)
        except asyncio.CancelledError:
            for _ in range(8):
                await asyncio.sleep(0)
            raise


@pytest.mark.parametrize("timeout", [2.4999, 2.5, 2.5001])
def test_an_answer_in_the_moment_of_the_timeout_is_taken(timeout: float) -> None:
    async def play() -> None:
        trouble: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: trouble.append(context))
        client, gates = make([SlowToLeave(a0=STALL)], taught(), timeout=timeout)
        assert (await client.complete(request_of(0))).message.content == "1"
        await asyncio.sleep(1)
        assert not trouble
        assert gates[0].statistics().in_flight == 0
        assert client.statistics().completed == 1

    run_virtual(play())


def test_a_call_that_is_not_late_is_sent_once() -> None:
    async def play() -> None:
        endpoint = Endpoint()
        client, _ = make([endpoint], taught())
        for number in range(5):
            await client.complete(request_of(number))
        assert len(endpoint.sent) == 5
        assert client.statistics().hedged == 0

    run_virtual(play())


def test_where_the_first_fails_late_the_second_is_waited_for() -> None:
    async def play() -> None:
        class FailsLate(Endpoint):
            async def send(self, request: Request) -> Completion:
                if not self.sent:
                    self.sent.append(request)
                    await asyncio.sleep(2.0)
                    raise ServerFailedError("late")
                return await super().send(request)

        endpoint = FailsLate()
        client, _ = make([endpoint], taught())
        assert (await client.complete(request_of(0))).message.content == "1"
        assert asyncio.get_running_loop().time() == pytest.approx(2.5)

    run_virtual(play())


def test_where_both_fail_the_call_is_tried_again() -> None:
    async def play() -> None:
        endpoint = Endpoint(a0=STALL, a1=ServerFailedError("no"))
        client, gates = make([endpoint], taught())
        assert (await client.complete(request_of(0))).message.content == "2"
        assert gates[0].statistics().in_flight == 0

    run_virtual(play())


def test_the_share_bounds_second_attempts() -> None:
    async def play() -> None:
        endpoint = Endpoint(**{f"a{number}": 3.0 for number in range(2000)})
        hedging = taught(share=0.02)
        client, _ = make([endpoint], hedging, limit=100)
        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(client.complete(request_of(number)))
        assert 1 <= client.statistics().hedged <= 0.02 * 240 + 1

    run_virtual(play())


def test_too_little_is_known_at_first_and_of_another_role() -> None:
    assert Hedging(1.0).patience(request_of(0)) is None
    assert taught(calls=10).patience(request_of(0)) is None
    hedging = taught()
    assert hedging.patience(request_of(0)) == pytest.approx(1.5)
    assert hedging.patience(request_of(0, "planner")) is None


def test_a_second_attempt_goes_to_another_endpoint() -> None:
    async def play() -> None:
        endpoints = [Endpoint(a0=STALL), Endpoint(a0=STALL)]
        client, _ = make([*endpoints], taught())
        task = asyncio.create_task(client.complete(request_of(0)))
        await asyncio.sleep(1.9)
        assert [len(endpoint.sent) for endpoint in endpoints] == [1, 1]
        task.cancel()
        await asyncio.wait([task])
        assert [endpoint.in_flight for endpoint in endpoints] == [0, 0]

    run_virtual(play())


def test_both_attempts_are_reserved_and_the_overtaken_one_stays_charged() -> None:
    async def play() -> None:
        clock = asyncio.get_running_loop().time
        budget = Budget(BudgetBounds(calls=10, tokens=10_000), Prices({}), TokenEstimator(), clock=clock)
        client, _ = make([Endpoint(a0=STALL)], taught(), budget=budget)
        task = asyncio.create_task(client.complete(request_of(0)))
        await asyncio.sleep(1.9)
        assert budget.statistics().in_flight == 2
        await task
        figures = budget.statistics()
        assert (figures.in_flight, figures.spent.calls, figures.uncounted) == (0, 2, 1)
        assert figures.spent.tokens > 15

    run_virtual(play())


def test_no_second_attempt_that_the_budget_does_not_bear() -> None:
    async def play() -> None:
        clock = asyncio.get_running_loop().time
        budget = Budget(BudgetBounds(calls=1), Prices({}), TokenEstimator(), clock=clock)
        endpoint = Endpoint(a0=4.0)
        client, _ = make([endpoint], taught(), budget=budget)
        assert (await client.complete(request_of(0))).message.content == "0"
        assert len(endpoint.sent) == 1
        assert budget.statistics().spent.calls == 1

    run_virtual(play())


@pytest.mark.parametrize("moment", [0.5, 1.5, 1.7, 2.4])
def test_cancelled_at_any_moment_nothing_is_held(moment: float) -> None:
    async def play() -> None:
        endpoint = Endpoint(a0=STALL)
        client, gates = make([endpoint], taught())
        task = asyncio.create_task(client.complete(request_of(0)))
        await asyncio.sleep(moment)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert endpoint.in_flight == 0
        assert (gates[0].statistics().in_flight, gates[0].statistics().waiting) == (0, 0)
        assert len(asyncio.all_tasks()) == 1

    run_virtual(play())


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="cannot be sent twice"):
        Hedging(share)
