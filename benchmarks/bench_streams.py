"""What streaming costs: client CPU per call in each protocol, whole answers beside streams in one run.

    python -m benchmarks.bench_streams [--calls 2000] [--repeats 3]

The server is a process of its own; an answer has 60 LLM tokens in events of one. "burst" streams come at
once, "paced" ones a token every 2 ms, so that every event is read by itself; "watched" ones are looked at
five times a second as the live view does. Every case asserts that each call was answered with the same text.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from benchmarks.record import spread, write
from toolflow.dialogue.message import Message
from toolflow.llm.chat import CallKey, Completion, Request, Usage
from toolflow.llm.client import Client
from toolflow.llm.endpoint import Api, Endpoint
from toolflow.llm.gate import Gate
from toolflow.llm.live import LiveText
from toolflow.llm.providers.anthropic import AnthropicProvider
from toolflow.llm.providers.openai import OpenAIProvider
from toolflow.llm.router import Router
from toolflow.llm.server import serve
from toolflow.llm.serving.conduct import Conduct
from toolflow.llm.testing import ScriptedProvider
from toolflow.runtime.loop import run
from toolflow.view.growing import growing_text

_TOKENS = 60
_ANSWER = Completion(Message("assistant", "four" * _TOKENS), usage=Usage(200, _TOKENS), model="m")
_PROMPT = "Find me a table for four in Lisbon on Friday, and tell me what the weather will be like. " * 8
_IN_FLIGHT = 64
_LATENCY = 0.05
_PACE = 0.002

CASES = ("whole", "burst", "paced", "watched")


def serve_answers(time_per_token: float) -> None:
    conduct = Conduct(latency=_LATENCY, time_per_token=time_per_token)
    run(serve(ScriptedProvider(lambda _: _ANSWER), conduct=conduct, ready=lambda url: print(url, flush=True)))


@contextmanager
def server(time_per_token: float) -> Generator[str]:
    command = [sys.executable, "-m", "benchmarks.bench_streams", "--serve", str(time_per_token)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def drive(url: str, api: Api, case: str, calls: int) -> dict[str, float]:
    live = LiveText()
    kind = AnthropicProvider if api == "anthropic" else OpenAIProvider
    provider = kind(Endpoint(url, api=api), stream=case != "whole", live=live)
    client = Client(Router.single(provider, Gate(_IN_FLIGHT)))
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            key = CallKey(number, "user", 0)
            request = Request(key, "m", (Message("user", f"{number}: {_PROMPT}"),), seed=number)
            assert await client.complete(request) == _ANSWER

    async def watch() -> None:
        while True:
            found = live.of(None)
            if found is not None:
                growing_text(found[1], 300)
            await asyncio.sleep(0.2)

    watching = asyncio.create_task(watch()) if case == "watched" else None
    began, cpu = time.monotonic(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(_IN_FLIGHT):
            group.create_task(work())
    cpu, seconds = time.process_time() - cpu, time.monotonic() - began
    if watching is not None:
        watching.cancel()
    await client.close()
    return {"cpu_us_per_call": cpu / calls * 1e6, "calls_per_s": calls / seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=float)
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if options.serve is not None:
        serve_answers(options.serve)
        return
    samples: dict[str, list[float]] = {}
    apis: tuple[Api, ...] = ("openai", "anthropic")
    with server(0.0) as quick, server(_PACE) as paced:
        for _ in range(options.repeats):
            for api in apis:
                for case in CASES:
                    url = quick if case in {"whole", "burst"} else paced
                    found = run(drive(url, api, case, options.calls))
                    samples.setdefault(f"{api} {case}", []).append(found["cpu_us_per_call"])
    record: dict[str, Any] = {}
    for name, taken in samples.items():
        whole = spread(samples[f"{name.split()[0]} whole"])["median"]
        figures = spread(taken)
        record[name] = {"cpu_us_per_call": figures, "over_whole": figures["median"] / whole}
        print(f"{name:>20}  {figures['median']:7.0f} µs of CPU a call  {figures['median'] / whole:5.2f} ×")
    write("streams", record)


if __name__ == "__main__":
    main()
