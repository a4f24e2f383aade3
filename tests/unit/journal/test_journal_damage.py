"""Of a damaged journal everything that can be read is saved, and the damaged file is kept."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from toolflow.dialogue.message import Message
from toolflow.errors import JournalDamagedError, RunDirectoryError
from toolflow.journal import damage
from toolflow.journal.asked import Answered, Asked
from toolflow.journal.calls import SqliteJournal
from toolflow.journal.carving import carve
from toolflow.journal.damage import find_damage
from toolflow.journal.reading import JournalReader
from toolflow.journal.salvage import mend
from toolflow.journal.schema import CALL_COLUMNS, PAGE_BYTES
from toolflow.llm.chat import CallKey, Completion, Request, Usage

DIALOGUES, CALLS = 40, 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of 400 calls, closed."""
    path = tmp_path / "journal.sqlite"
    write(path, range(DIALOGUES))
    return path


def write(path: Path, dialogues: range) -> None:
    async def main() -> None:
        with SqliteJournal(path) as journal:
            appending: list[asyncio.Future[None]] = []
            for dialogue in dialogues:
                journal.mark(dialogue, "accepted")
                for position in range(CALLS):
                    text = random.Random(dialogue * CALLS + position).randbytes(300).hex()
                    request = Request(CallKey(dialogue, "user", position), "m", (Message("user", text),))
                    completion = Completion(Message("assistant", text[:40]), usage=Usage(5, 2), model="m")
                    appending.append(journal.append(Answered(Asked(request), completion, sent_at=0.0)))
            await asyncio.gather(*appending)
            journal.note("run_begun", target=DIALOGUES)

    asyncio.run(main())


def spoil(path: Path, change: Callable[[bytearray], None]) -> None:
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)


def read_all(path: Path) -> dict[CallKey, str]:
    with JournalReader(path) as journal:
        calls = [call for dialogue in journal.dialogues() for call in journal.calls(dialogue)]
        assert all(call.request is not None for call in calls)
        return {call.key: call.completion.message.content for call in calls}


def test_a_sound_journal_is_left_alone(path: Path) -> None:
    before = path.read_bytes()
    assert mend(path) is None
    assert mend(path, thorough=True) is None
    assert path.read_bytes() == before
    assert mend(path.with_name("none")) is None


@pytest.mark.parametrize("page", [2, 10, 25])
def test_a_garbage_page(path: Path, page: int) -> None:
    """A page of a table, or one of frames, of which three may begin on it."""
    whole = read_all(path)
    damaged = bytearray()

    def overwrite(content: bytearray) -> None:
        content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = random.Random(1).randbytes(PAGE_BYTES)
        damaged.extend(content)

    spoil(path, overwrite)
    saved = mend(path)
    assert saved is not None
    assert saved.kept.read_bytes() == bytes(damaged)
    left = read_all(path)
    assert left.items() <= whole.items()
    assert saved.saved == len(left) == len(whole) - (saved.lost or 0)
    assert len(left) > 300
    assert f"{len(left):,} calls were saved" in str(saved)
    assert mend(path, thorough=True) is None


def test_a_garbage_root_of_the_calls(path: Path) -> None:
    """The way to all of them is lost, and yet they are found."""
    whole = read_all(path)
    spoil(path, lambda content: content.__setitem__(slice(PAGE_BYTES, 2 * PAGE_BYTES), b"x" * PAGE_BYTES))
    saved = mend(path)
    assert saved is not None
    assert saved.lost == 0
    assert read_all(path) == whole
    with JournalReader(path) as journal:
        assert journal.count_states() == {"accepted": DIALOGUES}


def test_calls_are_carved_out_as_they_were_written(path: Path) -> None:
    """Those too that take more than a page, and whatever their numbers."""

    async def main() -> None:
        with SqliteJournal(path) as journal:
            for number in (0, 1, 127, 128, 40_000, 2**31, 2**40):
                text = random.Random(number).randbytes(20_000).hex()
                request = Request(CallKey(number + 1_000, "tool", number), "m", (Message("user", text),))
                completion = Completion(Message("assistant"), usage=Usage(number, 1), model="é")
                await journal.append(Answered(Asked(request), completion, sent_at=number / 3))

    asyncio.run(main())
    connection = sqlite3.connect(path)
    rows = [
        (table, row)
        for table, columns in (("calls", CALL_COLUMNS), ("frames", "body"))
        for row in connection.execute(f"SELECT id, {columns} FROM {table}")
    ]
    connection.close()
    assert sum(table == "calls" for table, _ in rows) == 407
    assert sorted(carve(path), key=str) == sorted(rows, key=str)


def test_a_truncated_file(path: Path) -> None:
    whole = read_all(path)
    spoil(path, lambda content: content.__delitem__(slice(len(content) * 2 // 3, None)))
    saved = mend(path)
    assert saved is not None
    left = read_all(path)
    assert left.items() <= whole.items()
    assert 150 < len(left) < len(whole)


def test_a_first_page_that_is_gone(path: Path) -> None:
    whole = read_all(path)
    spoil(path, lambda content: content.__setitem__(slice(0, PAGE_BYTES), bytes(PAGE_BYTES)))
    saved = mend(path)
    assert saved is not None
    assert saved.lost == 0
    assert read_all(path) == whole
    with JournalReader(path) as journal:
        assert journal.count_states() == {"accepted": DIALOGUES}
        assert [event.kind for event in journal.events()] == ["run_begun"]


def test_a_file_of_zeros(path: Path) -> None:
    spoil(path, lambda content: content.__setitem__(slice(None), bytes(len(content))))
    saved = mend(path)
    assert saved is not None
    assert saved.saved == 0
    assert read_all(path) == {}
    write(path, range(2))
    assert len(read_all(path)) == 2 * CALLS


def test_a_body_that_is_not_what_was_written(path: Path) -> None:
    """No check of SQLite's finds it: it shows when the call is replayed."""
    whole = read_all(path)
    connection = sqlite3.connect(path)
    (frame,) = connection.execute("SELECT frame FROM calls WHERE dialogue = 7 AND position = 3").fetchone()
    keys = connection.execute(
        "SELECT dialogue, role, position FROM calls WHERE frame = ?", (frame,)
    ).fetchall()
    connection.execute("UPDATE frames SET body = zeroblob(length(body)) WHERE id = ?", (frame,))
    connection.commit()
    connection.close()
    assert find_damage(path) is None
    with JournalReader(path) as journal, pytest.raises(JournalDamagedError):
        journal.calls(7)
    saved = mend(path, thorough=True)
    assert saved is not None
    assert saved.lost == len(keys) > 1
    assert whole.keys() - read_all(path).keys() == {CallKey(*key) for key in keys}


def test_a_column_of_another_type(path: Path) -> None:
    """SQLite keeps whatever it is given: it shows when the call is read."""
    whole = read_all(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE calls SET seconds = 'soon' WHERE dialogue = 7 AND position = 3")
        connection.commit()
    with JournalReader(path) as journal, pytest.raises(JournalDamagedError, match="another type"):
        journal.calls(7)
    saved = mend(path, thorough=True)
    assert saved is not None
    assert saved.lost == 1
    assert whole.keys() - read_all(path).keys() == {CallKey(7, "user", 3)}


def test_large_journals_are_sampled(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(damage, "_WHOLE_CHECK", 0)
    assert find_damage(path) is None
    spoil(path, lambda content: content.__delitem__(slice(len(content) - 20 * PAGE_BYTES, None)))
    assert find_damage(path) is not None


def test_a_log_or_index_that_was_deleted(tmp_path: Path, path: Path) -> None:
    """Copied while it is written to, with and without what belongs to it."""

    async def main() -> None:
        with SqliteJournal(path) as journal:
            request = Request(CallKey(99, "user", 0), "m", (Message("user", "last"),))
            await journal.append(Answered(Asked(request), Completion(Message("assistant")), sent_at=0.0))
            for name, suffixes in (("no-log", ("",)), ("no-index", ("", "-wal"))):
                for suffix in suffixes:
                    shutil.copy(f"{path}{suffix}", tmp_path / f"{name}{suffix}")

    asyncio.run(main())
    for name, calls in (("no-log", 400), ("no-index", 401)):
        assert mend(tmp_path / name) is None
        assert len(read_all(tmp_path / name)) == calls


def test_damaged_journals_are_numbered(path: Path) -> None:
    for number in (1, 2):
        spoil(path, lambda content: content.__setitem__(slice(0, PAGE_BYTES), bytes(PAGE_BYTES)))
        saved = mend(path)
        assert saved is not None
        assert saved.kept.name == f"journal.sqlite.damaged-{number}"


def test_a_salvage_that_was_interrupted_is_finished(path: Path) -> None:
    whole = read_all(path)
    path.rename(path.with_name("journal.sqlite.fresh"))  # moved aside was the old one, and then came the end
    Path(f"{path}-wal").write_bytes(b"the old one's log")
    assert mend(path) is None
    assert read_all(path) == whole


def test_other_databases_are_not_mended(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (name)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(RunDirectoryError, match="recipes"):
        mend(path)
    assert path.read_bytes() == before


def test_a_journal_that_was_only_just_made(tmp_path: Path) -> None:
    """The process died before it had made the tables."""
    path = tmp_path / "journal.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    assert mend(path) is None
    write(path, range(1))
    assert len(read_all(path)) == CALLS


def test_a_journal_whose_first_write_was_cut_short(tmp_path: Path) -> None:
    """Its tables are made without a log yet, so what is half written is undone by a rollback journal."""
    path, copy = tmp_path / "half.sqlite", tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA cache_size = 1")  # so that pages are written before the commit
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE calls (text)")
        connection.executemany("INSERT INTO calls VALUES (?)", [("x" * 3_000,)] * 50)
        for suffix in ("", "-journal"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    assert copy.stat().st_size > PAGE_BYTES
    assert mend(copy) is None
    write(copy, range(1))
    assert len(read_all(copy)) == CALLS


def with_log(path: Path, folder: Path, dialogues: range) -> Path:
    """A copy of a journal, taken while more calls stand in its log alone."""
    copy = folder / "journal.sqlite"
    folder.mkdir()

    async def main() -> None:
        with SqliteJournal(path) as journal:
            for dialogue in dialogues:
                request = Request(CallKey(dialogue, "user", 0), "m", (Message("user", "in the log"),))
                completion = Completion(Message("assistant"), usage=Usage(5, 2), model="m")
                await journal.append(Answered(Asked(request), completion, sent_at=0.0))
            for suffix in ("", "-wal"):
                shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")

    asyncio.run(main())
    return copy


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def deleted(path: Path) -> None:
    path.unlink()


def overwritten(path: Path) -> None:
    path.write_bytes(b"\xff" * path.stat().st_size)


@pytest.mark.parametrize("lose", [emptied, deleted, overwritten])
def test_what_stands_in_the_log_is_saved_though_the_file_is_lost(
    path: Path, tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    copy = with_log(path, tmp_path / "copy", range(100, 120))
    log = Path(f"{copy}-wal").read_bytes()
    lose(copy)
    saved = mend(copy)
    assert saved is not None
    assert {CallKey(dialogue, "user", 0) for dialogue in range(100, 120)} <= read_all(copy).keys()
    assert Path(f"{saved.kept}-wal").read_bytes() == log
    assert mend(copy, thorough=True) is None


def test_a_damaged_journal_is_kept_as_it_was_found(path: Path, tmp_path: Path) -> None:
    copy = with_log(path, tmp_path / "copy", range(100, 105))
    spoil(
        copy, lambda content: content.__setitem__(slice(10 * PAGE_BYTES, 11 * PAGE_BYTES), b"x" * PAGE_BYTES)
    )
    before = copy.read_bytes(), Path(f"{copy}-wal").read_bytes()
    saved = mend(copy)
    assert saved is not None
    assert (saved.kept.read_bytes(), Path(f"{saved.kept}-wal").read_bytes()) == before
    assert {CallKey(dialogue, "user", 0) for dialogue in range(100, 105)} <= read_all(copy).keys()


def test_what_was_spent_stays_spent(path: Path) -> None:
    with JournalReader(path) as journal:
        before = journal.totals()
    spoil(
        path,
        lambda content: content.__setitem__(slice(12 * PAGE_BYTES, 14 * PAGE_BYTES), bytes(2 * PAGE_BYTES)),
    )
    saved = mend(path)
    assert saved is not None
    assert saved.lost == 400 - saved.saved > 0
    with JournalReader(path) as journal:
        assert journal.totals() == before


def test_cells_that_lead_nowhere_are_passed_over(path: Path) -> None:
    """Plausible pages whose rows go on on page 0, on themselves, or beyond the end."""
    for following in (0, 3, 2**31):
        page = bytearray(PAGE_BYTES)
        page[0], page[3:5], page[8:10] = 0x0D, (1).to_bytes(2, "big"), (20).to_bytes(2, "big")
        page[20:29] = b"\xff" * 8 + b"\x01"  # its length
        page[29] = 1
        page[-4:] = following.to_bytes(4, "big")
        for place in range(30, PAGE_BYTES - 4, 4):
            page[place : place + 4] = following.to_bytes(4, "big")
        with path.open("r+b") as file:
            file.seek(2 * PAGE_BYTES)
            file.write(page)
        assert len([*carve(path)]) > 300


@pytest.mark.parametrize("seeds", [range(8), pytest.param(range(8, 200), marks=pytest.mark.slow)])
def test_any_damage_leaves_a_journal_that_can_be_used(path: Path, tmp_path: Path, seeds: range) -> None:
    original = with_log(path, tmp_path / "original", range(100, 130))
    whole = read_all(path)
    for seed in seeds:
        folder = tmp_path / str(seed)
        copy = Path(shutil.copytree(original.parent, folder)) / "journal.sqlite"
        draw = random.Random(seed)
        for victim in draw.choice([[copy], [Path(f"{copy}-wal")], [copy, Path(f"{copy}-wal")]]):
            content = bytearray(victim.read_bytes())
            for _ in range(draw.randrange(1, 6)):
                start, length = draw.randrange(len(content)), draw.choice([1, 40, 3000, 30_000])
                noise = draw.choice([bytes(length), draw.randbytes(length)])
                content[start : start + length] = noise[: len(content) - start]
            victim.write_bytes(content[: draw.randrange(len(content))] if seed % 5 == 0 else content)
        mend(copy)
        try:
            left = read_all(copy)
        except JournalDamagedError:
            mend(copy, thorough=True)
            left = read_all(copy)
        assert left.items() <= whole.items()
        write(copy, range(500, 502))
        assert len(read_all(copy)) == len(left) + 2 * CALLS
        assert not [*folder.glob("*.copy*"), *folder.glob("*.making*"), *folder.glob("*.fresh*")]
        shutil.rmtree(folder)


@pytest.mark.parametrize("mode", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_journal_that_another_program_holds_is_refused_before_anything_is_paid(
    path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(damage, "_LOCK_SECONDS", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    if mode == "EXCLUSIVE":
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute(f"BEGIN {mode}")
    with pytest.raises(RunDirectoryError, match="locked by another program") as refused:
        mend(path)
    assert not isinstance(refused.value, JournalDamagedError)
    other.close()
    assert mend(path) is None


def test_a_salvage_that_dies_at_any_step_is_done_again(tmp_path: Path) -> None:
    """It is ended, as by ``kill -9``, before each step that changes the folder."""
    path = tmp_path / "journal.sqlite"
    write(path, range(3))
    original = with_log(path, tmp_path / "original", range(100, 105))
    # The page of the parts: those of the calls stand anew in the log.
    spoil(
        original,
        lambda content: content.__setitem__(slice(4 * PAGE_BYTES, 5 * PAGE_BYTES), b"x" * PAGE_BYTES),
    )
    steps = {Path: ("rename", "replace", "unlink", "touch"), shutil: ("copyfile",), os: ("fsync",)}
    results = set[int]()
    most = 0
    for most in range(100):
        folder = Path(shutil.copytree(original.parent, tmp_path / str(most)))
        child = os.fork()
        if child == 0:
            left = most
            for owner, names in steps.items():
                for name in names:
                    step = getattr(owner, name)

                    def counted(*args: Any, _step: Any = step, **options: Any) -> Any:
                        nonlocal left
                        if not left:
                            os._exit(9)
                        left -= 1
                        return _step(*args, **options)

                    setattr(owner, name, counted)
            try:
                mend(folder / "journal.sqlite")
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        mend(folder / "journal.sqlite")
        results.add(len(read_all(folder / "journal.sqlite")))
        assert [
            kept.name for kept in folder.glob("*.damaged-*") if not kept.suffix.endswith(("wal", "shm"))
        ] == ["journal.sqlite.damaged-1"]
        assert Path(f"{folder / 'journal.sqlite.damaged-1'}-wal").exists()
        assert not (folder / "journal.sqlite.copy").exists()
        if not os.WEXITSTATUS(status):
            break
    assert most > 15
    assert results == {3 * CALLS + 5}


def test_a_salvage_for_which_there_is_no_room_leaves_all_as_it_was(path: Path) -> None:
    spoil(path, lambda content: content.__setitem__(slice(PAGE_BYTES, 2 * PAGE_BYTES), b"x" * PAGE_BYTES))
    before = path.read_bytes()
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for most in (len(before) // 2, len(before) - PAGE_BYTES):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        try:
            with pytest.raises(RunDirectoryError, match="cannot be saved"):
                mend(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes() == before
        assert {file.name for file in path.parent.iterdir()} <= {
            path.name,
            f"{path.name}-shm",
            f"{path.name}-wal",
        }
    assert mend(path) is not None
    assert len(read_all(path)) == 400
