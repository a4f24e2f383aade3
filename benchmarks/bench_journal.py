"""What the call journal costs: CPU beside that of the LLM core, bytes, latency, and opening a large one.

    python -m benchmarks.bench_journal [CASE…] [--calls 12000] [--repeats 5]

Every figure of CPU is of a fresh process against a server in a process of its own, all of its threads
together; with and without the journal in turn. The difference of two such runs is what the journal takes. The
server is as lean as can be, so that it is the client that a small machine is busy with; where a pace was not
reached for all that, ``pace_reached`` says so: how long calls wait is then mostly how long the loop is busy.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.canned import canned_server
from benchmarks.driving import make_client
from benchmarks.journal_calls import (
    ALIVE,
    KINDS,
    Call,
    Recorder,
    dialogues,
    drive,
    play_dialogues,
    prompt_bytes,
)
from benchmarks.journal_growth import case_resume, case_size
from benchmarks.record import spread, write
from toolflow.journal.bodies import CallRecord
from toolflow.journal.calls import MemoryJournal, SqliteJournal
from toolflow.journal.replay import JournalledModel
from toolflow.llm.chat import ChatModel, Completion, Request
from toolflow.llm.concurrency.limit import FixedConcurrency
from toolflow.runtime.loop import run

PACES = {"own": (2_000, 1_000, None), "growing": (2_000,), "fresh": (2_000,)}
"""Calls a second; None for as fast as may be."""
LATENCY = 0.05
RUN_DIALOGUES, RUN_ALIVE = 300, 60
REACHED = 0.95
"""A pace is reached from this share of it on."""


class Rehearsed:
    """Sends each request for real, and answers with the reply that was recorded for it."""

    def __init__(self, model: ChatModel, calls: list[list[Call]]) -> None:
        self._model = model
        self._replies = {request.key: completion.message for each in calls for request, completion in each}

    async def complete(self, request: Request) -> Completion:
        completion = await self._model.complete(request)
        return replace(completion, message=self._replies[request.key])


class TimedJournal(SqliteJournal):
    """Knows how long each call waited to be durable."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.waited: list[float] = []

    async def append(self, record: CallRecord) -> None:
        began = time.perf_counter()
        await super().append(record)
        self.waited.append(time.perf_counter() - began)


def worker(arguments: argparse.Namespace) -> None:
    """One measurement in this process, printed as JSON."""
    known = KINDS[arguments.kind]()
    # Full rounds, for a rest of a few dialogues could not keep the pace.
    rounds = max(1, round(arguments.calls * len(known) / sum(map(len, known)) / ALIVE))
    calls = dialogues(arguments.kind, rounds * ALIVE)
    total = sum(map(len, calls))
    gc.collect()
    gc.freeze()  # a run does not hold the calls that are to come

    async def play(folder: Path) -> dict[str, Any]:
        client, _ = make_client([arguments.worker], lambda: FixedConcurrency(ALIVE), None, 60.0)
        model: ChatModel = Rehearsed(client, calls)
        found: dict[str, Any] = {}
        with ExitStack() as stack:
            journal = TimedJournal(folder / "journal.sqlite") if arguments.journal else None
            if journal is not None:
                stack.enter_context(journal)
                model = JournalledModel(model, journal)
            cpu, wall = time.process_time(), time.perf_counter()
            await drive(model, calls, arguments.pace)
            found["calls"] = total
            found["cpu_us"] = 1e6 * (time.process_time() - cpu) / total
            found["calls_per_s"] = total / (time.perf_counter() - wall)
            if journal is not None:
                assert journal.totals().all.calls == total, "a call was lost"
                waited = sorted(journal.waited)
                found["waited_ms"] = {
                    "p50": 1e3 * waited[total // 2],
                    "p99": 1e3 * waited[total * 99 // 100],
                    "max": 1e3 * waited[-1],
                }
                found["log_bytes"] = (folder / "journal.sqlite-wal").stat().st_size
        await client.close()
        if arguments.journal:
            found["bytes_per_call"] = (folder / "journal.sqlite").stat().st_size / total
        return found

    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(play(Path(folder)))))


class Unjournalled(JournalledModel):
    """Keeps nothing."""

    async def complete(self, request: Request) -> Completion:
        return await self._model.complete(request)


def run_worker(arguments: argparse.Namespace) -> None:
    """A whole run in this process, agents and checks included, printed as JSON."""
    # Replies follow from the seed: they are made beforehand, so that the rehearsal model is not measured.
    recorder = Recorder()
    asyncio.run(play_dialogues(JournalledModel(recorder, MemoryJournal()), RUN_DIALOGUES, alive=8))
    calls = list(recorder.calls.values())
    total = sum(map(len, calls))
    gc.collect()
    gc.freeze()

    async def play(folder: Path) -> dict[str, Any]:
        client, _ = make_client([arguments.worker], lambda: FixedConcurrency(RUN_ALIVE), None, 60.0)
        answering = Rehearsed(client, calls)
        with ExitStack() as stack:
            model: JournalledModel = Unjournalled(answering, MemoryJournal())
            if arguments.journal:
                journal = stack.enter_context(SqliteJournal(folder / "journal.sqlite"))
                model = JournalledModel(answering, journal)
            cpu, wall = time.process_time(), time.perf_counter()
            await play_dialogues(model, RUN_DIALOGUES, RUN_ALIVE)
            used, took = time.process_time() - cpu, time.perf_counter() - wall
        await client.close()
        return {"calls": total, "cpu_us": 1e6 * used / total, "calls_per_s": total / took}

    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(play(Path(folder)))))


def case_run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The journal's share of a whole run: agents, prompts, checks and files beside the LLM core."""
    without, with_it = [], []
    for _ in range(arguments.repeats):
        without.append(measure("own", 0, None, "--whole"))
        with_it.append(measure("own", 0, None, "--whole", "--journal"))
    journal = [mine["cpu_us"] - bare["cpu_us"] for mine, bare in zip(with_it, without, strict=True)]
    found = {
        "whole_us": spread([each["cpu_us"] for each in with_it]),
        "journal_us": spread(journal),
        "share": spread([each / mine["cpu_us"] for each, mine in zip(journal, with_it, strict=True)]),
        "calls_per_s": spread([each["calls_per_s"] for each in with_it]),
        "calls": with_it[0]["calls"],
    }
    medians = {name: round(value["median"], 3) for name, value in found.items() if isinstance(value, dict)}
    print(f"a whole run: {json.dumps(medians)}", flush=True)
    return found


def measure(kind: str, calls: int, pace: float | None, *options: str) -> dict[str, Any]:
    """One worker against a server of its own; each call was answered once."""
    paced = () if pace is None else ("--pace", str(pace))
    with canned_server(LATENCY) as server:
        command = [sys.executable, "-m", "benchmarks.bench_journal", "--worker", server.url, "--kind", kind]
        output = subprocess.run(
            [*command, "--calls", str(calls), *paced, *options], check=True, capture_output=True, text=True
        ).stdout
        found: dict[str, Any] = json.loads(output)
        found["server_us"] = 1e6 * server.cpu_seconds() / found["calls"]
        assert server.stop() == found["calls"], "a call was lost or sent twice"
    return found


def case_cost(arguments: argparse.Namespace) -> dict[str, Any]:
    """CPU of a call with and without the journal in turn, bytes, and how long calls wait to be durable."""
    found: dict[str, Any] = {}
    for kind, pace in ((each, pace) for each in KINDS for pace in PACES[each]):
        without, with_it = [], []
        for _ in range(arguments.repeats):
            without.append(measure(kind, arguments.calls, pace))
            with_it.append(measure(kind, arguments.calls, pace, "--journal"))
        core = [each["cpu_us"] for each in without]
        journal = [mine["cpu_us"] - bare for mine, bare in zip(with_it, core, strict=True)]
        # The journal's share of the whole: of the CPU that a journalled call takes.
        share = [each / mine["cpu_us"] for each, mine in zip(journal, with_it, strict=True)]
        case: dict[str, Any] = {
            "prompt_characters": prompt_bytes(kind),
            "core_us": spread(core),
            "journal_us": spread(journal),
            "share": spread(share),
            "server_us": spread([each["server_us"] for each in with_it]),
            "calls_per_s": spread([each["calls_per_s"] for each in with_it]),
            "calls_per_s_without": spread([each["calls_per_s"] for each in without]),
            "bytes_per_call": spread([each["bytes_per_call"] for each in with_it]),
            "log_bytes": spread([each["log_bytes"] for each in with_it]),
            **{
                f"waited_ms_{name}": spread([each["waited_ms"][name] for each in with_it])
                for name in ("p50", "p99", "max")
            },
        }
        medians = {name: round(value["median"], 3) for name, value in case.items() if isinstance(value, dict)}
        if pace is not None:
            case["pace"] = pace
            case["pace_reached"] = {
                "with": medians["calls_per_s"] >= REACHED * pace,
                "without": medians["calls_per_s_without"] >= REACHED * pace,
            }
            medians["pace_reached"] = case["pace_reached"]
        name = f"{kind}_{pace or 'flat_out'}"
        found[name] = case
        print(f"{name}: {json.dumps(medians)}", flush=True)
    return found


CASES = {"cost": case_cost, "run": case_run, "size": case_size, "resume": case_resume}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], default=[])
    parser.add_argument("--calls", type=int, default=12_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--worker", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=list(KINDS), default="own", help=argparse.SUPPRESS)
    parser.add_argument("--journal", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--whole", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--pace", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        (run_worker if arguments.whole else worker)(arguments)
        return
    results: dict[str, Any] = {}
    for name in arguments.cases or CASES:
        results[name] = CASES[name](arguments)
        write("journal", results)


if __name__ == "__main__":
    main()
