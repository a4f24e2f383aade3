"""Which concurrency is recommended for an endpoint, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from math import inf

import pytest

from toolflow.dialogue.message import Message
from toolflow.errors import AuthenticationError, RateLimitedError, ServerFailedError
from toolflow.llm.chat import CallKey, Completion, Request
from toolflow.llm.concurrency.levels import Level, Stop, doubling, recommend
from toolflow.llm.testing import ScriptedProvider
from toolflow.runtime.testing import run_virtual
from toolflow.tuning import Tuning

REQUESTS = [Request(CallKey(0, "user", position), "m", ()) for position in range(30)]


class Endpoint(ScriptedProvider):
    """Answers after a second; above its knee more slowly, above its cap with a 429."""

    def __init__(self, *, knee: float = inf, cap: float = inf, broken: bool = False) -> None:
        self.seeds: list[int] = []
        self.positions: list[int] = []

        async def answer(request: Request) -> Completion:
            self.seeds.append(request.seed)
            self.positions.append(request.key.position)
            if self.in_flight > cap:
                raise RateLimitedError("429")
            await asyncio.sleep(max(1.0, (self.in_flight / knee) ** 2))
            if broken:
                raise ServerFailedError("500")
            return Completion(Message("assistant", "hi"))

        super().__init__(answer)


def measure(
    endpoint: ScriptedProvider,
    concurrencies: Iterable[int] | None = None,
    *,
    max_calls: int = 2000,
    seconds: float = 1000.0,
    longest: float = 100.0,
    refined: bool = False,
) -> tuple[list[Level], Stop]:
    async def tune() -> tuple[list[Level], Stop]:
        levels: list[Level] = []
        tuning = Tuning(
            endpoint,
            REQUESTS,
            levels,
            max_calls=max_calls,
            seconds=seconds,
            longest=longest,
            clock=asyncio.get_running_loop().time,
        )
        stop = await tuning.measure(concurrencies or doubling())
        if refined:
            await tuning.refine()
        assert tuning.calls == endpoint.sent
        return levels, stop

    return run_virtual(tune())


def recommended(levels: Sequence[Level], longest: float = 100.0) -> int | None:
    level = recommend(levels, longest)
    return None if level is None else level.concurrency


def test_the_knee_is_found_and_little_is_measured_beyond_it() -> None:
    levels, stop = measure(Endpoint(knee=8))
    assert stop == "throughput"
    assert [level.concurrency for level in levels] == [1, 2, 4, 8, 16]
    assert recommended(levels) == 8


@pytest.mark.parametrize("knee", [3, 7, 11, 23, 48, 60])
def test_the_recommendation_is_within_a_tenth_of_the_best_at_a_knee(knee: int) -> None:
    levels, _ = measure(Endpoint(knee=knee), refined=True)
    best = recommend(levels, 100.0)
    assert best is not None
    assert best.concurrency / max(1.0, (best.concurrency / knee) ** 2) >= 0.9 * knee or knee < 8
    assert best.calls_per_second >= 0.9 * max(level.calls_per_second for level in levels)
    assert len(levels) <= 13


@pytest.mark.parametrize("cap", [3, 11, 23, 48, 60])
def test_the_recommendation_is_within_a_tenth_of_the_best_under_a_cap(cap: int) -> None:
    levels, _ = measure(Endpoint(cap=cap), refined=True)
    found = recommended(levels)
    assert found is not None
    assert 0.87 * cap - 1 < found <= cap


def test_what_lies_between_is_not_measured_with_more_calls_than_were_allowed() -> None:
    endpoint = Endpoint(knee=48)
    levels, _ = measure(endpoint, max_calls=900, refined=True)
    assert endpoint.sent <= 900
    assert recommended(levels) is not None


def test_throughput_is_that_of_the_full_level() -> None:
    levels, _ = measure(Endpoint(), [1, 3, 10])
    assert [level.calls_per_second for level in levels] == pytest.approx([1.0, 3.0, 10.0], rel=0.06)
    assert [level.p95 for level in levels] == pytest.approx([1.0, 1.0, 1.0])


def test_a_level_that_is_refused_is_left_early_and_not_recommended() -> None:
    endpoint = Endpoint(cap=20)
    levels, stop = measure(endpoint)
    assert stop == "rate_limits"
    assert levels[-1].concurrency == 32
    assert levels[-1].rate_limited > 0
    assert levels[-1].calls < 60
    assert recommended(levels) == 16


def test_answers_that_are_too_slow_end_it_although_throughput_rises() -> None:
    async def answer(_: Request) -> Completion:
        await asyncio.sleep(endpoint.in_flight**0.8)
        return Completion(Message("assistant", "hi"))

    endpoint = ScriptedProvider(answer)
    levels, stop = measure(endpoint, longest=4.0)
    assert stop == "latency"
    assert recommended(levels, 4.0) == levels[-2].concurrency


@pytest.mark.parametrize("max_calls", [20, 100, 500, 2000])
def test_no_call_more_than_was_allowed(max_calls: int) -> None:
    endpoint = Endpoint()
    levels, stop = measure(endpoint, max_calls=max_calls)
    assert stop == "calls"
    assert endpoint.sent <= max_calls
    assert all(level.calls >= max(3 * level.concurrency, 20) for level in levels)
    assert recommended(levels) == levels[-1].concurrency


def test_a_level_ends_in_time() -> None:
    levels, _ = measure(Endpoint(), [1, 2], seconds=10.0)
    assert all(10.0 <= level.seconds <= 11.0 for level in levels)
    assert [level.calls for level in levels] == [10, 20]


def test_an_endpoint_that_fails_is_not_asked_on_and_on() -> None:
    endpoint = Endpoint(broken=True)
    levels, stop = measure(endpoint)
    assert stop == "failures"
    assert endpoint.sent < 20
    assert recommended(levels) is None


def test_a_refused_key_is_an_error_and_no_figure() -> None:
    def refuse(_: Request) -> Completion:
        raise AuthenticationError("401")

    with pytest.raises(AuthenticationError):
        measure(ScriptedProvider(refuse))


def test_requests_go_in_turn_and_never_with_the_same_seed() -> None:
    endpoint = Endpoint()
    measure(endpoint, [2, 4])
    assert len(set(endpoint.seeds)) == len(endpoint.seeds) == 80
    assert sorted(endpoint.positions[:30]) == sorted(endpoint.positions[30:60]) == list(range(30))


def test_what_was_measured_outlives_an_interruption() -> None:
    async def interrupted() -> list[Level]:
        levels: list[Level] = []
        clock = asyncio.get_running_loop().time
        tuning = asyncio.create_task(
            Tuning(Endpoint(), REQUESTS, levels, clock=clock, seconds=100).measure([1, 2, 4])
        )
        await asyncio.sleep(45)
        tuning.cancel()
        await asyncio.gather(tuning, return_exceptions=True)
        return levels

    assert [level.concurrency for level in run_virtual(interrupted())] == [1]
