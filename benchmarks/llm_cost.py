"""What a call of the LLM core costs: CPU beside a bare session, and memory while it waits."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import aiohttp

from benchmarks.driving import (
    CALLS_PER_DIALOGUE,
    PROMPT,
    counters,
    pace,
    provider,
    request,
)
from benchmarks.record import spread
from toolflow.llm.breaker import Breaker
from toolflow.llm.chat import Completion, Request
from toolflow.llm.client import Client
from toolflow.llm.concurrency.adaptive import AdaptiveConcurrency
from toolflow.llm.gate import Gate
from toolflow.llm.hedge import Hedging
from toolflow.llm.quota.estimate import TokenEstimator
from toolflow.llm.quota.limits import RateLimits
from toolflow.llm.quota.quota import Quota
from toolflow.llm.router import Router
from toolflow.llm.testing import ScriptedProvider
from toolflow.runtime.loop import run


async def bare(url: str, calls: int, workers: int) -> None:
    """The least that a call can cost: a session, a body that is encoded, an answer that is decoded."""
    numbers = iter(range(calls))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:

        async def send() -> None:
            for number in numbers:
                body = json.dumps(
                    {
                        "model": "rehearsal",
                        "messages": [{"role": "user", "content": f"{number}: {PROMPT}"}],
                        "seed": number,
                    }
                )
                headers = {"Content-Type": "application/json"}
                async with session.post(url + "/chat/completions", data=body, headers=headers) as response:
                    answer = json.loads(await response.read())
                assert answer["choices"][0]["message"]["content"]

        for _ in range(workers):
            group.create_task(send())


def _cpu(work: Callable[[], Coroutine[Any, Any, Any]]) -> float:
    before = time.process_time()
    run(work())
    return time.process_time() - before


def _bare_cost(calls: int, in_flight: int) -> float:
    with provider("--latency", "0.05") as url:
        return 1e6 * _cpu(lambda: bare(url, calls, in_flight)) / calls


def _core_cost(calls: int, in_flight: int) -> float:
    def full() -> Coroutine[Any, Any, Any]:
        return pace(
            [url],
            calls=calls,
            workers=in_flight,
            concurrency=lambda: AdaptiveConcurrency(start=in_flight, most=in_flight),
        )

    with provider("--latency", "0.05") as url:
        cost = 1e6 * _cpu(full) / calls
        assert counters(url)["completed"] == calls
    return cost


def case_cpu(arguments: argparse.Namespace) -> dict[str, Any]:
    """CPU µs per call of the full core and of bare aiohttp, in turn, at 50 ms latency."""
    found: dict[str, Any] = {}
    for in_flight in (64, 256, 1000, 5000):
        calls = max(arguments.calls, 4 * in_flight)
        core, raw = [], []
        for _ in range(arguments.repeats):
            raw.append(_bare_cost(calls, in_flight))
            core.append(_core_cost(calls, in_flight))
        ratios = [mine / least for mine, least in zip(core, raw, strict=True)]
        found[str(in_flight)] = {
            "calls": calls,
            "core_us": spread(core),
            "bare_us": spread(raw),
            "ratio": spread(ratios),
        }
        medians = {name: found[str(in_flight)][name]["median"] for name in ("core_us", "bare_us", "ratio")}
        print(f"cpu, {in_flight} in flight: {json.dumps(medians)}")
    return found


def case_memory(_: argparse.Namespace) -> dict[str, Any]:
    """Bytes that a call takes while it waits for a permit, its request and its task apart from the rest."""
    waiting = 5000

    def never(_: Request) -> Awaitable[Completion]:
        return asyncio.get_running_loop().create_future()

    async def measure() -> float:
        gate = Gate(1, quota=Quota(RateLimits(), TokenEstimator()), breaker=Breaker())
        client = Client(Router.single(ScriptedProvider(never), gate), hedging=Hedging(0.02))
        requests = [request(number, CALLS_PER_DIALOGUE) for number in range(waiting + 1)]
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        calls = [asyncio.create_task(client.complete(one)) for one in requests]
        await asyncio.sleep(0.5)
        assert gate.waiting == waiting
        taken = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        return taken / waiting

    taken = asyncio.run(measure())
    print(f"memory: {taken / 1024:.2f} KiB for each waiting call")
    return {"waiting": waiting, "bytes_a_call": taken}
