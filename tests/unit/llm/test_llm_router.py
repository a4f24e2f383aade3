"""Which endpoint an attempt goes to, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from toolflow.dialogue.message import Message
from toolflow.errors import (
    AuthenticationError,
    ConnectionFailedError,
    PermanentLLMError,
    ServerFailedError,
    UsageError,
)
from toolflow.llm.chat import CallKey, Completion, Request, Usage
from toolflow.llm.client import Client
from toolflow.llm.gate import Gate
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.router import Replica, Router
from toolflow.runtime.testing import run_virtual


class Endpoint:
    """Answers after a second, unless it is down; knows which models it has."""

    def __init__(self, *, only: str | None = None) -> None:
        self.down = False
        self.only = only
        self.asked: Counter[int] = Counter()
        self.closed = False

    async def send(self, request: Request) -> Completion:
        if self.down:
            raise ConnectionFailedError("refused")
        await asyncio.sleep(1.0)
        if self.down:
            raise ConnectionFailedError("reset")
        if self.only is not None and request.model != self.only:
            raise PermanentLLMError(f"the filter of {request.model} stopped it")
        self.asked[request.key.dialogue] += 1
        return Completion(Message("assistant", "hi"), usage=Usage(1, 1), model=request.model)

    async def close(self) -> None:
        self.closed = True


def request_of(dialogue: int, position: int = 0, model: str = "m") -> Request:
    return Request(CallKey(dialogue, "user", position), model, ())


def make(endpoints: list[Endpoint], limit: int = 10) -> tuple[Client, Router]:
    clock = asyncio.get_running_loop().time
    router = Router(
        [Replica(str(place), endpoint) for place, endpoint in enumerate(endpoints)],
        lambda breaker: Gate(limit, breaker=breaker, clock=clock),
        clock=clock,
    )
    return Client(router, RetryPolicy(attempts=30, first_wait=0.2), clock=clock), router


async def converse(client: Client, dialogues: range, calls: int) -> None:
    async def play(dialogue: int) -> None:
        for position in range(calls):
            await client.complete(request_of(dialogue, position))

    async with asyncio.TaskGroup() as group:
        for dialogue in dialogues:
            group.create_task(play(dialogue))


def test_dialogues_stay_where_they_began_and_the_load_is_even() -> None:
    async def play() -> None:
        endpoints = [Endpoint() for _ in range(3)]
        client, router = make(endpoints)
        await converse(client, range(30), 20)
        figures = router.statistics()
        at_home, moved = sum(one.at_home for one in figures), sum(one.moved for one in figures)
        assert at_home / (at_home + moved) >= 0.95
        assert min(one.answered for one in figures) >= 0.6 * 600 / 3

    run_virtual(play())


def test_an_endpoint_that_dies_and_returns_loses_nothing() -> None:
    async def play() -> None:
        endpoints = [Endpoint() for _ in range(3)]
        client, router = make(endpoints)

        async def script() -> None:
            await asyncio.sleep(20)
            endpoints[0].down = True
            await asyncio.sleep(40)
            assert router.statistics()[0].breaker != "closed"
            assert router.statistics()[0].waiting == 0
            endpoints[0].down = False

        scripted = asyncio.create_task(script())
        await converse(client, range(30), 40)
        await scripted
        before = endpoints[0].asked.total()
        await converse(client, range(100, 160), 40)
        assert client.statistics().completed == 30 * 40 + 60 * 40
        assert client.statistics().failed == 0
        assert endpoints[0].asked.total() > before
        assert router.statistics()[0].breaker == "closed"

    run_virtual(play())


def test_with_one_endpoint_an_outage_spends_no_retries() -> None:
    async def play() -> None:
        endpoint = Endpoint()
        client, _ = make([endpoint])
        endpoint.down = True
        calls = asyncio.create_task(converse(client, range(10), 2))
        await asyncio.sleep(200)
        attempts = client.statistics().attempts
        endpoint.down = False
        await calls
        assert attempts < 60
        assert client.statistics().failed == 0

    run_virtual(play())


def test_a_weight_draws_its_share() -> None:
    async def play() -> None:
        endpoints = [Endpoint(), Endpoint()]
        clock = asyncio.get_running_loop().time
        replicas = [Replica("large", endpoints[0], 3.0), Replica("small", endpoints[1])]
        router = Router(replicas, lambda breaker: Gate(100, breaker=breaker, clock=clock), clock=clock)
        await converse(Client(router, clock=clock), range(80), 10)
        assert 2 <= endpoints[0].asked.total() / endpoints[1].asked.total() <= 4.5

    run_virtual(play())


def test_a_fallback_model_answers_what_the_first_one_will_not() -> None:
    async def play() -> None:
        endpoint = Endpoint(only="second")
        client = Client(Router.single(endpoint, Gate(4)), fallbacks=("second", "third"))
        completion = await client.complete(request_of(0, model="first"))
        assert completion.model == "second"
        await client.close()
        assert endpoint.closed

    run_virtual(play())


def test_a_refused_key_is_no_reason_to_ask_another_model() -> None:
    class Refusing(Endpoint):
        def __init__(self) -> None:
            super().__init__()
            self.models: list[str] = []

        async def send(self, request: Request) -> Completion:
            self.models.append(request.model)
            raise AuthenticationError("401")

    async def play() -> None:
        endpoint = Refusing()
        client = Client(Router.single(endpoint, Gate(4)), fallbacks=("second",))
        with pytest.raises(AuthenticationError):
            await client.complete(request_of(0))
        assert endpoint.models == ["m"]
        assert client.statistics().failed == 1

    run_virtual(play())


def test_a_poisoned_request_fails_alone() -> None:
    class Picky(Endpoint):
        async def send(self, request: Request) -> Completion:
            if request.key.dialogue == 3:
                raise ServerFailedError("this prompt crashes the server")
            return await super().send(request)

    async def play() -> None:
        clock = asyncio.get_running_loop().time
        router = Router(
            [Replica("one", Picky())], lambda breaker: Gate(4, breaker=breaker, clock=clock), clock=clock
        )
        client = Client(router, RetryPolicy(attempts=3, first_wait=0.1), clock=clock)
        calls = (client.complete(request_of(dialogue)) for dialogue in range(10))
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(answer, ServerFailedError) for answer in answers] == [
            dialogue == 3 for dialogue in range(10)
        ]

    run_virtual(play())


def test_a_probe_of_one_model_frees_the_calls_of_another() -> None:
    async def play() -> None:
        endpoint = Endpoint()
        client, router = make([endpoint], limit=4)
        endpoint.down = True
        first = asyncio.create_task(converse(client, range(12), 1))
        await asyncio.sleep(30)
        assert router.statistics()[0].breaker != "closed"
        others = [asyncio.create_task(client.complete(request_of(99, n, "other"))) for n in range(3)]
        await asyncio.sleep(0.1)
        endpoint.down = False
        async with asyncio.timeout(120):
            await first
            await asyncio.gather(*others)

    run_virtual(play())


def test_who_is_cancelled_while_being_turned_away_is_counted_once() -> None:
    async def play() -> None:
        gate = Gate(1)
        first = await gate.take(request_of(0))
        waiting = [asyncio.create_task(gate.take(request_of(n))) for n in (1, 2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        gate.turn_away()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert gate.waiting == 0
        later = asyncio.create_task(gate.take(request_of(3)))
        await asyncio.sleep(0)
        gate.give_back(first, None)
        async with asyncio.timeout(1):
            await later

    run_virtual(play())


def test_a_limit_set_by_hand_reaches_every_gate_those_of_later_models_too() -> None:
    async def play() -> None:
        client, router = make([Endpoint(), Endpoint()])
        await converse(client, range(4), 1)
        with pytest.raises(UsageError, match="lets no call through"):
            client.set_limit(0)
        client.set_limit(3)
        assert [one.limit for one in router.statistics()] == [3, 3]
        for dialogue in range(8):
            await client.complete(request_of(dialogue, model="other"))
        assert [one.limit for one in router.statistics()] == [6, 6]
        assert client.statistics().limit == 12

    run_virtual(play())


def test_limits_are_scaled_each_from_its_own_those_of_later_models_too() -> None:
    async def play() -> None:
        limits = iter((40, 4, 100))
        clock = asyncio.get_running_loop().time
        router = Router(
            [Replica("a", Endpoint())], lambda _: Gate(next(limits), most=200, clock=clock), clock=clock
        )
        client = Client(router, clock=clock)
        large, small = (router.route(request_of(0, model=model)).gate for model in ("large", "small"))

        def held() -> tuple[int, int]:
            return large.statistics().limit, small.statistics().limit

        client.scale_limit(1.25)
        assert held() == (50, 5)
        for _ in range(2):
            client.scale_limit(0.8)
        assert held() == (32, 3)
        later = router.route(request_of(0, model="later")).gate
        assert later.statistics().limit == 80
        client.set_limit("auto")
        assert held() == (32, 3), "they follow the endpoint from where they are"
        for _ in range(20):
            client.scale_limit(0.8)
        assert held() == (1, 1)
        client.scale_limit(1.25)
        assert held() == (2, 2)
        for _ in range(40):
            client.scale_limit(1.25)
        assert held() == (200, 200)

    run_virtual(play())


def test_a_limit_set_before_the_first_call_holds() -> None:
    async def play() -> None:
        client, _ = make([Endpoint()])
        client.set_limit(3)
        assert client.statistics().limit == 3

    run_virtual(play())
