"""Runs that are killed at chosen instants and continued by the same command.

The rehearsal provider stays up all the while and counts requests that it had answered before:
calls paid twice.
"""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
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

    def line_count(self) -> int:
        file = self.folder / "dialogues.jsonl"
        return file.read_bytes().count(b"\n") if file.exists() else 0


@dataclass(slots=True)
class Killed:
    """What happened until the run was complete."""

    kinds: list[str] = field(default_factory=list[str])
    in_flight: int = 0


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


def until(process: subprocess.Popen[str], condition: Callable[[], bool], seconds: float = 90) -> bool:
    """Wait for a condition; False when the process has ended first."""
    end = time.monotonic() + seconds
    while process.poll() is None:
        if condition():
            return True
        assert time.monotonic() < end, "the run came to a halt"
        time.sleep(LOOK_EVERY)
    return False


def kill_all_along(
    start: Start, run: Run, *, early: int, midway: int, last: int, calls: int, seed: int
) -> Killed:
    """Kill the run so many times, continue it each time, and let it end.

    Args:
        early: Kills in the first 50 to 300 ms after the journal was opened: replay and first calls.
        midway: Kills spread over the calls of the run.
        last: Kills once nearly all lines are written; fewer when the run ends first.
        calls: Calls that the whole run takes.
        seed: Of the instants.
    """
    draw = random.Random(seed)
    killed = Killed()
    kinds = ["early"] * early + ["midway"] * midway
    draw.shuffle(kinds)
    passed = 0
    for kind in [*kinds, *["last"] * last]:
        process = start(*run.arguments)
        passed += kind == "midway"
        # The last tenth is left to the final writes: the run must not end before its midway kills are done.
        goal = int(0.9 * calls * passed / (midway + 1))

        def reached(kind: str = kind, goal: int = goal, process: subprocess.Popen[str] = process) -> bool:
            if kind == "early":
                return holds_journal(process)
            if kind == "midway":
                return holds_journal(process) and run.server.count("completed") >= goal
            return holds_journal(process) and run.line_count() >= run.dialogues - 2

        alive = until(process, reached)
        if alive:
            time.sleep(
                {
                    "early": draw.uniform(0.05, 0.3),
                    "midway": draw.uniform(0, 0.1),
                    "last": draw.uniform(0, 0.08),
                }[kind]
            )
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed.in_flight += run.server.count("in_flight")
        _, said = process.communicate(timeout=30)
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0, said
            continue
        killed.kinds.append(kind)
    finish(start, run)
    return killed


def finish(start: Start, run: Run) -> None:
    process = start(*run.arguments)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said


def assert_each_index_once(folder: Path, dialogues: int) -> None:
    ids: Sequence[str] = [
        json.loads(line)["id"] for line in (folder / "dialogues.jsonl").read_text("utf-8").splitlines()
    ]
    assert len(ids) == len(set(ids)) == dialogues
