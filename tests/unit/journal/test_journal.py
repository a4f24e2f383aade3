"""The journal keeps completed calls, gives them back, and refuses to mix runs."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message, ToolCall
from toolflow.errors import JournalDamagedError, PermanentLLMError, RunDirectoryError
from toolflow.journal.asked import Answered, Asked
from toolflow.journal.calls import CallJournal, MemoryJournal, SqliteJournal
from toolflow.journal.digest import request_hash
from toolflow.journal.opening import open_for_writing
from toolflow.journal.reading import JournalReader
from toolflow.journal.replay import JournalledModel
from toolflow.journal.totals import Sum
from toolflow.journal.writer import Batch, Writer, WrittenCall
from toolflow.llm.chat import CallKey, Completion, Delivery, Request, ResponseFormat, Sampling, Usage
from toolflow.runtime.testing import run_virtual

CALL = ToolCall("call_1", "get_weather", '{"city": "Oslo"}')
REPLY = Completion(Message("assistant", "Let me see.", (CALL,)), "tool_calls", Usage(12, 5), "model-1")


class Counted:
    """Answers every request alike, and counts them."""

    def __init__(self) -> None:
        self.asked = 0

    async def complete(self, request: Request) -> Completion:
        self.asked += 1
        return REPLY


def request(dialogue: int = 0, position: int = 0, text: str = "hello") -> Request:
    return Request(CallKey(dialogue, "user", position), "model-1", (Message("user", text),))


def test_a_completed_call_is_not_paid_twice(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"

    async def process(model: Counted) -> list[Completion]:
        with SqliteJournal(path) as journal:
            journalled = JournalledModel(model, journal)
            journalled.begin(3)
            return [await journalled.complete(request(3, position)) for position in range(4)]

    first, second = Counted(), Counted()
    assert asyncio.run(process(first)) == asyncio.run(process(second)) == [REPLY] * 4
    assert (first.asked, second.asked) == (4, 0)


def test_many_calls_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"

    async def process() -> Sum:
        with SqliteJournal(path) as journal:
            model = JournalledModel(Counted(), journal)
            async with asyncio.TaskGroup() as group:
                for dialogue in range(50):
                    for position in range(10):
                        group.create_task(model.complete(request(dialogue, position)))
            return journal.totals().all

    assert asyncio.run(process()) == Sum(500, Usage(6000, 2500), attempts=500)


def test_a_call_is_durable_before_it_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"

    async def process() -> int:
        with SqliteJournal(path) as journal:
            await JournalledModel(Counted(), journal).complete(request())
            other = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            try:
                count: int = other.execute("SELECT count(*) FROM calls").fetchone()[0]
            finally:
                other.close()
            return count

    assert asyncio.run(process()) == 1


def test_another_request_under_the_same_key_is_refused() -> None:
    async def main() -> None:
        journal = MemoryJournal()
        await JournalledModel(Counted(), journal).complete(request(text="hello"))
        resumed = JournalledModel(Counted(), journal)
        resumed.begin(0)
        with pytest.raises(RunDirectoryError, match="another request for user call 0"):
            await resumed.complete(request(text="good evening"))

    run_virtual(main())


def test_a_failed_call_is_not_kept() -> None:
    class Refusing:
        async def complete(self, request: Request) -> Completion:
            raise PermanentLLMError("no")

    async def main() -> CallJournal:
        journal = MemoryJournal()
        with pytest.raises(PermanentLLMError):
            await JournalledModel(Refusing(), journal).complete(request())
        return journal

    assert run_virtual(main()).calls_of(0) == {}


def test_draining_finishes_calls_in_flight_and_sends_no_more() -> None:
    class Slow(Counted):
        async def complete(self, request: Request) -> Completion:
            await asyncio.sleep(10)
            return await super().complete(request)

    async def main() -> tuple[int, int]:
        journal, slow = MemoryJournal(), Slow()
        model = JournalledModel(slow, journal)
        running = asyncio.create_task(model.complete(request(0)))
        await asyncio.sleep(1)
        draining = asyncio.create_task(model.drain())
        await asyncio.sleep(1)
        held_back = asyncio.create_task(model.complete(request(1)))
        await draining
        assert running.done()
        held_back.cancel()
        return slow.asked, len(journal.records)

    assert run_virtual(main()) == (1, 1)


@pytest.mark.parametrize("change", ["text", "seed", "model"])
def test_the_hash_sees_what_the_model_is_told(change: str) -> None:
    base = request()
    changed = {
        "text": request(text="bye"),
        "seed": replace(base, seed=1),
        "model": replace(base, model="model-2"),
    }[change]
    assert request_hash(base) != request_hash(changed)
    assert request_hash(base) == request_hash(replace(base, key=CallKey(9, "tool", 9)))


def test_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"not a database, and long enough to be looked at" * 40)
    with pytest.raises(RunDirectoryError, match=r"journal\.sqlite is damaged: file is not a database"):
        SqliteJournal(path)


def test_a_journal_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(RunDirectoryError, match="journal schema 99"):
        SqliteJournal(path)


def answered(position: int = 0, text: str = "hello", **changed: Any) -> Answered:
    completion = replace(REPLY, message=Message("assistant", text), **changed)
    return Answered(Asked(request(0, position)), completion, sent_at=0.0)


def random_text(length: int) -> str:
    """Text that cannot be compressed by much."""
    return random.Random(length).randbytes(length // 2).hex()


def _appended(journal: SqliteJournal, *calls: Answered) -> list[object]:
    async def main() -> list[object]:
        with journal:
            appending = (journal.append(call) for call in calls)
            async with asyncio.timeout(10):
                return list(await asyncio.gather(*appending, return_exceptions=True))

    return asyncio.run(main())


def test_callers_are_told_when_the_writer_cannot_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite")

    def refuse(path: Path) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr("toolflow.journal.writer.open_for_writing", refuse)
    results = _appended(journal, answered(0), answered(1))
    assert [type(result) for result in results] == [RunDirectoryError] * 2


def test_callers_are_told_what_sqlite_does_not_foresee(tmp_path: Path) -> None:
    huge = answered(usage=Usage(2**70, 5))  # an OverflowError, which is no sqlite3.Error
    (first,) = _appended(SqliteJournal(tmp_path / "journal.sqlite"), huge)
    assert isinstance(first, RunDirectoryError)


def test_a_call_that_cannot_be_recorded_takes_no_other_with_it(tmp_path: Path) -> None:
    calls = [answered(0), answered(1, text="half a pair: \ud83d"), answered(2)]
    first, broken, last = _appended(SqliteJournal(tmp_path / "journal.sqlite"), *calls)
    assert (first, last) == (None, None)
    assert isinstance(broken, UnicodeEncodeError)
    with JournalReader(tmp_path / "journal.sqlite") as reader:
        assert [call.key.position for call in reader.calls(0)] == [0, 2]


def test_callers_are_told_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = SqliteJournal(tmp_path / "journal.sqlite")

    def nearly_full(path: Path) -> sqlite3.Connection:
        connection = open_for_writing(path)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        return connection

    monkeypatch.setattr("toolflow.journal.writer.open_for_writing", nearly_full)
    (full,) = _appended(journal, answered(text=random_text(100_000)))
    assert isinstance(full, RunDirectoryError)
    assert "full" in str(full)


def test_a_closed_journal_refuses_calls(tmp_path: Path) -> None:
    async def main() -> None:
        with SqliteJournal(tmp_path / "journal.sqlite") as journal:
            pass
        async with asyncio.timeout(10):
            with pytest.raises(RunDirectoryError, match="closed"):
                await journal.append(answered())
        with pytest.raises(RunDirectoryError):
            journal.totals()

    asyncio.run(main())


def test_another_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (name)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(RunDirectoryError, match="recipes"):
        SqliteJournal(path)
    assert path.read_bytes() == before


def test_the_hash_sees_tools_and_schemas() -> None:
    tool = Tool("ping", "Ping a host.", {"type": "object", "properties": {}})
    base = replace(request(), tools=(tool,), response_format=ResponseFormat("plan", {"type": "object"}))
    others = [
        replace(base, tools=(replace(tool, description="Ping."),)),
        replace(base, tools=(replace(tool, parameters={"type": "object"}),)),
        replace(base, response_format=ResponseFormat("plan", {"type": "array"})),
    ]
    assert len({request_hash(each) for each in [base, *others]}) == 4
    equal = replace(base, tools=(replace(tool),), response_format=ResponseFormat("plan", {"type": "object"}))
    assert request_hash(base) == request_hash(equal)


def test_the_hash_does_not_depend_on_what_a_request_is_kept_as() -> None:
    tool = Tool("ping", "Ping a host.", {"type": "object", "properties": {}})
    base = replace(request(), tools=(tool,), seed=3)
    grown = replace(base, messages=(*base.messages, Message("assistant", "hi")), seed=4)
    others = [
        grown,
        replace(grown, messages=(Message("user", "another beginning"),)),
        replace(grown, tools=()),
        replace(grown, model="model-2", response_format=ResponseFormat("plan", {"type": "object"})),
        replace(grown, sampling=Sampling(0.5), tool_choice="none"),
    ]
    for other in others:
        alone, after = Asked(other).digested(), Asked(other, Asked(base)).digested()
        assert after.hash == alone.hash == request_hash(other)
    assert len({request_hash(each) for each in [base, *others]}) == 6


def test_sums_are_exact_at_any_time_and_leave_out_what_was_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    taken_over = [answered(position, delivery=Delivery(attempts=0)) for position in (0, 1)]
    paid = [answered(position, delivery=Delivery(attempts=2, seconds=0.5)) for position in (2, 3, 4)]

    async def append(*calls: Answered) -> tuple[Sum, int | None]:
        with SqliteJournal(path) as journal:
            for each in calls:
                await journal.append(each)
            return journal.totals().all, added_up()

    def added_up() -> int | None:
        with closing(sqlite3.connect(path)) as connection:
            count: int | None = connection.execute("SELECT sum(calls) FROM sums").fetchone()[0]
        return count

    assert asyncio.run(append(*taken_over)) == (Sum(), None)
    assert added_up() == 0
    assert asyncio.run(append(paid[0])) == (Sum(1, Usage(12, 5), 2, 0.5), 0)
    assert added_up() == 1
    assert asyncio.run(append(*paid[1:])) == (Sum(3, Usage(36, 15), 6, 1.5), 1)
    assert added_up() == 3
    with JournalReader(path) as reader:
        assert reader.totals().all == Sum(3, Usage(36, 15), 6, 1.5)


def test_calls_are_found_by_dialogue_at_any_time(tmp_path: Path) -> None:
    """Those that ``places`` tells and those that it does not tell yet."""
    path = tmp_path / "journal.sqlite"

    async def append(positions: range) -> tuple[list[int], dict[int, list[int]]]:
        with SqliteJournal(path) as journal, JournalReader(path) as reader:
            for position in positions:
                for dialogue in (7, 2):
                    call = Answered(Asked(request(dialogue, position)), REPLY, sent_at=0.0)
                    await journal.append(call)
            with closing(sqlite3.connect(path)) as other:
                placed = [row[0] for row in other.execute("SELECT call FROM places ORDER BY call")]
            return placed, {
                each: [call.key.position for call in reader.calls(each)] for each in reader.dialogues()
            }

    assert asyncio.run(append(range(3))) == ([], {2: [0, 1, 2], 7: [0, 1, 2]})
    assert asyncio.run(append(range(3, 5))) == ([1, 2, 3, 4, 5, 6], {2: [*range(5)], 7: [*range(5)]})


def test_what_gathers_while_a_batch_is_written_is_written_next(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"

    async def main() -> tuple[int, int]:
        with SqliteJournal(path) as journal:
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            first = journal.append(answered(0))
            await asyncio.wait([first], timeout=0.02)  # the writer waits for the lock
            later = [journal.append(answered(position)) for position in range(1, 20)]
            journal.mark(0, "accepted")
            await asyncio.wait(later, timeout=0.02)
            waiting = sum(not each.done() for each in (first, *later))
            other.execute("ROLLBACK")
            other.close()
            await asyncio.gather(first, *later)
            return waiting, journal.totals().all.calls

    assert asyncio.run(main()) == (20, 20)
    with JournalReader(path) as reader:
        assert reader.count_states() == {"accepted": 1}


def test_a_damaged_journal_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    assert (
        _appended(SqliteJournal(path), *(answered(position, random_text(900)) for position in range(50)))
        == [None] * 50
    )
    content = bytearray(path.read_bytes())
    content[-40_000:] = b"\xff" * 40_000
    path.write_bytes(content)
    with (
        pytest.raises(JournalDamagedError, match=r"journal\.sqlite is damaged") as caught,
        JournalReader(path) as journal,
    ):
        journal.calls(0)
    assert "same command" in str(caught.value.hint)


def test_what_may_take_long_is_left_to_the_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.sqlite"
    told: SimpleQueue[Exception | None] = SimpleQueue()
    writer = Writer(path, lambda _, failure: told.put(failure))
    positions = count()

    def at_once() -> bool:
        """Whether a call is committed by who hands it over; if not, the thread is waited for."""
        call = WrittenCall(answered(next(positions)).record(), asyncio.Future(loop=loop))
        committed = writer.write(Batch([call], []))
        if not committed:
            other.rollback()
            assert told.get(timeout=30) is None
        return committed

    with closing(asyncio.new_event_loop()) as loop, closing(sqlite3.connect(path)) as other:
        writer.start()
        assert not at_once()  # it is opened
        assert at_once()
        other.execute("BEGIN IMMEDIATE")
        assert not at_once()
        assert at_once()
        with monkeypatch.context() as patched:
            patched.setattr("toolflow.journal.writer.LOG_BYTES", 0)
            while at_once():
                pass  # the log is copied meanwhile, and the rest of it at the end
        assert at_once()
        monkeypatch.setattr("toolflow.journal.writer._SLOW", -1.0)
        assert at_once()  # and took longer than that
        assert not at_once()
        writer.stop(Batch([WrittenCall(answered(next(positions)).record(), asyncio.Future(loop=loop))], []))
        assert told.get(timeout=30) is None
    assert told.empty()
    with JournalReader(path) as journal:
        assert [call.key.position for call in journal.calls(0)] == [*range(next(positions))]


def test_a_long_log_begins_anew_while_calls_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.sqlite"
    monkeypatch.setattr("toolflow.journal.writer.LOG_BYTES", 400_000)
    log = Path(f"{path}-wal")
    sizes: list[int] = []

    def measure(_: object) -> None:
        sizes.append(log.stat().st_size)

    async def main() -> None:
        with SqliteJournal(path) as journal:
            for start in range(0, 2_000, 20):
                records = [answered(place, random_text(2_000 + place)) for place in range(start, start + 20)]
                appending = asyncio.gather(*map(journal.append, records))
                appending.add_done_callback(measure)
                await appending

    asyncio.run(main())
    assert path.stat().st_size > 3_000_000
    assert max(sizes) < path.stat().st_size / 2
    with JournalReader(path) as journal:
        assert len(journal.calls(0)) == 2_000


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"

    async def main() -> int:
        with SqliteJournal(path) as journal:
            await journal.append(answered(0))
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            appending = journal.append(answered(1))
            done, _ = await asyncio.wait([appending], timeout=0.05)
            assert not done
            other.execute("ROLLBACK")
            other.close()
            await appending
            return journal.totals().all.calls

    assert asyncio.run(main()) == 2


def test_a_lock_that_stays_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolflow.journal.writer._LOCK_SECONDS", 0.05)
    monkeypatch.setattr("toolflow.journal.writer._PATIENCE", 0.02)
    path = tmp_path / "journal.sqlite"
    journal = SqliteJournal(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    (locked,) = _appended(journal, answered())
    other.close()
    assert isinstance(locked, RunDirectoryError)
    assert "locked by another program" in locked.message
    assert "close it" in str(locked.hint)


def test_who_stops_waits_for_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"

    async def main() -> None:
        async with asyncio.timeout(30):
            with SqliteJournal(path) as journal:
                await journal.append(answered(0))
                other = sqlite3.connect(path, isolation_level=None)
                other.execute("BEGIN IMMEDIATE")
                waiting = journal.append(answered(1))
                await asyncio.sleep(0)
            with pytest.raises(RunDirectoryError, match="locked by another program"):
                await waiting
            other.close()

    asyncio.run(main())


def test_clock_jumps_change_nothing(tmp_path: Path) -> None:
    jumps = [2e9, -5e9, 0.0, 1e12]

    async def main(name: str, times: list[float]) -> list[Completion]:
        ticks = iter(times * 10)
        with SqliteJournal(tmp_path / name, clock=lambda: next(ticks)) as journal:
            model = JournalledModel(Counted(), journal, clock=lambda: next(ticks))
            model.begin(0)
            for position in range(4):
                await model.complete(request(0, position))
            model.settle(0, "accepted")
        with SqliteJournal(tmp_path / name, clock=lambda: next(ticks)) as journal:
            model = JournalledModel(Counted(), journal, clock=lambda: next(ticks))
            model.begin(0)
            replayed = [await model.complete(request(0, position)) for position in range(4)]
            assert model.replayed == 4
            return replayed

    assert asyncio.run(main("jumping", jumps)) == asyncio.run(main("steady", [0.0, 1.0, 2.0]))
    with JournalReader(tmp_path / "jumping") as one, JournalReader(tmp_path / "steady") as other:
        assert [call.key for call in one.calls(0)] == [call.key for call in other.calls(0)]
        assert one.count_states() == other.count_states()


def test_a_long_reader_holds_the_log_back_only_while_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolflow.journal.opening.LOG_BYTES", 100_000)
    monkeypatch.setattr("toolflow.journal.writer.LOG_BYTES", 100_000)
    path = tmp_path / "journal.sqlite"
    log = tmp_path / "journal.sqlite-wal"
    text = random_text(400_000)

    async def main() -> tuple[int, int, int]:
        with SqliteJournal(path) as journal, JournalReader(path) as ours:
            await journal.append(answered(0))
            other = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
            other.execute("BEGIN")
            before = other.execute("SELECT count(*) FROM calls").fetchone()[0]
            for position in range(1, 60):
                await journal.append(answered(position, text))
            held = log.stat().st_size
            assert len(ours.calls(0)) == 60
            assert other.execute("SELECT count(*) FROM calls").fetchone()[0] == before == 1
            other.close()
            more = 0
            while log.stat().st_size > 100_000 and more < 1_000:  # it is copied while calls go on
                await journal.append(answered(60 + more))
                more += 1
            return held, log.stat().st_size, journal.totals().all.calls - more

    held, after, calls = asyncio.run(main())
    assert held > 10_000_000
    assert after <= 100_000
    assert calls == 60
