"""The LLM core against a server in a process of its own: cost of a call, and pace under limits and faults.

    python -m benchmarks.bench_llm [CASE…] [--calls 6000] [--repeats 3]

Every case asserts that each call was answered once. CPU figures are of the client process alone, beside a
bare aiohttp session on uvloop in the same run. Paces are shares of what the server's limit allows.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise, product
from typing import Any

from benchmarks.driving import (
    TOOLFLOW,
    controlled,
    drive,
    make_client,
    pace,
    provider,
    side_by_side,
)
from benchmarks.llm_cost import case_cpu, case_memory
from benchmarks.record import write
from toolflow.llm.concurrency.adaptive import AdaptiveConcurrency
from toolflow.llm.concurrency.limit import FixedConcurrency
from toolflow.llm.quota.limits import RateLimits
from toolflow.llm.router import ReplicaStatistics
from toolflow.runtime.loop import run


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


def case_cap(_: argparse.Namespace) -> dict[str, Any]:
    """A hidden cap of 48 at 2 s latency, 1,000 calls."""
    result = controlled(("--latency", "2", "--cap", "48"), 1000)
    result["of_ideal"] = (1000 * 2 / 48) / result["seconds"]
    print(f"hidden cap: {result['of_ideal']:.3f} of ideal, {result['rate_limited_share']:.2%} 429s")
    return result


def case_knee(_: argparse.Namespace) -> dict[str, Any]:
    """Latency grows with the square of what is in flight above 48, and no 429 tells; beside the best fixed
    setting, at the same time on a server of its own."""
    options = ("--latency", "0.5", "--knee", "48")
    measured = side_by_side(
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
    measured = side_by_side(
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
        command = [TOOLFLOW, "provider", "--fixed-reply", *options, "--port"]
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
