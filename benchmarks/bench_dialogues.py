"""CPU time and memory per dialogue of six LLM calls, over HTTP, journal and data set included.

    python -m benchmarks.bench_dialogues [--dialogues 2000] [--repeats 5]

Every figure is taken in a fresh worker process against a server in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.record import spread, write
from benchmarks.six_calls import CALLS_PER_DIALOGUE, TOOL_SET
from toolflow.agents.cast import Troupe
from toolflow.agents.prompts import ROLES, Prompts
from toolflow.agents.voice import RoleModel
from toolflow.config import DialogueConfig
from toolflow.journal.calls import SqliteJournal
from toolflow.journal.replay import JournalledModel
from toolflow.journal.run_directory import RunDirectory
from toolflow.llm.client import Client
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.gate import Gate
from toolflow.llm.providers.openai import OpenAIProvider
from toolflow.llm.router import Router
from toolflow.pipeline import Bounds, Synthesis
from toolflow.progress import Progress
from toolflow.runtime.bus import Bus
from toolflow.runtime.loop import run


@contextmanager
def server(latency: float) -> Generator[int]:
    """A server of canned replies; its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.six_calls", str(latency)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(30)


def answered(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/count") as response:
        count: int = json.load(response)["answered"]
    return count


def worker(port: int, dialogues: int, concurrency: int) -> None:
    """Play dialogues in this process; print CPU seconds, wall seconds and peak memory as JSON."""

    class OneToolSet:
        def sample(self, index: int) -> Any:
            del index
            return TOOL_SET

    async def play(folder: Path) -> dict[str, float]:
        provider = OpenAIProvider(Endpoint(f"http://127.0.0.1:{port}/v1"))
        client = Client(Router.single(provider, Gate(concurrency)))
        progress = Progress(dialogues, time.monotonic)
        with RunDirectory(folder) as directory, SqliteJournal(directory.journal) as journal:
            model = JournalledModel(client, journal)
            synthesis = Synthesis(
                Bounds(dialogues, dialogues, lambda: concurrency + concurrency // 4, 600),
                sampler=OneToolSet(),
                troupe=Troupe(
                    model,
                    Prompts(),
                    {role: (RoleModel("canned"),) for role in ROLES},
                    "native",
                    DialogueConfig(fewest_goals=1, most_goals=1),
                    seed=0,
                ),
                model=model,
                run=directory,
                bus=Bus(time.monotonic),
                progress=progress,
                labels={},
            )
            cpu, wall = time.process_time(), time.perf_counter()
            ending = await synthesis.play()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        await client.close()
        assert ending == "target_met", ending
        assert progress.accepted == dialogues, progress.reasons
        return {"cpu_s": cpu, "wall_s": wall}

    with tempfile.TemporaryDirectory() as folder:
        figures = run(play(Path(folder) / "run"))
    figures["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures))


def measure(latency: float, dialogues: int, concurrency: int) -> dict[str, float]:
    """One worker against one server; asserts that each call was answered once."""
    with server(latency) as port:
        command = [sys.executable, "-m", "benchmarks.bench_dialogues", "--worker"]
        arguments = [str(port), "--dialogues", str(dialogues), "--concurrency", str(concurrency)]
        output = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True).stdout
        assert answered(port) == dialogues * CALLS_PER_DIALOGUE
    figures: dict[str, float] = json.loads(output)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dialogues", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--worker", type=int, metavar="PORT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        worker(arguments.worker, arguments.dialogues, arguments.concurrency)
        return
    results: dict[str, Any] = {}
    for latency in (0.0, 0.05):
        runs = [
            measure(latency, arguments.dialogues, arguments.concurrency) for _ in range(arguments.repeats)
        ]
        case = {
            "dialogues": arguments.dialogues,
            "concurrency": arguments.concurrency,
            "cpu_ms_per_dialogue": spread([1e3 * run["cpu_s"] / arguments.dialogues for run in runs]),
            "dialogues_per_s": spread([arguments.dialogues / run["wall_s"] for run in runs]),
            "peak_mib": spread([run["peak_mib"] for run in runs]),
        }
        results[f"latency_{latency * 1e3:g}_ms"] = case
        print(
            f"latency {latency * 1e3:g} ms: {case['cpu_ms_per_dialogue']['median']:.2f} ms CPU a dialogue, "
            f"{case['dialogues_per_s']['median']:.0f} dialogues/s, peak {case['peak_mib']['median']:.0f} MiB"
        )
    memory = {str(count): measure(0.0, count, arguments.concurrency)["peak_mib"] for count in (1_000, 10_000)}
    results["peak_mib_by_dialogues"] = memory | {"ratio": memory["10000"] / memory["1000"]}
    print(f"peak memory at 1,000 and 10,000 dialogues: {memory['1000']:.0f} and {memory['10000']:.0f} MiB")
    write("dialogues", results)


if __name__ == "__main__":
    main()
