"""A run killed at any instant is continued by the same command to the very same data set."""

from __future__ import annotations

import fcntl
import os
import signal
import termios
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.commands import Command, Start
from tests.e2e.killing import assert_nothing_was_lost_or_paid_for_nothing, kill_all_along
from tests.e2e.runs import Reference, Run, exported, finish, serve, until

DIALOGUES = 60


@pytest.fixture(scope="module")
def reference(uninterrupted: Callable[[int], Reference]) -> Reference:
    return uninterrupted(DIALOGUES)


@pytest.mark.timeout(300)
def test_kills_change_nothing(command: Command, start: Start, tmp_path: Path, reference: Reference) -> None:
    run = Run(tmp_path / "run", DIALOGUES, serve(start, "--latency", 0.02))
    killed = kill_all_along(start, run, reference, instant=2, early=2, midway=4, last=2, seed=1)
    assert len(killed.kinds) >= 8
    assert killed.kinds.count("midway") == 4
    assert killed.in_final_write >= 1
    assert_nothing_was_lost_or_paid_for_nothing(command, run, reference, killed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sixty_kills_change_nothing(
    command: Command, start: Start, tmp_path: Path, uninterrupted: Callable[[int], Reference]
) -> None:
    reference = uninterrupted(500)
    run = Run(tmp_path / "run", 500, serve(start, "--latency", 0.02), concurrency=16)
    killed = kill_all_along(start, run, reference, instant=12, early=16, midway=36, last=12, seed=2)
    counters = run.server.counters()
    figures = {
        "kills": len(killed.kinds),
        "by instant": dict(Counter(killed.kinds)),
        "in the final write": killed.in_final_write,
        "calls": reference.calls,
        "in flight at the kills": killed.in_flight,
        "most at one kill": killed.most,
        "sent twice": counters["requests"] - reference.calls,
        "answered twice": counters["repeated"],
    }
    print(figures)  # noqa: T201  shown by -s
    assert len(killed.kinds) >= 60
    assert killed.in_final_write >= 3
    assert_nothing_was_lost_or_paid_for_nothing(command, run, reference, killed)


def test_sigterm_lets_calls_finish(
    command: Command, start: Start, tmp_path: Path, reference: Reference
) -> None:
    run = Run(tmp_path / "run", DIALOGUES, serve(start, "--latency", 0.02))
    process = start(*run.arguments)
    assert until(process, lambda: run.server.count("completed") > 200)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    finish(start, run)
    assert run.server.count("repeated") == 0
    assert exported(command, run.folder) == reference.exported


def test_a_closed_terminal_lets_calls_finish(
    command: Command, start: Start, tmp_path: Path, reference: Reference
) -> None:
    run = Run(tmp_path / "run", DIALOGUES, serve(start, "--latency", 0.02))
    terminal, its_end = os.openpty()
    os.set_blocking(terminal, False)

    def take_terminal() -> None:
        fcntl.ioctl(its_end, termios.TIOCSCTTY, 0)

    process = start(
        *(argument for argument in run.arguments if argument not in {"--display", "none"}),
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(its_end)

    def goes_on() -> bool:
        with suppress(BlockingIOError):
            os.read(terminal, 65_536)
        return run.server.count("completed") > 200

    assert until(process, goes_on)
    os.close(terminal)
    assert process.wait(60) == 130
    finish(start, run)
    assert run.server.count("repeated") == 0
    assert exported(command, run.folder) == reference.exported
