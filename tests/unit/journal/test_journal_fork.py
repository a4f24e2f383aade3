"""A fork's copy of the journal that it comes from: whole or not there."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from toolflow.dialogue.message import Message
from toolflow.errors import RunDirectoryError
from toolflow.journal.asked import Answered, Asked
from toolflow.journal.calls import SqliteJournal
from toolflow.journal.fork import TakingOver, begin_fork, origin_of
from toolflow.journal.reading import JournalReader
from toolflow.journal.run_directory import RunDirectory
from toolflow.llm.chat import CallKey, Completion, Request

CALLS = 40


def request(dialogue: int) -> Request:
    return Request(CallKey(dialogue, "user", 0), "m", (Message("user", f"{dialogue} " * 3000),))


class Paid:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def complete(self, request: Request) -> Completion:
        self.asked.append(request.key.dialogue)
        return Completion(Message("assistant", "paid"))


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A run with a call in each of 40 dialogues."""

    async def main(run: RunDirectory) -> None:
        with SqliteJournal(run.journal) as journal:
            for dialogue in range(CALLS):
                completion = Completion(Message("assistant", os.urandom(3000).hex()), model="m")
                await journal.append(Answered(Asked(request(dialogue)), completion, sent_at=0.0))

    with RunDirectory(tmp_path / "origin") as run:
        run.claim({"seed": 1}, {})
        asyncio.run(main(run))
    return run.path


def test_a_copy_that_finds_no_room_leaves_nothing(origin: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with RunDirectory(tmp_path / "fork") as fork:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
        try:
            with pytest.raises(RunDirectoryError, match=r"fork/origin\.sqlite"):
                begin_fork(fork, origin)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert [file.name for file in fork.path.iterdir()] == [".lock"]
        begin_fork(fork, origin)
        with JournalReader(origin_of(fork.path)) as journal:
            assert journal.totals().all.calls == CALLS


def test_a_copy_that_was_killed_is_made_again(origin: Path, tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "fork") as fork:
        for suffix in (".tmp", ".tmp-journal"):
            origin_of(fork.path).with_name(f"origin.sqlite{suffix}").write_bytes(os.urandom(9000))
        begin_fork(fork, origin)
        assert {file.name for file in fork.path.iterdir()} == {".lock", "origin.sqlite"}


def test_a_folder_with_something_in_it_gets_no_copy(origin: Path, tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "fork") as fork:
        fork.dialogues.write_text("{}\n")
        with pytest.raises(RunDirectoryError, match=r"holds a dialogues\.jsonl"):
            begin_fork(fork, origin)
        assert not origin_of(fork.path).exists()


def test_what_can_be_read_of_a_damaged_copy_is_taken_over(origin: Path, tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "fork") as fork:
        begin_fork(fork, origin)
    copy = origin_of(fork.path)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute(
            "UPDATE frames SET body = zeroblob(length(body)) WHERE id = "
            "(SELECT frame FROM calls WHERE dialogue = 7)"
        )
        connection.commit()

    async def main() -> tuple[list[int], int]:
        model = Paid()
        taking = TakingOver(model, copy)
        for dialogue in range(CALLS):
            await taking.complete(request(dialogue))
        taking.close()
        return model.asked, taking.taken

    assert asyncio.run(main()) == ([7], CALLS - 1)
    assert copy.with_name("origin.sqlite.damaged-1").exists()
