"""Runs that are killed at chosen instants and continued by the same command.

The rehearsal provider stays up all the while and counts requests that it had answered before:
calls paid twice.
"""

from __future__ import annotations

import json
import random
import re
import signal
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Command

Start = Callable[..., "subprocess.Popen[str]"]
LOOK_EVERY = 0.004  # seconds between two looks at a process


@dataclass(frozen=True, slots=True)
class Server:
    """A rehearsal provider of its own, so that its counters belong to one run alone."""

    url: str

    def counters(self) -> dict[str, Any]:
        address = self.url.rsplit("/v1", 1)[0] + "/rehearsal/counters"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=20) as answer:
            counted: dict[str, Any] = json.loads(answer.read())
            return counted

    def count(self, name: str) -> int:
        return int(self.counters()[name])


@dataclass(frozen=True, slots=True)
class Run:
    """One synth command, to be given again and again."""

    folder: Path
    dialogues: int
    server: Server
    concurrency: int = 8

    @property
    def arguments(self) -> tuple[object, ...]:
        return (
            *("synth", "-n", self.dialogues, "-o", self.folder, "--display", "none"),
            *("--model", "rehearsal", "--base-url", self.server.url, "--tool-calls", "native"),
            *("--max-concurrency", self.concurrency),
        )

    def size(self) -> int:
        """Of dialogues.jsonl."""
        try:
            return (self.folder / "dialogues.jsonl").stat().st_size
        except FileNotFoundError:
            return 0

    def line_count(self) -> int:
        """Of dialogues.jsonl."""
        file = self.folder / "dialogues.jsonl"
        return file.read_bytes().count(b"\n") if file.exists() else 0

    def journalled(self) -> int:
        """Calls in the journal."""
        try:
            with closing(
                sqlite3.connect(f"file:{self.folder / 'journal.sqlite'}?mode=ro", uri=True)
            ) as journal:
                return int(journal.execute("SELECT count(*) FROM calls").fetchone()[0])
        except sqlite3.OperationalError:  # it was killed before it made one
            return 0

    def is_summed_up(self) -> bool:
        """Whether summary.json knows all dialogues."""
        try:
            summary = json.loads((self.folder / "summary.json").read_text())
        except FileNotFoundError:
            return False
        return bool(summary["dialogues"]["accepted"] == self.dialogues)


@dataclass(frozen=True, slots=True)
class Reference:
    """A run that nothing happened to."""

    exported: bytes
    calls: int
    size: int
    """Of dialogues.jsonl, whatever the order of its lines."""


@dataclass(slots=True)
class Killed:
    """What happened until the run was complete.

    Attributes:
        kinds: Of the kills.
        served: Calls that the provider was answering when their process was killed.
        answered: Calls that it had answered and that were not in the journal then.
        most: In flight at one kill: served and answered.
        in_final_write: Kills after the last dialogue was accepted and before summary.json said so.
    """

    kinds: list[str] = field(default_factory=list[str])
    served: int = 0
    answered: int = 0
    most: int = 0
    in_final_write: int = 0

    @property
    def in_flight(self) -> int:
        return self.served + self.answered

    def count(self, kind: str, run: Run, size: int) -> None:
        """Take down a kill; the process is gone."""
        counters = settled(run.server)
        requests, completed = int(counters["requests"]), int(counters["completed"])
        # What was lost at earlier kills was sent again, and stays as the difference.
        served = requests - completed - self.served
        answered = completed - run.journalled() - self.answered
        assert served >= 0
        assert answered >= 0, "the journal holds calls that nobody answered"
        self.served += served
        self.answered += answered
        self.most = max(self.most, served + answered)
        self.in_final_write += run.size() == size and not run.is_summed_up()
        self.kinds.append(kind)


def settled(server: Server) -> dict[str, Any]:
    """The counters once the server has noticed that its clients are gone."""
    end = time.monotonic() + 20
    while True:
        counters = server.counters()
        if not counters["in_flight"]:
            return counters
        assert time.monotonic() < end, "the server still works for somebody"
        time.sleep(LOOK_EVERY)


def serve(start: Start, latency: float) -> Server:
    process = start("provider", "--port", 0, "--latency", latency)
    assert process.stdout is not None
    url = re.search(r"http://\S+", process.stdout.readline())
    assert url is not None
    return Server(url[0])


def exported(command: Command, folder: Path) -> bytes:
    file = folder.with_name(folder.name + ".exported.jsonl")
    done = command("export", folder, "-o", file)
    assert done.returncode == 0, done.stderr
    return file.read_bytes()


def holds_journal(process: subprocess.Popen[str]) -> bool:
    """Whether the process has its journal open: the run has begun."""
    try:
        folder = Path(f"/proc/{process.pid}/fd")
        return any(entry.readlink().name == "journal.sqlite" for entry in folder.iterdir())
    except OSError:
        return False


def until(
    process: subprocess.Popen[str],
    condition: Callable[[], bool],
    seconds: float = 90,
) -> bool:
    """Wait for a condition; False when the process has ended first."""
    end = time.monotonic() + seconds
    while process.poll() is None:
        if condition():
            return True
        assert time.monotonic() < end, "the run came to a halt"
        time.sleep(LOOK_EVERY)
    return False


def kill_all_along(
    start: Start,
    run: Run,
    reference: Reference,
    *,
    instant: int,
    early: int,
    midway: int,
    last: int,
    seed: int,
) -> Killed:
    """Kill the run so many times, continue it each time, and let it end.

    Args:
        start: Starts the command.
        run: What to kill.
        reference: What it is to become.
        instant: Kills in the first second of a process: imports, run.json, the inputs, the journal's tables.
        early: Kills in the first 50 to 300 ms after the journal was opened: replay and first calls.
        midway: Kills spread over the calls of the run.
        last: Kills once the last line is written, and mostly before summary.json is.
        seed: Of the instants.
    """
    draw = random.Random(seed)
    killed = Killed()
    kinds = ["instant"] * (instant // 2) + ["early"] * early + ["midway"] * midway
    draw.shuffle(kinds)
    passed = 0
    # Half of the first kills meet a folder in which nothing is yet.
    for kind in [*["instant"] * (instant - instant // 2), *kinds, *["last"] * last]:
        process = start(*run.arguments)
        passed += kind == "midway"
        # The last tenth is left to the final writes: the run must not end before its midway kills are done.
        goal = int(0.9 * reference.calls * passed / (midway + 1))

        def reached(kind: str = kind, goal: int = goal, process: subprocess.Popen[str] = process) -> bool:
            if kind == "instant":
                return True
            if kind == "midway":
                return holds_journal(process) and run.server.count("completed") >= goal
            if kind == "early":
                return holds_journal(process)
            return holds_journal(process) and run.size() >= reference.size - 100_000

        if until(process, reached):
            if kind == "last":
                stop_in_final_write(process, run, reference.size, draw)
            else:
                times = {"instant": (0.0, 1.2), "early": (0.05, 0.3), "midway": (0.0, 0.1)}
                time.sleep(draw.uniform(*times[kind]))
        process.kill()
        _, said = process.communicate(timeout=30)
        if process.returncode == -signal.SIGKILL:
            killed.count(kind, run, reference.size)
        else:
            assert process.returncode == 0, said
    finish(start, run)
    return killed


def stop_in_final_write(process: subprocess.Popen[str], run: Run, size: int, draw: random.Random) -> None:
    """Lead a process by small steps to where all lines are written, and a few steps on."""
    steps = draw.randrange(4)
    while process.poll() is None:
        process.send_signal(signal.SIGSTOP)
        if run.size() == size:
            if steps == 0 or run.is_summed_up():
                return
            steps -= 1
        process.send_signal(signal.SIGCONT)
        time.sleep(0.001)


def assert_nothing_was_lost_or_paid_for_nothing(
    command: Command, run: Run, reference: Reference, killed: Killed
) -> None:
    assert exported(command, run.folder) == reference.exported
    assert_each_index_once(run.folder, run.dialogues)
    counters = run.server.counters()
    # Answered twice: at most what had been answered and was not yet in the journal.
    assert counters["repeated"] <= killed.answered
    # Sent twice: at most what was in flight at the kills, and exactly that if all of it was asked again.
    assert counters["requests"] - reference.calls <= killed.in_flight
    assert run.journalled() == reference.calls
    # Those of killed processes are among them.
    calls = json.loads((run.folder / "summary.json").read_text())["calls"]
    assert calls["completed"] == reference.calls
    assert reference.calls <= calls["attempts"] <= counters["requests"]


def finish(start: Start, run: Run) -> None:
    process = start(*run.arguments)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said


def assert_each_index_once(folder: Path, dialogues: int) -> None:
    ids: Sequence[str] = [
        json.loads(line)["id"] for line in (folder / "dialogues.jsonl").read_text("utf-8").splitlines()
    ]
    assert len(ids) == len(set(ids)) == dialogues
