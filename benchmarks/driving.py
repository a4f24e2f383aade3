"""Drives the LLM core, as a run has it, against servers in processes of their own, and counts."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from toolflow.dialogue.message import Message
from toolflow.llm.breaker import Breaker
from toolflow.llm.chat import CallKey, Request
from toolflow.llm.client import Client
from toolflow.llm.concurrency.adaptive import AdaptiveConcurrency
from toolflow.llm.concurrency.limit import Concurrency
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.gate import Gate
from toolflow.llm.hedge import Hedging
from toolflow.llm.providers.openai import OpenAIProvider
from toolflow.llm.quota.estimate import TokenEstimator
from toolflow.llm.quota.limits import RateLimits
from toolflow.llm.quota.quota import Quota
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.router import Replica, Router
from toolflow.llm.stall import Stalls
from toolflow.runtime.loop import run

PROMPT = "Find me a table for four in Lisbon on Friday, and tell me what the weather will be like. " * 8
CALLS_PER_DIALOGUE = 10
TOOLFLOW = str(Path(sys.executable).with_name("toolflow"))


@contextmanager
def provider(*options: str, port: int = 0, fixed: bool = True) -> Generator[str]:
    """``toolflow provider``, with a fixed reply unless told otherwise; its base URL."""
    command = [TOOLFLOW, "provider", "--port", str(port), *(("--fixed-reply",) if fixed else ()), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        yield next(word for word in line.split() if word.startswith("http"))
    finally:
        process.terminate()
        process.stdout.close()
        process.wait(30)


def counters(base_url: str) -> dict[str, Any]:
    """What the server counted."""
    with urllib.request.urlopen(base_url.removesuffix("/v1") + "/rehearsal/counters") as response:
        counted: dict[str, Any] = json.load(response)
    return counted


def request(number: int, per_dialogue: int) -> Request:
    """The n-th call, of dialogues of so many; no two are equal."""
    dialogue, position = divmod(number, per_dialogue)
    key = CallKey(dialogue, "user", position)
    return Request(key, "rehearsal", (Message("user", f"{number}: {PROMPT}"),), seed=number)


def make_client(
    urls: list[str],
    concurrency: Callable[[], Concurrency],
    limits: RateLimits | None,
    timeout: float,
    hedge: float = 0.0,
) -> tuple[Client, Router]:
    """The full core: quota, controller, breaker and retries, as a run has them."""

    def gate(breaker: Breaker) -> Gate:
        quota = Quota(limits or RateLimits(), TokenEstimator())
        return Gate(concurrency(), quota=quota, breaker=breaker)

    router = Router(tuple(Replica(url, OpenAIProvider(Endpoint(url))) for url in urls), gate)
    hedging = Hedging(hedge) if hedge else None
    return Client(
        router, RetryPolicy(attempts=20, attempt_timeout=timeout), hedging=hedging, stalls=Stalls()
    ), router


async def drive(
    client: Client,
    calls: int,
    workers: int,
    seconds: float | None = None,
    begin: float = 0.0,
    per_dialogue: int = CALLS_PER_DIALOGUE,
) -> tuple[int, int, float]:
    """Send calls from dialogues, one after the other in each; how many were answered, how many of them
    from the second ``begin`` on, and in what time from then on."""
    begun = time.monotonic()
    dialogues = deque(range(0, calls, per_dialogue))
    answered = late = 0

    async def play() -> None:
        nonlocal answered, late
        while dialogues:
            first = dialogues.popleft()
            for number in range(first, min(first + per_dialogue, calls)):
                if seconds is not None and time.monotonic() - begun >= seconds:
                    return
                await client.complete(request(number, per_dialogue))
                answered += 1
                late += time.monotonic() - begun >= begin

    async with asyncio.TaskGroup() as group:
        for _ in range(min(workers, len(dialogues))):
            group.create_task(play())
    return answered, late, time.monotonic() - begun - begin


async def pace(
    urls: list[str],
    *,
    calls: int,
    workers: int,
    concurrency: Callable[[], Concurrency],
    limits: RateLimits | None = None,
    seconds: float | None = None,
    begin: float = 0.0,
    per_dialogue: int = CALLS_PER_DIALOGUE,
    answer_within: float = 60.0,
    hedge: float = 0.0,
) -> dict[str, Any]:
    """Drive the core and count."""
    client, router = make_client(urls, concurrency, limits, answer_within, hedge)
    try:
        answered, late, elapsed = await drive(client, calls, workers, seconds, begin, per_dialogue)
    finally:
        await client.close()
    figures = client.statistics()
    assert figures.completed == answered, "a call was lost"
    assert figures.failed == 0, "a call was given up"
    return {
        "calls": answered,
        "seconds": elapsed,
        "calls_counted": late,
        "calls_per_s": late / elapsed,
        "attempts": figures.attempts,
        "rate_limited": figures.rate_limited,
        "rate_limited_share": figures.rate_limited / figures.attempts,
        "hedged": figures.hedged,
        "stalled": figures.stalled,
        "limit_at_end": figures.limit,
        "changes": [[round(c.at, 2), c.before, c.after, c.reason] for c in figures.changes][-40:],
        "endpoints": [repr(endpoint) for endpoint in router.statistics()],
    }


def controlled(options: tuple[str, ...], calls: int, workers: int = 400) -> dict[str, Any]:
    with provider(*options) as url:
        result = run(
            pace(
                [url],
                calls=calls,
                workers=workers,
                concurrency=AdaptiveConcurrency,
                per_dialogue=1,
                answer_within=20.0,
            )
        )
        assert counters(url)["completed"] >= calls
    return result


def side_by_side(
    runs: dict[str, tuple[tuple[str, ...], dict[str, Any]]], *, calls: int, workers: int
) -> dict[str, dict[str, Any]]:
    """Several runs at once, each with a server of its own: what else the machine does meets all of them."""
    found: dict[str, dict[str, Any]] = {}

    async def measure(name: str, url: str, settings: dict[str, Any]) -> None:
        usual: dict[str, Any] = {"concurrency": AdaptiveConcurrency, "per_dialogue": 1}
        found[name] = await pace([url], calls=calls, workers=workers, **(usual | settings))

    async def measure_all(urls: dict[str, str]) -> None:
        async with asyncio.TaskGroup() as group:
            for name, (_, settings) in runs.items():
                group.create_task(measure(name, urls[name], settings))

    with ExitStack() as servers:
        run(measure_all({name: servers.enter_context(provider(*it[0])) for name, it in runs.items()}))
    return {name: found[name] for name in runs}
