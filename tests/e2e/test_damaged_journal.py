"""Journals that were cut, spoiled or left without their log, met by the installed command."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.commands import Command, Start
from tests.e2e.runs import FEW, Reference, Run, assert_each_index_once, exported, finish
from toolflow.journal.reading import JournalReader
from toolflow.journal.schema import PAGE_BYTES

FRAME = PAGE_BYTES + 24  # a page of the log with its header
LOG_HEADER = 32


@pytest.fixture(scope="module")
def reference(uninterrupted: Callable[[int], Reference]) -> bytes:
    """The exported file of a run that nothing happened to."""
    return uninterrupted(FEW).exported


def cut_and_compare(
    command: Command, start: Start, killed: Run, folder: Path, kept: int, reference: bytes
) -> None:
    run = killed.copied(folder)
    with (run.folder / "journal.sqlite-wal").open("r+b") as log:
        log.truncate(kept)
    finish(start, run)
    assert exported(command, run.folder) == reference, kept
    assert_each_index_once(run.folder, FEW)
    with JournalReader(run.folder / "journal.sqlite") as journal:
        assert journal.count_states()["accepted"] == FEW
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
            "UPDATE frames SET body = zeroblob(length(body)) WHERE id IN (SELECT frame FROM calls WHERE "
            "dialogue = (SELECT max(dialogue) FROM calls) AND position = 0)"
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
    run = killed.copied(tmp_path / "run")
    path = run.folder / "journal.sqlite"
    with JournalReader(path) as journal:
        before = journal.totals().all.calls
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all into the file that is to be spoiled
    spoil(path)
    said = finish(start, run)
    assert said.index("Saving what can be read") < said.index("The journal was damaged")
    assert "calls were saved" in said
    assert exported(command, run.folder) == reference
    assert_each_index_once(run.folder, FEW)
    assert (run.folder / "journal.sqlite.damaged-1").exists()
    with JournalReader(path) as journal:
        (event,) = [event for event in journal.events() if event.kind == "journal_salvaged"]
    assert event.detail["saved"] <= before
    assert event.detail["kept"] == "journal.sqlite.damaged-1"


def test_a_deleted_log_and_index(
    command: Command, start: Start, killed: Run, tmp_path: Path, reference: bytes
) -> None:
    run = killed.copied(tmp_path / "run")
    for suffix in ("-wal", "-shm"):
        Path(f"{run.folder / 'journal.sqlite'}{suffix}").unlink()
    finish(start, run)
    assert exported(command, run.folder) == reference
    assert_each_index_once(run.folder, FEW)
