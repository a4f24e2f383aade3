"""The watchdog in virtual time: silent while calls are completed, and right about what a run waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count, pairwise

import pytest

from toolflow.dialogue.message import Message
from toolflow.errors import ConnectionFailedError, RateLimitedError
from toolflow.llm.breaker import Breaker
from toolflow.llm.chat import CallKey, Completion, Request
from toolflow.llm.client import Client
from toolflow.llm.concurrency.limit import FixedConcurrency
from toolflow.llm.gate import Gate
from toolflow.llm.in_flight import InFlight
from toolflow.llm.quota.limits import RateLimits
from toolflow.llm.quota.quota import Quota
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.router import Replica, Router
from toolflow.llm.testing import ScriptedProvider
from toolflow.runtime.testing import run_virtual
from toolflow.watchdog import Bark, Situation, Watchdog

Script = Callable[[Request], Awaitable[Completion]]
ANSWER = Completion(Message("assistant", "yes"))


def watched(
    script: Script,
    *,
    seconds: float,
    calls: int = 4,
    permits: int = 2,
    limits: RateLimits | None = None,
    recording: int = 0,
) -> list[tuple[float, str]]:
    """What the watchdog says, and when, while ``calls`` callers ask again and again for so many seconds."""
    said: list[tuple[float, str]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        flights = InFlight(loop.time)
        replica = flights.watch(Replica("http://here/v1", ScriptedProvider(script)))

        def make_gate(breaker: Breaker) -> Gate:
            quota = Quota(limits) if limits else None
            return Gate(FixedConcurrency(permits), quota=quota, breaker=breaker, clock=loop.time)

        router = Router((replica,), make_gate, clock=loop.time)
        client = Client(router, RetryPolicy(attempts=10**6), clock=loop.time)

        def situation() -> Situation:
            return Situation(
                0,
                client.statistics(),
                router.held_up(),
                flights.oldest(),
                flights.usual,
                recording,
                failure=flights.failure,
            )

        async def ask(dialogue: int) -> None:
            for position in count():
                await client.complete(Request(CallKey(dialogue, "user", position), "m", ()))

        def tell(bark: Bark) -> None:
            said.append((loop.time(), str(bark)))

        tasks = [asyncio.create_task(ask(dialogue)) for dialogue in range(calls)]
        tasks.append(asyncio.create_task(Watchdog().watch(situation, tell, clock=loop.time)))
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtual(main())
    return said


def taking(seconds: Callable[[], float]) -> Script:
    async def script(_: Request) -> Completion:
        await asyncio.sleep(seconds())
        return ANSWER

    return script


@pytest.mark.parametrize("latency", [0.5, 40.0, 130.0])
def test_it_is_silent_while_calls_are_completed(latency: float) -> None:
    said = watched(taking(lambda: latency), seconds=3600)
    # Before the first answer it cannot know what is usual.
    assert [text for when, text in said if when > 2 * latency] == []
    assert len(said) <= 3


def test_a_hanging_endpoint_is_named_with_growing_pauses_and_its_end_too() -> None:
    async def script(_: Request) -> Completion:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(2100 - now if 100 <= now < 2100 else 1.0)
        return ANSWER

    said = watched(script, seconds=3000)
    times = [when for when, _ in said]
    assert 160 <= times[0] <= 170
    pauses = [after - before for before, after in pairwise(times[:-1])]
    assert pauses == sorted(pauses)
    assert len(pauses) >= 3
    assert "2 attempts are in flight, the oldest (user of dialogue " in said[0][1]
    assert "at http://here/v1" in said[0][1]
    assert "2 attempts wait for a permit at http://here/v1, where all permits are taken" in said[0][1]
    assert said[-1][1].startswith("Calls are completed again, after 3")
    assert 2100 <= times[-1] <= 2110


def test_an_open_breaker_is_named() -> None:
    async def script(_: Request) -> Completion:
        raise ConnectionFailedError("refused")

    said = watched(script, seconds=70)
    assert len(said) == 1
    assert (
        "wait for a permit at http://here/v1, which does not answer: its circuit breaker is open"
        in said[0][1]
    )
    assert "failed since, 0 of them by a 429" in said[0][1]


def test_refusals_are_named_with_what_the_endpoint_says() -> None:
    async def script(_: Request) -> Completion:
        raise RateLimitedError("come back \x1b[31mlater", retry_after=400.0)

    said = watched(script, seconds=100)
    assert (
        "4 calls pause before another attempt; the last attempt failed 60 s ago: come back later"
        in said[0][1]
    )


def test_a_rate_limit_is_named_with_the_time_that_it_frees_and_is_told_once() -> None:
    said = watched(taking(lambda: 0.0), seconds=7200, limits=RateLimits(tokens=100))
    assert (
        "4 attempts wait for a permit at http://here/v1, whose rate limit lets the next one go in 9"
        in said[0][1]
    )
    # Calls of 160 tokens each then come every two or three minutes, as they must.
    assert [text for when, text in said if when > 600] == []


def test_a_journal_that_does_not_answer_is_named() -> None:
    async def script(_: Request) -> Completion:
        return await asyncio.Future[Completion]()

    said = watched(script, seconds=70, recording=3)
    assert said[0][1].startswith(
        "No call was completed for 10 s: 3 replies wait to be written to the journal: its disk does"
    )
