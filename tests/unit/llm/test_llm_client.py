"""The client over a scripted provider: what it sends again, when it pauses, what it counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from toolflow.dialogue.message import Message
from toolflow.errors import (
    ConnectionFailedError,
    FatalLLMError,
    LLMError,
    MalformedCompletionError,
    PermanentLLMError,
    RateLimitedError,
    ServerFailedError,
)
from toolflow.llm.chat import CallKey, Completion, Request, Usage
from toolflow.llm.client import Client
from toolflow.llm.gate import Gate, GateStatistics
from toolflow.llm.outcome import Outcome
from toolflow.llm.permit import Lease
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.router import Router
from toolflow.llm.testing import ScriptedProvider

REQUEST = Request(CallKey(3, "user", 1), "m", (Message("user", "hello"),), seed=11)
ANSWER = Completion(Message("assistant", "hi"), usage=Usage(7, 2))


class Time:
    """A clock that moves only when told to, and a sleep that moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.on_sleep: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        self.on_sleep()


class RecordingGate(Gate):
    """Lets everyone in and keeps what the leases were told."""

    def __init__(self) -> None:
        super().__init__(1)
        self.outcomes: list[Outcome | None] = []

    def permit(self, request: Request) -> AbstractAsyncContextManager[Lease]:
        return self._permit()

    @asynccontextmanager
    async def _permit(self) -> AsyncGenerator[Lease]:
        lease = RecordingLease()
        try:
            yield lease
        finally:
            self.outcomes.append(lease.outcome)


class RecordingLease:
    outcome: Outcome | None = None

    def settle(self, outcome: Outcome) -> None:
        self.outcome = outcome


def failing_first(*failures: LLMError) -> ScriptedProvider:
    """Fails once with each of the failures, then answers."""
    left = list(failures)

    def script(request: Request) -> Completion:
        if left:
            raise left.pop(0)
        return ANSWER

    return ScriptedProvider(script)


def ask(
    provider: ScriptedProvider, policy: RetryPolicy | None = None, request: Request = REQUEST
) -> tuple[Completion | LLMError, Client, Time]:
    time = Time()
    client = Client(Router.single(provider, Gate(1)), policy, sleep=time.sleep, clock=time)

    async def play() -> Completion | LLMError:
        try:
            return await client.complete(request)
        except LLMError as error:
            return error

    return asyncio.run(play()), client, time


def test_a_completion_comes_through_and_is_counted() -> None:
    answer, client, time = ask(failing_first())
    assert answer == ANSWER
    statistics = client.statistics()
    assert (statistics.completed, statistics.attempts, statistics.failed) == (1, 1, 0)
    assert (statistics.prompt_tokens, statistics.completion_tokens) == (7, 2)
    assert (statistics.in_flight, statistics.waiting, statistics.backing_off) == (0, 0, 0)
    assert time.pauses == []


def test_transient_failures_are_tried_again_after_a_pause() -> None:
    provider = failing_first(ServerFailedError("a"), ConnectionFailedError("b"), RateLimitedError("c"))
    answer, client, time = ask(provider)
    assert answer == ANSWER
    assert len(time.pauses) == 3
    statistics = client.statistics()
    assert (statistics.attempts, statistics.rate_limited, statistics.completed) == (4, 1, 1)


def test_retry_after_is_waited() -> None:
    _, _, time = ask(failing_first(RateLimitedError("slow down", retry_after=30.0)))
    assert 30.0 <= time.pauses[0] <= 31.0


@pytest.mark.parametrize("error", [PermanentLLMError("no"), FatalLLMError("no")])
def test_what_fails_again_is_raised_at_once(error: LLMError) -> None:
    provider = failing_first(error)
    answer, client, time = ask(provider)
    assert answer is error
    assert provider.sent == 1
    assert client.statistics().failed == 1
    assert time.pauses == []


def test_the_last_failure_is_raised_when_attempts_run_out() -> None:
    failures = [ServerFailedError(str(number)) for number in range(3)]
    provider = failing_first(*failures)
    answer, client, _ = ask(provider, RetryPolicy(attempts=3))
    assert answer is failures[-1]
    assert provider.sent == 3
    assert client.statistics().failed == 1


def test_malformed_completions_are_resampled_with_another_seed_and_no_pause() -> None:
    seeds: list[int] = []

    def script(request: Request) -> Completion:
        seeds.append(request.seed)
        if len(seeds) < 3:
            raise MalformedCompletionError("empty")
        return ANSWER

    answer, _, time = ask(ScriptedProvider(script))
    assert answer == ANSWER
    assert time.pauses == []
    assert seeds[0] == REQUEST.seed
    assert len(set(seeds)) == 3


def test_pauses_are_determined_by_key_and_seed() -> None:
    def pauses(key: CallKey, seed: int) -> list[float]:
        failures = [ServerFailedError("x") for _ in range(4)]
        return ask(failing_first(*failures), request=Request(key, "m", (), seed=seed))[2].pauses

    first = pauses(CallKey(1, "user", 0), 5)
    assert first == pauses(CallKey(1, "user", 0), 5)
    assert first != pauses(CallKey(2, "user", 0), 5)
    assert first != pauses(CallKey(1, "user", 0), 6)


def test_no_permit_is_held_while_backing_off() -> None:
    time = Time()
    client = Client(
        Router.single(failing_first(ServerFailedError("x")), Gate(1)), sleep=time.sleep, clock=time
    )
    seen: list[tuple[int, int]] = []
    time.on_sleep = lambda: seen.append((client.statistics().in_flight, client.statistics().backing_off))
    asyncio.run(client.complete(REQUEST))
    assert seen == [(0, 1)]


def test_time_in_attempts_and_pauses_counts_towards_the_deadline() -> None:
    time = Time()

    def script(request: Request) -> Completion:
        time.now += 40.0
        raise ServerFailedError("slow and broken")

    provider = ScriptedProvider(script)
    policy = RetryPolicy(attempts=100, first_wait=0.0, deadline=100.0)
    client = Client(Router.single(provider, Gate(1)), policy, sleep=time.sleep, clock=time)
    with pytest.raises(ServerFailedError):
        asyncio.run(client.complete(REQUEST))
    assert provider.sent == 3


def never(request: Request) -> Awaitable[Completion]:
    return asyncio.get_running_loop().create_future()


def test_an_attempt_without_answer_times_out() -> None:
    provider = ScriptedProvider(never)
    answer, client, _ = ask(provider, RetryPolicy(attempts=2, attempt_timeout=0.01))
    assert isinstance(answer, ConnectionFailedError)
    assert "no answer within 0.01 s" in answer.message
    assert provider.sent == 2
    assert provider.in_flight == 0
    assert client.statistics().in_flight == 0


def test_every_lease_is_told_how_the_attempt_ended() -> None:
    gate = RecordingGate()
    failure = RateLimitedError("x", retry_after=0.0)
    time = Time()
    client = Client(Router.single(failing_first(failure), gate), sleep=time.sleep, clock=time)
    asyncio.run(client.complete(REQUEST))
    assert gate.outcomes == [Outcome(0.0, error=failure), Outcome(0.0, Usage(7, 2))]


def test_a_cancelled_attempt_is_abandoned_and_gives_its_permit_back() -> None:
    gate = RecordingGate()
    fixed = Gate(1)

    async def play() -> None:
        for client in (
            Client(Router.single(ScriptedProvider(never), gate)),
            Client(Router.single(ScriptedProvider(never), fixed)),
        ):
            call = asyncio.create_task(client.complete(REQUEST))
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert client.statistics().attempts == 0

    asyncio.run(play())
    assert gate.outcomes == [None]
    assert fixed.statistics() == GateStatistics(1, 0, 0)


def test_a_call_cancelled_while_backing_off_is_no_longer_counted_there() -> None:
    async def play() -> None:
        pausing = asyncio.Event()

        async def sleep(seconds: float) -> None:
            pausing.set()
            await asyncio.get_running_loop().create_future()

        client = Client(Router.single(failing_first(ServerFailedError("x")), Gate(1)), sleep=sleep)
        call = asyncio.create_task(client.complete(REQUEST))
        await pausing.wait()
        assert client.statistics().backing_off == 1
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert client.statistics().backing_off == 0

    asyncio.run(play())


def test_older_dialogues_go_first_and_the_limit_holds() -> None:
    order: list[int] = []

    async def script(request: Request) -> Completion:
        order.append(request.key.dialogue)
        await asyncio.sleep(0)
        return ANSWER

    async def play() -> None:
        client = Client(Router.single(provider, Gate(2)))
        async with asyncio.TaskGroup() as tasks:
            for dialogue in (9, 8, 7, 3, 5, 1):
                tasks.create_task(client.complete(Request(CallKey(dialogue, "user", 0), "m", ())))
        assert client.statistics().completed == 6

    provider = ScriptedProvider(script)
    asyncio.run(play())
    assert order == [9, 8, 1, 3, 5, 7]
    assert provider.most_in_flight == 2


def test_closing_the_client_closes_the_provider() -> None:
    provider = failing_first()
    asyncio.run(Client(Router.single(provider, Gate(1))).close())
    assert provider.closed
