"""The LLM core against a server in a process of its own: cost of a call, and pace under limits and faults.

    python -m benchmarks.bench_llm [CASE…] [--calls 6000] [--repeats 3]

Every case asserts that each call was answered once. CPU figures are of the client process alone, beside a
bare aiohttp session on uvloop in the same run. Paces are shares of what the server's limit allows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
import tracemalloc
import urllib.request
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import ExitStack, contextmanager
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.record import spread, write
from toolflow.dialogue.message import Message
from toolflow.llm.breaker import Breaker
from toolflow.llm.chat import CallKey, Completion, Request
from toolflow.llm.client import Client
from toolflow.llm.concurrency.adaptive import AdaptiveConcurrency
from toolflow.llm.concurrency.limit import Concurrency, FixedConcurrency
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.gate import Gate
from toolflow.llm.hedge import Hedging
from toolflow.llm.providers.openai import OpenAIProvider
from toolflow.llm.quota.estimate import TokenEstimator
from toolflow.llm.quota.limits import RateLimits
from toolflow.llm.quota.quota import Quota
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.router import Replica, ReplicaStatistics, Router
from toolflow.llm.stall import Stalls
from toolflow.llm.testing import ScriptedProvider
from toolflow.runtime.loop import run

_PROMPT = "Find me a table for four in Lisbon on Friday, and tell me what the weather will be like. " * 8
_CALLS_PER_DIALOGUE = 10
_TOOLFLOW = str(Path(sys.executable).with_name("toolflow"))


@contextmanager
def provider(*options: str, port: int = 0, fixed: bool = True) -> Generator[str]:
    """``toolflow provider``, with a fixed reply unless told otherwise; its base URL."""
    command = [_TOOLFLOW, "provider", "--port", str(port), *(("--fixed-reply",) if fixed else ()), *options]
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
    return Request(key, "rehearsal", (Message("user", f"{number}: {_PROMPT}"),), seed=number)


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
    per_dialogue: int = _CALLS_PER_DIALOGUE,
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
    per_dialogue: int = _CALLS_PER_DIALOGUE,
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
                        "messages": [{"role": "user", "content": f"{number}: {_PROMPT}"}],
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


async def _rate(url: str, limits: RateLimits | None, allowed_a_minute: int, minutes: float) -> dict[str, Any]:
    result = await pace(
        [url],
        calls=10**6,
        workers=400,
        concurrency=lambda: FixedConcurrency(400),
        limits=limits,
        seconds=minutes * 60.0,
        begin=0.0 if limits is not None else 60.0,  # the first window is for finding out
    )
    return {"pace": result["calls_counted"] / (allowed_a_minute * result["seconds"] / 60)} | result


def case_rates(arguments: argparse.Namespace) -> dict[str, Any]:
    """3,000 requests and 600,000 LLM tokens a minute, told and not told, on both kinds of windows; each with
    a server of its own, all at once: they take little."""
    told = RateLimits(requests=3000, tokens=600_000)
    usage = {"requests": ("100,20", 3000), "tokens": ("250,150", 1500)}
    found: dict[str, Any] = {}

    async def measure(name: str, url: str, limits: RateLimits | None, allowed: int) -> None:
        found[name] = result = await _rate(url, limits, allowed, arguments.minutes)
        refused, attempts = result["rate_limited"], result["attempts"]
        print(f"{name}: pace {result['pace']:.3f}, {refused} 429s in {attempts} attempts", flush=True)

    async def measure_all(cases: list[tuple[str, str, RateLimits | None, int]]) -> None:
        async with asyncio.TaskGroup() as group:
            for case in cases:
                group.create_task(measure(*case))

    with ExitStack() as servers:
        cases: list[tuple[str, str, RateLimits | None, int]] = []
        for who, window, bound in product(arguments.limits, ("sliding", "bucket"), usage):
            fixed, allowed = usage[bound]
            options = ("--latency", "0.5", "--latency-spread", "0.3", "--rpm", "3000", "--tpm", "600000")
            url = servers.enter_context(provider(*options, "--window", window, "--fixed-usage", fixed))
            cases.append((f"{who}_{window}_{bound}", url, told if who == "told" else None, allowed))
        run(measure_all(cases))
    return found


def _controlled(options: tuple[str, ...], calls: int, workers: int = 400) -> dict[str, Any]:
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


def _side_by_side(
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


def case_cap(_: argparse.Namespace) -> dict[str, Any]:
    """A hidden cap of 48 at 2 s latency, 1,000 calls."""
    result = _controlled(("--latency", "2", "--cap", "48"), 1000)
    result["of_ideal"] = (1000 * 2 / 48) / result["seconds"]
    print(f"hidden cap: {result['of_ideal']:.3f} of ideal, {result['rate_limited_share']:.2%} 429s")
    return result


def case_knee(_: argparse.Namespace) -> dict[str, Any]:
    """Latency grows with the square of what is in flight above 48, and no 429 tells; beside the best fixed
    setting, at the same time on a server of its own."""
    options = ("--latency", "0.5", "--knee", "48")
    measured = _side_by_side(
        {
            "adaptive": (options, {"concurrency": AdaptiveConcurrency}),
            "fixed": (options, {"concurrency": lambda: FixedConcurrency(48)}),
        },
        calls=4000,
        workers=400,
    )
    share = measured["adaptive"]["calls_per_s"] / measured["fixed"]["calls_per_s"]
    print(f"knee: {share:.3f} of the best fixed setting, limit {measured['adaptive']['limit_at_end']}")
    return {"of_best_fixed": share} | measured


def case_moving(_: argparse.Namespace) -> dict[str, Any]:
    """A cap that moves 48 → 16 → 96, a minute each, at 1 s latency."""
    with provider("--latency", "1", "--cap", "48,16@60,96@120") as url:
        result = run(
            pace(
                [url],
                calls=10**6,
                workers=400,
                concurrency=AdaptiveConcurrency,
                seconds=180.0,
                answer_within=20.0,
            )
        )
    result["of_ideal"] = result["calls"] / (60 * (48 + 16 + 96))
    print(f"moving cap: {result['of_ideal']:.3f} of ideal, {result['rate_limited_share']:.2%} 429s")
    return result


def case_faults(_: argparse.Namespace) -> dict[str, Any]:
    """3 % 500s, 2 % resets, 1 % stalls, 0.5 % malformed: with and without second attempts, beside a run
    without faults, at the same time on servers of their own."""
    calm = ("--latency", "0.5", "--cap", "100")
    faulty = (*calm, "--faults", "500=0.03,reset=0.02,stall=0.01,empty=0.005")
    measured = _side_by_side(
        {
            "without": (calm, {}),
            "unhedged": (faulty, {"answer_within": 3.0}),
            "hedged": (faulty, {"answer_within": 3.0, "hedge": 0.02}),
        },
        calls=6000,
        workers=200,
    )
    for name in ("unhedged", "hedged"):
        result = measured[name]
        result["pace"] = result["calls_per_s"] / measured["without"]["calls_per_s"]
        print(
            f"faults, {name}: {result['pace']:.3f} of the fault-free pace, none lost of {result['calls']}, "
            f"{result['hedged']} second attempts, {result['stalled']} given up as stalled"
        )
    return measured


def case_memory(_: argparse.Namespace) -> dict[str, Any]:
    """Bytes that a call takes while it waits for a permit, its request and its task apart from the rest."""
    waiting = 5000

    def never(_: Request) -> Awaitable[Completion]:
        return asyncio.get_running_loop().create_future()

    async def measure() -> float:
        gate = Gate(1, quota=Quota(RateLimits(), TokenEstimator()), breaker=Breaker())
        client = Client(Router.single(ScriptedProvider(never), gate), hedging=Hedging(0.02))
        requests = [request(number, _CALLS_PER_DIALOGUE) for number in range(waiting + 1)]
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


def case_endpoints(_: argparse.Namespace) -> dict[str, Any]:
    """Three endpoints of 30 permits at 0.5 s, of which one dies after 20 s and returns after 20 more."""

    async def play(urls: list[str], restart: Callable[[], None], stop: Callable[[], None]) -> dict[str, Any]:
        client, router = make_client(urls, lambda: FixedConcurrency(30), None, 5.0)
        marks: list[tuple[float, int, tuple[ReplicaStatistics, ...]]] = []

        async def script() -> None:
            for pause, what in ((20.0, stop), (20.0, restart), (20.0, lambda: None)):
                marks.append((time.monotonic(), client.statistics().completed, router.statistics()))
                await asyncio.sleep(pause)
                await asyncio.to_thread(what)
            marks.append((time.monotonic(), client.statistics().completed, router.statistics()))

        def affinity(before: tuple[ReplicaStatistics, ...], after: tuple[ReplicaStatistics, ...]) -> float:
            home = sum(one.at_home for one in after) - sum(one.at_home for one in before)
            moved = sum(one.moved for one in after) - sum(one.moved for one in before)
            return home / (home + moved)

        scripted = asyncio.create_task(script())
        answered, _, _ = await drive(client, 10**6, 120, 65.0)
        await scripted
        await client.close()
        assert client.statistics().failed == 0
        assert client.statistics().completed == answered
        paces = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(marks)]
        return {
            "of_capacity": [paces[0] / 180, paces[1] / 120, paces[2] / 180],
            "affinity": [affinity(before[2], after[2]) for before, after in pairwise(marks)],
            "endpoints": [[repr(one) for one in mark[2]] for mark in marks],
            "calls": answered,
        }

    options = ("--latency", "0.5", "--cap", "30")
    with provider(*options) as first, provider(*options) as second:
        command = [_TOOLFLOW, "provider", "--fixed-reply", *options, "--port"]
        third = subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, text=True)
        assert third.stdout is not None
        url = next(word for word in third.stdout.readline().split() if word.startswith("http"))
        alive = [third]

        def stop() -> None:
            alive[-1].kill()
            alive[-1].wait(10)

        def restart() -> None:
            port = url.removesuffix("/v1").rpartition(":")[2]
            alive.append(subprocess.Popen([*command, port], stdout=subprocess.PIPE, text=True))
            out = alive[-1].stdout
            assert out is not None
            out.readline()  # It listens.

        try:
            result = run(play([first, second, url], restart, stop))
        finally:
            alive[-1].kill()
    for name in ("of_capacity", "affinity"):
        print(f"endpoints, before, while one is gone, after: {name} {[round(it, 3) for it in result[name]]}")
    return result


CASES = {
    "cpu": case_cpu,
    "rates": case_rates,
    "cap": case_cap,
    "knee": case_knee,
    "moving": case_moving,
    "faults": case_faults,
    "endpoints": case_endpoints,
    "memory": case_memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], default=list(CASES))
    parser.add_argument("--calls", type=int, default=6000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=2.0, help="of each of the rates")
    parser.add_argument("--limits", nargs="*", choices=["told", "headers"], default=["told", "headers"])
    arguments = parser.parse_args()
    for name in arguments.cases:
        write(f"llm_{name}", {name: CASES[name](arguments)})


if __name__ == "__main__":
    main()
