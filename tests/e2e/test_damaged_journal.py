"""Journals that were cut, spoiled or left without their log, met by the installed command."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.conftest import Command
from tests.e2e.killing import (
    Run,
    Start,
    assert_each_index_once,
    exported,
    finish,
    serve,
    until,
)
from toolflow.journal.reading import JournalReader
from toolflow.journal.schema import PAGE_BYTES

DIALOGUES = 12
FRAME = PAGE_BYTES + 24  # a page of the log with its header
LOG_HEADER = 32


@pytest.fixture(scope="module")
def reference(command: Command, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The exported file of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    done = command("synth", "-n", DIALOGUES, "-o", folder, "--display", "none")
    assert done.returncode == 0, done.stderr
    return exported(command, folder)


@pytest.fixture(scope="module")
def killed(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was killed in the middle; to be copied, not continued."""
    run = Run(tmp_path_factory.mktemp("killed") / "run", DIALOGUES, serve(start, 0.01))
    process = start(*run.arguments)
    assert until(process, lambda: run.line_count() >= 4)
    process.kill()
    process.wait(20)
    assert (run.folder / "journal.sqlite-wal").stat().st_size > 10 * FRAME
    return run


def copied(killed: Run, folder: Path) -> Run:
    shutil.copytree(killed.folder, folder)
    return Run(folder, DIALOGUES, killed.server)


def continued(start: Start, run: Run) -> str:
    """Continue the run to its end; what it said."""
    process = start(*run.arguments)
    said, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    return said + errors


def cut_and_compare(
    command: Command, start: Start, killed: Run, folder: Path, kept: int, reference: bytes
) -> None:
    run = copied(killed, folder)
    with (run.folder / "journal.sqlite-wal").open("r+b") as log:
        log.truncate(kept)
    finish(start, run)
    assert exported(command, run.folder) == reference, kept
    assert_each_index_once(run.folder, DIALOGUES)
    with JournalReader(run.folder / "journal.sqlite") as journal:
        assert journal.count_states()["accepted"] == DIALOGUES
        assert "alive" not in journal.count_states()


@pytest.mark.parametrize("share", [0.37, 1.0])
def test_a_cut_log_changes_nothing(
    command: Command, start: Start, killed: Run, tmp_path: Path, reference: bytes, share: float
) -> None:
    """Cut inside a page, and short of its last byte."""
    size = (killed.folder / "journal.sqlite-wal").stat().st_size
    cut_and_compare(command, start, killed, tmp_path / "run", int(size * share) - 1, reference)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_log_cut_at_many_bytes_changes_nothing(
    command: Command, start: Start, killed: Run, tmp_path: Path, reference: bytes
) -> None:
    size = (killed.folder / "journal.sqlite-wal").stat().st_size
    frames = (size - LOG_HEADER) // FRAME
    draw = random.Random(3)
    edges = [LOG_HEADER + FRAME * draw.randrange(frames) + offset for offset in (-1, 0, 1, 23, 24, 25)]
    cuts = [0, 1, 31, 32, 33, *edges, *(draw.randrange(size) for _ in range(10)), size - 1]
    for kept in cuts:
        cut_and_compare(command, start, killed, tmp_path / f"kept-{kept}", kept, reference)
        shutil.rmtree(tmp_path / f"kept-{kept}")


def garbage_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // PAGE_BYTES // 2 * PAGE_BYTES)
        file.write(random.Random(1).randbytes(PAGE_BYTES))


def spoiled_body(path: Path) -> None:
    """What no check of SQLite's finds: it shows when the dialogue is replayed, in the middle of the run."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "UPDATE calls SET body = zeroblob(length(body)) WHERE dialogue = "
            "(SELECT max(dialogue) FROM calls) AND position = 0"
        )
        connection.commit()


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def half(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 + 100)


@pytest.mark.parametrize(
    "spoil",
    [
        garbage_page,
        spoiled_body,
        pytest.param(zeros, marks=pytest.mark.slow),
        pytest.param(half, marks=pytest.mark.slow),
    ],
)
def test_a_damaged_journal_is_salvaged_and_the_run_goes_on(
    command: Command,
    start: Start,
    killed: Run,
    tmp_path: Path,
    reference: bytes,
    spoil: Callable[[Path], None],
) -> None:
    run = copied(killed, tmp_path / "run")
    path = run.folder / "journal.sqlite"
    with JournalReader(path) as journal:
        before = journal.totals().all.calls
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all into the file that is to be spoiled
    spoil(path)
    said = continued(start, run)
    assert said.index("Saving what can be read") < said.index("The journal was damaged")
    assert "calls were saved" in said
    assert exported(command, run.folder) == reference
    assert_each_index_once(run.folder, DIALOGUES)
    assert (run.folder / "journal.sqlite.damaged-1").exists()
    with JournalReader(path) as journal:
        (event,) = [event for event in journal.events() if event.kind == "journal_salvaged"]
    assert event.detail["saved"] <= before
    assert event.detail["kept"] == "journal.sqlite.damaged-1"


def test_a_deleted_log_and_index(
    command: Command, start: Start, killed: Run, tmp_path: Path, reference: bytes
) -> None:
    run = copied(killed, tmp_path / "run")
    for suffix in ("-wal", "-shm"):
        Path(f"{run.folder / 'journal.sqlite'}{suffix}").unlink()
    continued(start, run)
    assert exported(command, run.folder) == reference
    assert_each_index_once(run.folder, DIALOGUES)
