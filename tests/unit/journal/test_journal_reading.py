"""What a journal holds can be read back, by us and with plain SQL, while the run goes on."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message, ToolCall
from toolflow.errors import RunDirectoryError
from toolflow.journal.bodies import decode
from toolflow.journal.calls import SqliteJournal
from toolflow.journal.digest import request_hash
from toolflow.journal.reading import JournalReader
from toolflow.journal.replay import JournalledModel
from toolflow.llm.chat import (
    CallKey,
    Completion,
    Delivery,
    Request,
    ResponseFormat,
    Sampling,
    Usage,
)

PING = Tool("ping", "Ping a host.", {"type": "object", "properties": {"host": {"type": "string"}}})
ECHO = Tool("echo", "Say it again.", {"type": "object", "properties": {}})
CALL = ToolCall("call_1", "ping", '{"host": "a"}')
FORMAT = ResponseFormat("turn", {"type": "object"})
SYSTEM = Message("system", "You are helpful.")
HELLO = Message("user", "hello")
NOON = 1_800_000_000.0


def talk() -> list[Request]:
    """A dialogue whose prompts grow, and which changes everything that a request has."""
    first = Request(
        CallKey(4, "assistant", 0), "small", (SYSTEM, HELLO), (PING, ECHO), sampling=Sampling(0.3), seed=11
    )
    said = (*first.messages, Message("assistant", "", (CALL,)), Message("tool", "pong", (), "call_1"))
    return [
        Request(CallKey(4, "user", 0), "large", (SYSTEM,), response_format=FORMAT, seed=2**63 - 1),
        first,
        replace(first, key=CallKey(4, "assistant", 3), messages=said, seed=12),
        replace(first, key=CallKey(4, "assistant", 6), messages=said[:1], tools=(ECHO,), model="large"),
        replace(first, key=CallKey(4, "assistant", 9), tools=(), tool_choice="none", response_format=FORMAT),
        replace(first, key=CallKey(4, "assistant", 12), tools=(), sampling=Sampling(max_tokens=9)),
        Request(CallKey(4, "user", 3), "large", (SYSTEM, HELLO), seed=0),
    ]


class Delivered:
    """Answers with what came over the network."""

    async def complete(self, request: Request) -> Completion:
        return Completion(
            Message("assistant", f"{request.key.role} {request.key.position}"),
            "stop",
            Usage(100, 7),
            f"{request.model}-2026",
            Delivery("http://localhost:8000/v1", 2, 0.5),
        )


def journalled(
    path: Path, requests: list[Request], meanwhile: Callable[[], Awaitable[None]] | None = None
) -> None:
    async def main() -> None:
        with SqliteJournal(path, clock=lambda: NOON) as journal:
            model = JournalledModel(Delivered(), journal, clock=lambda: NOON)
            for dialogue in {request.key.dialogue for request in requests}:
                model.begin(dialogue)
            for request in requests:
                await model.complete(request)
            if meanwhile is not None:
                await meanwhile()

    asyncio.run(main())


def test_calls_come_back_whole_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journalled(path, talk())
    with JournalReader(path) as journal:
        calls = journal.calls(4)
        assert journal.calls(5) == []
        assert list(journal.dialogues()) == [4]
    assert [call.request for call in calls] == talk()
    assert [call.request_hash for call in calls] == [request_hash(request) for request in talk()]
    assert [call.number for call in calls] == [1, 2, 3, 4, 5, 6, 7]
    assert calls[0].completion.message.content == "user 0"
    assert calls[0].completion.delivery == Delivery("http://localhost:8000/v1", 2, 0.5)
    assert calls[0].sent_at == NOON - 0.5


def test_prompts_are_kept_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journalled(path, talk())
    connection = sqlite3.connect(path)
    bodies = [
        str(body) for (frame,) in connection.execute("SELECT body FROM frames") for body in decode(frame)
    ]
    kinds = connection.execute("SELECT kind, count(*) FROM parts GROUP BY kind").fetchall()
    connection.close()
    assert sum(body.count("You are helpful.") for body in bodies) == 2  # once for each role
    assert kinds == [("schema", 1), ("tool", 2)]


def test_totals_by_role_and_model(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journalled(path, talk())
    with JournalReader(path) as journal:
        totals = journal.totals()
    assert (totals.all.calls, totals.all.usage, totals.all.attempts) == (7, Usage(700, 49), 14)
    assert totals.all.seconds == pytest.approx(3.5)
    assert {role: part.calls for role, part in totals.by_role.items()} == {"user": 2, "assistant": 5}
    assert {model: part.calls for model, part in totals.by_model.items()} == {
        "small-2026": 4,
        "large-2026": 3,
    }


def test_states_and_events(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"

    async def main() -> None:
        with SqliteJournal(path, clock=lambda: NOON) as journal:
            journal.mark(0, "alive")
            journal.mark(1, "alive")
            journal.mark(2, "alive")
            journal.mark(0, "accepted")
            journal.note("run_begun", target=3)
            journal.mark(2, "rejected", "checks", "incomplete_plan")
            journal.note("limit_changed", before=4, after=8, reason="saturated")

    asyncio.run(main())
    with JournalReader(path) as journal:
        assert journal.count_states() == {"accepted": 1, "alive": 1, "rejected": 1}
        assert [state.state for state in journal.states()] == ["accepted", "alive", "rejected"]
        thrown_out = journal.state(2)
        assert thrown_out is not None
        assert (thrown_out.stage, thrown_out.reason, thrown_out.at) == ("checks", "incomplete_plan", NOON)
        assert journal.state(7) is None
        assert [(event.kind, dict(event.detail)) for event in journal.events()] == [
            ("run_begun", {"target": 3}),
            ("limit_changed", {"before": 4, "after": 8, "reason": "saturated"}),
        ]
        assert [event.kind for event in journal.events(after=1)] == ["limit_changed"]


def test_reading_while_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    seen: list[int] = []

    async def look() -> None:
        with JournalReader(path) as journal:
            seen.append(len(journal.calls(4)))

    journalled(path, talk(), look)
    assert seen == [7]


def test_a_folder_that_cannot_be_written_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    path = folder / "journal.sqlite"
    journalled(path, talk())
    path.chmod(0o400)
    folder.chmod(0o500)
    try:
        with JournalReader(path) as journal:
            assert len(journal.calls(4)) == 7
    finally:
        folder.chmod(0o700)


def test_no_journal_is_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="there is no journal"):
        JournalReader(tmp_path / "journal.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_journal_of_the_first_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE calls (dialogue, role, position, request_hash, reply)")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    before = path.read_bytes()
    for read in (JournalReader, SqliteJournal):
        with pytest.raises(RunDirectoryError, match="journal schema 1") as caught:
            read(path)
        assert "-o RUN" in str(caught.value.hint)
    assert path.read_bytes() == before
