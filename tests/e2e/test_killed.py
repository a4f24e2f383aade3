"""A run killed at any instant is continued by the same command to the very same data set."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import termios
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import Command
from tests.e2e.killing import (
    Reference,
    Run,
    Start,
    assert_each_index_once,
    assert_nothing_was_lost_or_paid_for_nothing,
    exported,
    finish,
    kill_all_along,
    serve,
    until,
)

DIALOGUES = 60


def uninterrupted(command: Command, folder: Path, dialogues: int) -> Reference:
    done = command("synth", "-n", dialogues, "-o", folder, "--display", "none")
    assert done.returncode == 0, done.stderr
    summary = json.loads((folder / "summary.json").read_text())
    size = (folder / "dialogues.jsonl").stat().st_size
    return Reference(exported(command, folder), int(summary["calls"]["completed"]), size)


@pytest.fixture(scope="module")
def reference(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return uninterrupted(command, tmp_path_factory.mktemp("reference") / "run", DIALOGUES)


def test_kills_change_nothing(command: Command, start: Start, tmp_path: Path, reference: Reference) -> None:
    run = Run(tmp_path / "run", DIALOGUES, serve(start, 0.02))
    killed = kill_all_along(start, run, reference, instant=2, early=2, midway=4, last=2, seed=1)
    assert len(killed.kinds) >= 8
    assert killed.kinds.count("midway") == 4
    assert killed.in_final_write >= 1
    assert_nothing_was_lost_or_paid_for_nothing(command, run, reference, killed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sixty_kills_change_nothing(command: Command, start: Start, tmp_path: Path) -> None:
    reference = uninterrupted(command, tmp_path / "reference", 500)
    run = Run(tmp_path / "run", 500, serve(start, 0.02), concurrency=16)
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
    run = Run(tmp_path / "run", DIALOGUES, serve(start, 0.02))
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
    run = Run(tmp_path / "run", DIALOGUES, serve(start, 0.02))
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


def test_two_interrupts_stop_at_once(
    command: Command, start: Start, tmp_path: Path, reference: Reference
) -> None:
    run = Run(tmp_path / "run", DIALOGUES, serve(start, 0.02))
    process = start(*run.arguments)
    assert until(process, lambda: run.server.count("completed") > 200)
    process.send_signal(signal.SIGINT)
    until(process, lambda: True)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    finish(start, run)
    assert run.server.count("repeated") <= run.concurrency
    assert exported(command, run.folder) == reference.exported


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_lost_last_writes_change_nothing(
    command: Command, start: Start, tmp_path: Path, reference: Reference
) -> None:
    run = Run(tmp_path / "run", DIALOGUES, serve(start, 0.02))
    process = start(*run.arguments)
    assert until(process, lambda: run.server.count("completed") > 300)
    process.kill()
    process.wait(20)
    size = (run.folder / "journal.sqlite-wal").stat().st_size
    for kept in (0, 17, size // 3, size - 4097, size - 1):
        copy = Run(tmp_path / f"kept-{kept}", DIALOGUES, run.server)
        shutil.copytree(run.folder, copy.folder)
        with (copy.folder / "journal.sqlite-wal").open("r+b") as log:
            log.truncate(kept)
        finish(start, copy)
        assert exported(command, copy.folder) == reference.exported, kept
        assert_each_index_once(copy.folder, DIALOGUES)
