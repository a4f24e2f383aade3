"""How the rehearsal server behaves: limits by a clock that is told, faults over real connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from toolflow.errors import UsageError
from toolflow.llm.providers.rate_headers import read_limits
from toolflow.llm.server import create_app
from toolflow.llm.serving.chat_completions import ServedChatCompletions, duration
from toolflow.llm.serving.conduct import Behaviour, Conduct, Entry, Refusal, read_cap, read_faults
from toolflow.llm.serving.dialect import ServedDialect
from toolflow.llm.serving.limiter import Charge, Limiter, WindowKind
from toolflow.llm.serving.messages import ServedMessages

BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def serve(conduct: Conduct, play: Callable[[TestClient[Any, Any]], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        async with TestClient(TestServer(create_app(None, conduct=conduct))) as client:
            await play(client)

    asyncio.run(run())


def pause(limiter: Limiter, prompt: int, now: float) -> float:
    """How long a request has to wait; 0.0 if it was let in."""
    found = limiter.enter(prompt, now)
    return 0.0 if isinstance(found, dict) else found


def enter(limiter: Limiter, prompt: int, now: float) -> dict[str, Charge]:
    found = limiter.enter(prompt, now)
    assert isinstance(found, dict)
    return found


def test_a_sliding_minute_counts_any_sixty_seconds() -> None:
    limiter = Limiter({"requests": 3}, "sliding")
    assert [pause(limiter, 0, now) for now in (0.0, 10.0, 59.0)] == [0.0, 0.0, 0.0]
    assert pause(limiter, 0, 59.5) == pytest.approx(0.5)
    assert pause(limiter, 0, 60.0) == 0.0
    assert pause(limiter, 0, 61.0) == pytest.approx(9.0)


def test_a_bucket_refills_evenly() -> None:
    limiter = Limiter({"requests": 60}, "bucket", burst=2)
    assert [pause(limiter, 0, 0.0) for _ in range(2)] == [0.0, 0.0]
    assert pause(limiter, 0, 0.0) == pytest.approx(1.0)
    assert pause(limiter, 0, 1.0) == 0.0


def test_a_fixed_minute_begins_anew() -> None:
    limiter = Limiter({"requests": 1}, "fixed")
    assert pause(limiter, 0, 50.0) == 0.0
    assert pause(limiter, 0, 59.0) == pytest.approx(1.0)
    assert pause(limiter, 0, 60.0) == 0.0


@pytest.mark.parametrize("kind", ["sliding", "bucket", "fixed"])
def test_tokens_are_counted_at_entry_and_corrected_at_the_end(kind: WindowKind) -> None:
    limiter = Limiter({"tokens": 100}, kind)
    charges = enter(limiter, 60, 0.0)
    limiter.leave(charges, 60, 30, 20, 0.0)
    assert pause(limiter, 51, 0.0) > 0.0
    assert pause(limiter, 50, 0.0) == 0.0


@pytest.mark.parametrize(("prompt", "left"), [(10, 90), (100, 0)])
def test_a_correction_is_forgotten_together_with_its_charge(prompt: int, left: int) -> None:
    limiter = Limiter({"input-tokens": 100}, "sliding")
    charges = enter(limiter, 50, 0.0)
    limiter.leave(charges, 50, prompt, 0, 40.0)
    assert limiter.state(59.0)[0].remaining == left
    assert limiter.state(60.0)[0].remaining == 100
    late = enter(limiter, 50, 61.0)
    limiter.leave(late, 50, 10, 0, 200.0)
    assert limiter.state(200.0)[0].remaining == 100


@pytest.mark.parametrize("kind", ["sliding", "bucket", "fixed"])
def test_a_limit_is_whole_again_when_it_says_so(kind: WindowKind) -> None:
    limiter = Limiter({"requests": 10}, kind)
    assert limiter.state(5.0)[0].whole_in == 0.0
    for now in (5.0, 20.0):
        enter(limiter, 0, now)
    whole_in = limiter.state(20.0)[0].whole_in
    assert limiter.state(20.0 + whole_in - 0.001)[0].remaining < 10
    assert limiter.state(20.0 + whole_in + 0.001)[0].remaining == 10


@pytest.mark.parametrize("dialect", [ServedChatCompletions(), ServedMessages()])
def test_its_headers_are_read_by_the_client(dialect: ServedDialect) -> None:
    told = {"requests": 10, "tokens": 1000, "input-tokens": 800, "output-tokens": 200}
    limiter = Limiter(told, "sliding")
    limiter.leave(enter(limiter, 100, 0.0), 100, 100, 50, 1.0)
    headers = dialect.limit_headers(limiter.state(1.0))
    found = {limit.kind: (limit.limit, limit.remaining) for limit in read_limits(headers)}
    expected = {"requests": (10, 9), "tokens": (1000, 850)}
    if isinstance(dialect, ServedMessages):
        expected |= {"input_tokens": (800, 700), "output_tokens": (200, 150)}
    assert found == expected
    assert all(55 <= (limit.reset or 0) <= 61 for limit in read_limits(headers))


@pytest.mark.parametrize(("seconds", "text"), [(0.02, "20ms"), (1.5, "1.5s"), (360.0, "6m0s")])
def test_durations_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_cap_refuses_what_is_above_it_and_may_move() -> None:
    behaviour = Behaviour(Conduct(cap=read_cap("2,1@60"), retry_after=3.0))
    first, second, third = (behaviour.arrive(1, 0.0) for _ in range(3))
    assert isinstance(first, Entry)
    assert isinstance(second, Entry)
    assert isinstance(third, Refusal)
    assert third.retry_after == 3.0
    behaviour.leave(first, 1.0, prompt=1, completion=1, answered=True)
    assert isinstance(behaviour.arrive(1, 61.0), Refusal)
    assert behaviour.report()["rate_limited"] == 2


def test_above_the_knee_answers_become_slower() -> None:
    behaviour = Behaviour(Conduct(latency=1.0, knee=2))
    entries = [behaviour.arrive(1, 0.0) for _ in range(4)]
    seconds = [entry.seconds for entry in entries if isinstance(entry, Entry)]
    assert seconds == [1.0, 1.0, 2.25, 4.0]


@pytest.mark.parametrize("text", ["nonsense=0.1", "500=2", "500=x", "500", "500=0.6,reset=0.6"])
def test_faults_that_are_none_are_refused_in_words(text: str) -> None:
    with pytest.raises(UsageError):
        read_faults(text)


@pytest.mark.parametrize("text", ["many", "5@soon", "-1"])
def test_caps_that_are_none_are_refused_in_words(text: str) -> None:
    with pytest.raises(UsageError):
        read_cap(text)


@pytest.mark.parametrize(("fault", "status"), [("500", 500), ("html", 502), ("html200", 200), ("drip", 200)])
def test_faults_with_an_answer_are_what_they_say(fault: str, status: int) -> None:
    async def play(client: TestClient[Any, Any]) -> None:
        response = await client.post("/v1/chat/completions", json=BODY)
        assert response.status == status
        text = await response.text()
        assert text.startswith("<html") == fault.startswith("html")
        if fault == "drip":
            assert json.loads(text)["choices"]

    serve(Conduct(faults={fault: 1.0}), play)


@pytest.mark.parametrize("fault", ["reset", "truncate"])
def test_faults_without_an_answer_break_the_connection(fault: str) -> None:
    async def play(client: TestClient[Any, Any]) -> None:
        async def ask() -> None:
            await (await client.post("/v1/chat/completions", json=BODY)).read()

        with pytest.raises(aiohttp.ClientError):
            await ask()

    serve(Conduct(faults={fault: 1.0}), play)


def test_an_empty_message_is_empty() -> None:
    async def play(client: TestClient[Any, Any]) -> None:
        response = await client.post("/v1/chat/completions", json=BODY)
        assert not (await response.json())["choices"][0]["message"]["content"]

    serve(Conduct(faults={"empty": 1.0}), play)


def test_counters_tell_what_was_asked_twice() -> None:
    async def play(client: TestClient[Any, Any]) -> None:
        for content in ("one", "two", "one"):
            body = {"model": "m", "messages": [{"role": "user", "content": content}]}
            await client.post("/v1/chat/completions", json=body)
        report = await (await client.get("/rehearsal/counters")).json()
        assert (report["requests"], report["completed"], report["repeated"]) == (3, 3, 1)
        assert report["tokens"] == {"prompt": 21, "completion": 15}
        await client.post("/rehearsal/counters/reset")
        report = await (await client.get("/rehearsal/counters")).json()
        assert report["requests"] == 0

    serve(Conduct(fixed_usage=(7, 5)), play)


def test_a_server_that_is_down_resets_connections_until_it_is_up() -> None:
    async def play(client: TestClient[Any, Any]) -> None:
        await client.post("/rehearsal/conduct", json={"down": True})
        with pytest.raises(aiohttp.ClientError):
            await client.post("/v1/chat/completions", json=BODY)
        refused = await client.post("/rehearsal/conduct", json={"down": "no"})
        assert refused.status == 400
        await client.post("/rehearsal/conduct", json={"down": False})
        assert (await client.post("/v1/chat/completions", json=BODY)).status == 200

    serve(Conduct(), play)
