"""What the call journal costs: CPU beside that of the LLM core, bytes, latency, and opening a large one.

    python -m benchmarks.bench_journal [CASE…] [--calls 24000] [--repeats 5]

CPU is that of all threads of a process, against a server in a process of its own: so many calls with the
journal and as many without it in turn, for the speed of a machine that others share changes from second to
second. The difference of the medians is what the journal takes. The server is as lean as can be, so that it
is the client that a small machine is busy with. A call waits in the journal as long as the loop is busy with
all else, too: ``wait`` tells how long it does where replies cost nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
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
    Drive,
    Recorder,
    dialogues,
    play_dialogues,
    prompt_bytes,
)
from benchmarks.journal_growth import case_resume, case_size
from benchmarks.record import spread, write
from toolflow.journal.asked import Answered
from toolflow.journal.calls import NEWS_AFTER, MemoryJournal, SqliteJournal
from toolflow.journal.replay import JournalledModel
from toolflow.llm.chat import ChatModel, Completion, Request
from toolflow.llm.concurrency.limit import FixedConcurrency
from toolflow.runtime.loop import run

PACES = {"own": (2_000, 1_000, None), "growing": (2_000,), "fresh": (2_000,)}
"""Calls a second; None for as fast as may be."""
LATENCY = 0.05
TURN = 3_000
"""Calls from one change to the next."""
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
    """Knows how long one in eight calls waited to be durable."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.waited: list[float] = []
        self._calls_seen = 0

    def append(self, answered: Answered) -> asyncio.Future[None]:
        appending = super().append(answered)
        self._calls_seen += 1
        if self._calls_seen % 8 == 0:
            began = time.perf_counter()
            appending.add_done_callback(lambda _: self.waited.append(time.perf_counter() - began))
        return appending


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum, in milliseconds."""
    ordered = sorted(seconds)
    return {
        "p50": 1e3 * ordered[len(ordered) // 2],
        "p99": 1e3 * ordered[len(ordered) * 99 // 100],
        "max": 1e3 * ordered[-1],
    }


class Resting:
    """Answers after a while with the reply that was recorded, at next to no CPU."""

    def __init__(self, calls: list[list[Call]]) -> None:
        self._replies = {request.key: completion for each in calls for request, completion in each}

    async def complete(self, request: Request) -> Completion:
        await asyncio.sleep(LATENCY)
        return self._replies[request.key]


def worker(arguments: argparse.Namespace) -> None:
    """Calls with and without the journal, in turn, in this process; printed as JSON."""
    turns = max(1, arguments.calls // TURN)
    known = KINDS[arguments.kind]()
    per_turn = arguments.calls // turns
    count = ALIVE + arguments.calls * len(known) // sum(map(len, known))
    calls = dialogues(arguments.kind, 2 * count)
    gc.collect()
    gc.freeze()  # a run does not hold the calls that are to come

    async def turn(playing: Drive) -> dict[str, float]:
        cpu, wall = time.process_time(), time.perf_counter()
        await playing.go(per_turn, arguments.pace)
        took = time.perf_counter() - wall
        await asyncio.sleep(NEWS_AFTER)  # until the last states are written
        return {"cpu_us": 1e6 * (time.process_time() - cpu) / per_turn, "calls_per_s": per_turn / took}

    async def play(folder: Path) -> dict[str, Any]:
        client, _ = make_client([arguments.worker], lambda: FixedConcurrency(ALIVE), None, 60.0)
        sent: ChatModel = Resting(calls) if arguments.resting else Rehearsed(client, calls)
        found: dict[str, Any] = {"with": [], "without": []}
        journal = TimedJournal(folder / "journal.sqlite")
        with journal:
            async with (
                Drive(sent, calls[:count]) as bare,
                Drive(JournalledModel(sent, journal), calls[count:]) as journalled,
            ):
                for place in range(turns):
                    # In the order ABBA, so that what grows with time befalls both.
                    for with_it in (place % 2 == 0, place % 2 == 1):
                        playing = journalled if with_it else bare
                        found["with" if with_it else "without"].append(await turn(playing))
            assert journal.totals().all.calls == per_turn * turns, "a call was lost"
            found["waited_ms"] = quantiles(journal.waited)
            found["took_ms"] = quantiles(journalled.took)
            found["took_ms_without"] = quantiles(bare.took)
            found["log_bytes"] = (folder / "journal.sqlite-wal").stat().st_size
        await client.close()
        found["sent"] = 0 if arguments.resting else 2 * per_turn * turns
        found["bytes_per_call"] = (folder / "journal.sqlite").stat().st_size / (per_turn * turns)
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
        return {"sent": total, "cpu_us": 1e6 * used / total, "calls_per_s": total / took}

    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(play(Path(folder)))))


def measure(kind: str, *options: str) -> dict[str, Any]:
    """One worker against a server of its own; each call was answered once."""
    with canned_server(LATENCY) as server:
        command = [sys.executable, "-m", "benchmarks.bench_journal", "--worker", server.url, "--kind", kind]
        output = subprocess.run([*command, *options], check=True, capture_output=True, text=True).stdout
        found: dict[str, Any] = json.loads(output)
        assert server.stop() == found["sent"], "a call was lost or sent twice"
    return found


def compare(with_it: Sequence[dict[str, float]], without: Sequence[dict[str, float]]) -> dict[str, Any]:
    """CPU of a call with and without the journal, and the journal's share of the former."""
    mine, bare = ([each["cpu_us"] for each in samples] for samples in (with_it, without))
    journal = statistics.median(mine) - statistics.median(bare)
    return {
        "with_us": spread(mine),
        "without_us": spread(bare),
        "journal_us": journal,
        "share": journal / statistics.median(mine),
        "calls_per_s": spread([each["calls_per_s"] for each in with_it]),
        "calls_per_s_without": spread([each["calls_per_s"] for each in without]),
    }


def tell(name: str, case: dict[str, Any]) -> None:
    """Print a case, medians alone."""
    short = {
        key: {part: round(figure, 1) for part, figure in value.items()}
        if key.startswith(("waited", "took"))
        else round(value["median"] if isinstance(value, dict) else value, 3)
        for key, value in case.items()
    }
    print(f"{name}: {json.dumps(short)}", flush=True)


def case_run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The journal's share of a whole run: agents, prompts, checks and files beside the LLM core."""
    without, with_it = [], []
    for _ in range(arguments.repeats):
        without.append(measure("own", "--whole"))
        with_it.append(measure("own", "--whole", "--journal"))
    found = compare(with_it, without) | {"calls": with_it[0]["sent"]}
    tell("a whole run", found)
    return found


def case_cost(arguments: argparse.Namespace) -> dict[str, Any]:
    """CPU of a call with and without the journal, in turn; bytes; how long calls wait to be durable."""
    found: dict[str, Any] = {}
    for kind, pace in ((each, pace) for each in KINDS for pace in PACES[each]):
        paced = () if pace is None else ("--pace", str(pace))
        measured = measure(kind, "--calls", str(arguments.calls), *paced)
        case = compare(measured["with"], measured["without"])
        if pace is not None:
            case["pace"] = pace
            case["pace_reached"] = statistics.median(case["calls_per_s"]["samples"]) >= REACHED * pace
        latencies = ("waited_ms", "took_ms", "took_ms_without")
        case |= {name: measured[name] for name in (*latencies, "bytes_per_call", "log_bytes")}
        case["prompt_characters"] = prompt_bytes(kind)
        name = f"{kind}_{pace or 'flat_out'}"
        found[name] = case
        tell(name, case)
    return found


def case_wait(arguments: argparse.Namespace) -> dict[str, Any]:
    """How long calls wait to be durable where the loop has nothing else to do."""
    found: dict[str, Any] = {}
    for kind, pace in ((each, pace) for each in KINDS for pace in (2_000, 1_000)):
        measured = measure(kind, "--calls", str(arguments.calls), "--pace", str(pace), "--resting")
        case = {
            "calls_per_s": spread([each["calls_per_s"] for each in measured["with"]]),
            **{name: measured[name] for name in ("waited_ms", "took_ms", "took_ms_without")},
        }
        found[f"{kind}_{pace}"] = case
        tell(f"{kind}_{pace}, resting", case)
    return found


CASES = {"cost": case_cost, "wait": case_wait, "run": case_run, "size": case_size, "resume": case_resume}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], default=[])
    parser.add_argument("--calls", type=int, default=24_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--resting", action="store_true", help=argparse.SUPPRESS)
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
