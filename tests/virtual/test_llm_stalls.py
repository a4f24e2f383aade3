"""Attempts that are given up as lost, by the whole core in virtual time: which are, and which never."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest

from toolflow.dialogue.message import Message
from toolflow.llm.chat import CallKey, Completion, Request
from toolflow.llm.client import Client
from toolflow.llm.concurrency.adaptive import AdaptiveConcurrency
from toolflow.llm.concurrency.limit import FixedConcurrency
from toolflow.llm.gate import Gate
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.router import Replica, Router
from toolflow.llm.stall import Stalls
from toolflow.llm.tally import ClientStatistics
from toolflow.runtime.testing import run_virtual

Seconds = Callable[[Request, float, Random], float]
"""What an attempt takes by the request, and by the time at which it is sent."""

NEVER = 1e9
TIMEOUT = 300.0


@dataclass
class Endpoint:
    """Answers when the attempt's time is over, and not while it is frozen."""

    seconds: Seconds
    frozen: tuple[float, float] = (NEVER, NEVER)
    random: Random = field(default_factory=lambda: Random(5))

    async def send(self, request: Request) -> Completion:
        loop = asyncio.get_running_loop()
        begin, end = self.frozen
        sent = loop.time()
        done = sent + self.seconds(request, sent, self.random)
        if sent < end and done > begin:
            done += end - max(begin, sent)
        await asyncio.sleep(done - sent)
        return Completion(Message("assistant", "hello"))

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Played:
    seconds: float
    figures: ClientStatistics


def play(
    endpoint: Endpoint,
    *,
    calls: int = 3000,
    callers: int = 100,
    auto: bool = False,
    cut: bool = True,
    roles: tuple[str, ...] = ("user",),
    is_writing: Callable[[CallKey], bool] = lambda _: False,
) -> Played:
    """Have so many calls answered, each role's in turn."""

    async def main() -> Played:
        loop = asyncio.get_running_loop()
        numbers = iter(range(calls))

        def make_gate(*_: object) -> Gate:
            return Gate(AdaptiveConcurrency() if auto else FixedConcurrency(callers), clock=loop.time)

        router = Router([Replica("", endpoint)], make_gate, clock=loop.time)
        client = Client(
            router,
            RetryPolicy(attempt_timeout=TIMEOUT),
            stalls=Stalls() if cut else None,
            is_writing=is_writing,
            clock=loop.time,
        )

        async def call() -> None:
            for number in numbers:
                key = CallKey(number, roles[number % len(roles)], 0)
                await client.complete(Request(key, "m", (Message("user", "hello"),), seed=number))

        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(call())
        return Played(loop.time(), client.statistics())

    played = run_virtual(main())
    assert played.figures.completed == calls
    assert played.figures.failed == 0
    return played


def lognormal(sigma: float, median: float = 1.0) -> Seconds:
    return lambda _request, _now, random: median * random.lognormvariate(0.0, sigma)


def stalling(share: float, seconds: Seconds) -> Seconds:
    def draw(request: Request, now: float, random: Random) -> float:
        return NEVER if random.random() < share else seconds(request, now, random)

    return draw


@pytest.mark.parametrize(("sigma", "auto"), [(0.0, True), (0.3, False)])
def test_one_stall_in_a_hundred_costs_little_of_the_pace(sigma: float, *, auto: bool) -> None:
    calm = play(Endpoint(lognormal(sigma)), auto=auto, calls=8000)
    stalled = play(Endpoint(stalling(0.01, lognormal(sigma))), auto=auto, calls=8000)
    waited = play(Endpoint(stalling(0.01, lognormal(sigma))), auto=auto, calls=8000, cut=False)
    assert 60 <= stalled.figures.stalled <= 100
    assert stalled.seconds < 1.15 * calm.seconds
    assert waited.seconds > 4 * calm.seconds


@pytest.mark.parametrize("auto", [False, True])
@pytest.mark.parametrize(
    "seconds",
    [
        lognormal(0.0),
        lognormal(0.5),
        lognormal(1.0),
        lambda _request, _now, random: random.expovariate(0.5),
        lambda _request, _now, random: random.paretovariate(2.0),
    ],
    ids=["even", "spread", "wide", "exponential", "heavy tail"],
)
def test_slow_answers_are_hardly_ever_given_up(seconds: Seconds, *, auto: bool) -> None:
    played = play(Endpoint(seconds), calls=8_000, auto=auto)
    assert played.figures.stalled <= 0.001 * played.figures.completed


@pytest.mark.parametrize("rare", [0.01, 0.1])
@pytest.mark.parametrize("slower", [5.0, 20.0, 100.0])
def test_few_are_given_up_where_some_requests_take_much_longer(rare: float, slower: float) -> None:
    """The quick ones come back first, so that it looks as if the others never did."""

    def seconds(request: Request, _now: float, _random: Random) -> float:
        return slower if Random(request.seed).random() < rare else 1.0

    begun, whole = (play(Endpoint(seconds), calls=calls).figures.stalled for calls in (2_000, 8_000))
    assert begun <= 4 + 0.02 * 2_000
    assert whole <= 4 + 0.02 * 8_000
    assert whole - begun <= 0.004 * 6_000 or slower > 50


@pytest.mark.parametrize("auto", [False, True])
@pytest.mark.parametrize("slower", [3.0, 10.0, 100.0])
@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_nothing_is_given_up_where_the_endpoint_becomes_slow(
    sigma: float, slower: float, *, auto: bool
) -> None:
    def seconds(request: Request, now: float, random: Random) -> float:
        return min(TIMEOUT / 2, lognormal(sigma)(request, now, random) * (1.0 if now < 20.0 else slower))

    played = play(Endpoint(seconds), auto=auto)
    assert played.figures.stalled <= 2


@pytest.mark.parametrize("seconds", [2.0, 5.0, 30.0, 200.0])
@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_nothing_is_given_up_where_the_endpoint_freezes(sigma: float, seconds: float) -> None:
    played = play(Endpoint(lognormal(sigma), frozen=(15.3, 15.3 + seconds)))
    assert played.figures.stalled <= 2


def test_roles_that_take_long_are_measured_by_their_like() -> None:
    def seconds(request: Request, _now: float, random: Random) -> float:
        return random.lognormvariate(0.0, 0.2) * (30.0 if request.key.role == "planner" else 1.0)

    played = play(Endpoint(seconds), roles=("user", "assistant", "tool", "planner"))
    assert played.figures.stalled == 0


def test_an_answer_that_takes_very_long_is_had_in_the_end() -> None:
    def seconds(request: Request, _now: float, _random: Random) -> float:
        return 25.0 if request.key.dialogue == 2000 else 1.0

    played = play(Endpoint(seconds))
    assert 1 <= played.figures.stalled <= 4


def test_an_answer_that_is_being_written_is_not_given_up() -> None:
    def seconds(request: Request, _now: float, _random: Random) -> float:
        return 25.0 if request.key.dialogue == 2000 else 1.0

    played = play(Endpoint(seconds), is_writing=lambda key: key.dialogue == 2000)
    assert played.figures.stalled == 0


def test_the_last_call_is_not_waited_for_until_its_timeout() -> None:
    first: set[int] = set()

    def seconds(request: Request, _now: float, _random: Random) -> float:
        number = request.key.dialogue
        if number == 2999 and number not in first:
            first.add(number)
            return NEVER
        return 1.0

    played = play(Endpoint(seconds))
    assert played.figures.stalled == 1
    assert played.seconds < 35.0
