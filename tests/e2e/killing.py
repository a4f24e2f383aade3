"""Runs that are killed at chosen instants and continued by the same command.

The rehearsal provider stays up all the while and counts requests that it had answered before:
calls paid twice.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.commands import Command, Start
from tests.e2e.runs import Reference, Run, assert_each_index_once, exported, finish, until


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
        counters = run.server.settled()
        requests, completed = int(counters["requests"]), int(counters["completed"])
        # What was lost at earlier kills was sent again, and stays as the difference.
        served = requests - completed - self.served
        answered = completed - run.journalled() - self.answered
        assert served >= 0
        assert answered >= 0, "the journal holds calls that nobody answered"
        self.served += served
        self.answered += answered
        self.most = max(self.most, served + answered)
        self.in_final_write += run.size() == size and not is_summed_up(run)
        self.kinds.append(kind)


def is_summed_up(run: Run) -> bool:
    """Whether summary.json knows all dialogues."""
    summary = run.summary()
    return bool(summary) and bool(summary["dialogues"]["accepted"] == run.dialogues)


def holds_journal(process: subprocess.Popen[str]) -> bool:
    """Whether the process has its journal open: the run has begun."""
    try:
        folder = Path(f"/proc/{process.pid}/fd")
        return any(entry.readlink().name == "journal.sqlite" for entry in folder.iterdir())
    except OSError:
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
            if steps == 0 or is_summed_up(run):
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
    calls = run.summary()["calls"]
    assert calls["completed"] == reference.calls
    assert reference.calls <= calls["attempts"] <= counters["requests"]
