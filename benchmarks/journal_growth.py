"""Opening, reading, writing and resuming journals of many finished dialogues: cases of ``bench_journal``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks.driving import counters, provider
from benchmarks.journal_calls import dialogues, drive
from benchmarks.record import spread
from toolflow.journal.calls import SqliteJournal
from toolflow.journal.opening import open_for_writing
from toolflow.journal.replay import JournalledModel
from toolflow.journal.salvage import mend
from toolflow.journal.schema import CALL_COLUMNS, catch_up
from toolflow.llm.chat import Completion, Request
from toolflow.runtime.loop import run


def _grown(path: Path, wanted: int) -> None:
    """A journal of so many finished dialogues of 20 calls: a hundred that were written, and their copies."""
    written = dialogues("growing", 100)

    class Known:
        async def complete(self, request: Request) -> Completion:
            return written[request.key.dialogue][request.key.position][1]

    async def play() -> None:
        with SqliteJournal(path) as journal:
            await drive(JournalledModel(Known(), journal), written)

    run(play())
    with closing(open_for_writing(path)) as connection:
        columns = CALL_COLUMNS.removeprefix("dialogue, ").removesuffix("frame, place")
        frames = connection.execute("SELECT max(id) FROM frames").fetchone()[0]
        count, copies = len(written), 1
        while count < wanted:
            more = min(count, wanted - count)
            connection.execute("BEGIN")
            connection.execute(
                f"INSERT INTO calls (dialogue, {columns} frame, place) "
                f"SELECT dialogue + ?, {columns} frame + ?, place FROM calls WHERE dialogue < ?",
                (count, frames * copies, more),
            )
            connection.execute("INSERT INTO frames SELECT id + ?, body FROM frames", (frames * copies,))
            copies *= 2
            connection.execute(
                "INSERT INTO dialogues SELECT dialogue + ?, state, stage, reason, at FROM dialogues "
                "WHERE dialogue < ?",
                (count, more),
            )
            connection.execute("COMMIT")
            count += more
        catch_up(connection)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)


def _opened(path: Path, finished: int) -> dict[str, float]:
    """Milliseconds of what a run does before its first call, and CPU of calls after that."""
    calls = dialogues("growing", 200)
    later = [
        [
            (replace(request, key=request.key._replace(dialogue=finished + place)), reply)
            for request, reply in each
        ]
        for place, each in enumerate(calls)
    ]
    replies = {request.key: reply for each in later for request, reply in each}

    class Known:
        async def complete(self, request: Request) -> Completion:
            return replies[request.key]

    async def play() -> dict[str, float]:
        found = {"check_ms": _timed(lambda: mend(path))}
        began = time.perf_counter()
        with SqliteJournal(path) as journal:
            found["open_ms"] = 1e3 * (time.perf_counter() - began)
            model = JournalledModel(Known(), journal)
            found["states_ms"] = _timed(lambda: model.continue_from(range(finished), ()))
            found["totals_ms"] = _timed(journal.totals)
            found["calls_of_one_ms"] = _timed(lambda: journal.calls_of(finished // 2))
            cpu = time.process_time()
            await drive(model, later)
            found["cpu_us_per_call"] = 1e6 * (time.process_time() - cpu) / len(replies)
        return found

    return run(play())


def case_size(arguments: argparse.Namespace) -> dict[str, Any]:
    """Opening, reading and writing journals of 1,000, 10,000 and 100,000 finished dialogues."""
    found: dict[str, Any] = {}
    for finished in (1_000, 10_000, 100_000):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "journal.sqlite"
            _grown(path, finished)
            samples = [_opened(path, finished + 200 * repeat) for repeat in range(arguments.repeats)]
            case: dict[str, Any] = {name: spread([each[name] for each in samples]) for name in samples[0]}
            case["mebibytes"] = path.stat().st_size / 2**20
            found[str(finished)] = case
        medians = {name: round(value["median"], 3) for name, value in case.items() if name != "mebibytes"}
        print(f"{finished} finished, {case['mebibytes']:.0f} MiB: {json.dumps(medians)}", flush=True)
    return found


def _copied_run(folder: Path, finished: int, url: str) -> None:
    """A run directory with so many finished dialogues, copied from a few that were played."""
    subprocess.run([*_synth(folder, 40, url)], check=True, capture_output=True)
    lines = [json.loads(line) for line in (folder / "dialogues.jsonl").read_bytes().splitlines()]
    (folder / "rejected.jsonl").write_bytes(b"")
    with (folder / "dialogues.jsonl").open("wb") as file:
        for index in range(finished):
            line = lines[index % len(lines)]
            line["id"], line["metadata"]["index"] = f"d{index:07d}", index
            file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    for leftover in folder.glob("journal.sqlite*"):
        leftover.unlink()
    _grown(folder / "journal.sqlite", finished)


def _synth(folder: Path, target: int, url: str) -> list[str]:
    command = str(Path(sys.executable).with_name("toolflow"))
    return [
        *(command, "synth", "-n", str(target), "-o", str(folder), "--display", "none"),
        *("--model", "rehearsal", "--base-url", url, "--tool-calls", "native", "--max-concurrency", "8"),
    ]


def _first_call(folder: Path, target: int, url: str) -> tuple[float, float]:
    """Seconds from the start of the command to its first call at the server, and CPU until then."""
    before = counters(url)["requests"]
    began = time.perf_counter()
    process = subprocess.Popen(_synth(folder, target, url), stdout=subprocess.DEVNULL)
    try:
        while counters(url)["requests"] <= before + 1:  # the first one is the probe
            assert process.poll() is None, "the run ended"
            time.sleep(0.005)
        took = time.perf_counter() - began
        used = psutil.Process(process.pid).cpu_times()
        return took, used.user + used.system
    finally:
        process.kill()
        process.wait(20)


def case_resume(arguments: argparse.Namespace) -> dict[str, Any]:
    """The installed command on a run of 10,000 finished dialogues, beside one that begins anew."""
    finished = 10_000
    fresh, resumed = [], []
    with tempfile.TemporaryDirectory() as name, provider(fixed=False) as url:
        folder = Path(name) / "run"
        _copied_run(folder, finished, url)
        for repeat in range(arguments.repeats):
            fresh.append(_first_call(Path(name) / f"fresh-{repeat}", 100, url))
            resumed.append(_first_call(folder, finished + 100, url))
    found: dict[str, Any] = {"finished": finished}
    for name, samples in (("fresh", fresh), ("resumed", resumed)):
        found[f"{name}_s"] = spread([wall for wall, _ in samples])
        found[f"{name}_cpu_s"] = spread([cpu for _, cpu in samples])
        print(
            f"{name}: first call after {found[f'{name}_s']['median']:.2f} s, "
            f"{found[f'{name}_cpu_s']['median']:.2f} s of them CPU"
        )
    return found
