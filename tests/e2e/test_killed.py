"""A run killed at any instant is continued by the same command to the very same data set."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Command
from tests.e2e.killing import (
    Run,
    Start,
    assert_each_index_once,
    exported,
    finish,
    kill_all_along,
    serve,
    until,
)

DIALOGUES = 40


def uninterrupted(command: Command, folder: Path, dialogues: int) -> tuple[bytes, int]:
    """The exported file of a run that nothing happened to, and the calls that it took."""
    done = command("synth", "-n", dialogues, "-o", folder, "--display", "none")
    assert done.returncode == 0, done.stderr
    summary = json.loads((folder / "summary.json").read_text())
    return exported(command, folder), int(summary["calls"]["completed"])


@pytest.fixture(scope="module")
def reference(command: Command, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, int]:
    return uninterrupted(command, tmp_path_factory.mktemp("reference") / "run", DIALOGUES)


def test_kills_change_nothing(
    command: Command, start: Start, tmp_path: Path, reference: tuple[bytes, int]
) -> None:
    run = Run(tmp_path / "run", DIALOGUES, serve(start, 0.02))
    killed = kill_all_along(start, run, early=2, midway=3, last=1, calls=reference[1], seed=1)
    assert len(killed.kinds) >= 5
    assert exported(command, run.folder) == reference[0]
    assert_each_index_once(run.folder, DIALOGUES)
    assert run.server.count("repeated") <= len(killed.kinds) * run.concurrency


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_sixty_kills_change_nothing(
    command: Command,
    start: Start,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    expected, calls = uninterrupted(command, tmp_path / "reference", 500)
    run = Run(tmp_path / "run", 500, serve(start, 0.02), concurrency=16)
    killed = kill_all_along(start, run, early=20, midway=40, last=6, calls=calls, seed=2)
    repeated = run.server.count("repeated")
    figures = {
        "kills": len(killed.kinds),
        "calls": calls,
        "repeated": repeated,
        "in_flight": killed.in_flight,
    }
    record_property("figures", figures)
    assert len(killed.kinds) >= 60
    assert exported(command, run.folder) == expected
    assert_each_index_once(run.folder, 500)
    assert repeated <= len(killed.kinds) * run.concurrency


def test_sigterm_lets_calls_finish(
    command: Command, start: Start, tmp_path: Path, reference: tuple[bytes, int]
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
    assert exported(command, run.folder) == reference[0]


def test_two_interrupts_stop_at_once(
    command: Command, start: Start, tmp_path: Path, reference: tuple[bytes, int]
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
    assert exported(command, run.folder) == reference[0]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_lost_last_writes_change_nothing(
    command: Command, start: Start, tmp_path: Path, reference: tuple[bytes, int]
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
        assert exported(command, copy.folder) == reference[0], kept
        assert_each_index_once(copy.folder, DIALOGUES)
