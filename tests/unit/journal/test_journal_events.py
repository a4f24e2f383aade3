"""Events are bounded in rate, and states follow the lines that are written."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from toolflow.journal.calls import MemoryJournal
from toolflow.journal.events import RunEvents
from toolflow.journal.lines import Line
from toolflow.journal.replay import JournalledModel
from toolflow.llm.chat import Completion, Request
from toolflow.llm.concurrency.limit import LimitChange
from toolflow.llm.router import ReplicaStatistics
from toolflow.llm.tally import ClientStatistics
from toolflow.runtime.testing import run_virtual


class Unasked:
    async def complete(self, request: Request) -> Completion:
        raise AssertionError(request)


def test_a_flood_of_one_kind_is_bounded_and_counted() -> None:
    now = 0.0
    journal = MemoryJournal()
    events = RunEvents(journal, clock=lambda: now)
    for _ in range(1_000):
        events.note("breaker_opened", endpoint="a")
    events.note("run_ended", ending="target_met")
    now = 10.0
    events.note("breaker_opened", endpoint="a")
    kinds = [kind for kind, _ in journal.events]
    assert kinds == ["breaker_opened"] * 60 + ["run_ended", "breaker_opened"]
    assert journal.events[-1][1] == {"endpoint": "a", "left_out": 940}


def test_changes_of_limits_and_breakers_are_taken_down_once() -> None:
    idle = ClientStatistics(0, 0, 0, 0, 0, 0, 0, 0, 0)
    endpoint = ReplicaStatistics("http://a", 8, 0, 0, 0, 0, 0, 0, "closed")

    async def main() -> list[tuple[str, dict[str, object]]]:
        journal = MemoryJournal()
        loop = asyncio.get_running_loop()
        changes: list[LimitChange] = []
        state, stalled = endpoint, 0

        def statistics() -> ClientStatistics:
            return replace(idle, changes=tuple(changes), endpoints=(state,), stalled=stalled)

        following = asyncio.create_task(RunEvents(journal, clock=loop.time).follow(statistics))
        await asyncio.sleep(5)
        changes.append(LimitChange(loop.time(), 8, 4, "a 429"))
        state = replace(endpoint, breaker="open")
        await asyncio.sleep(5)
        state = replace(endpoint, breaker="probing")
        await asyncio.sleep(5)
        changes.append(LimitChange(loop.time(), 4, 5, "saturated"))
        state, stalled = endpoint, 3
        await asyncio.sleep(5)
        following.cancel()
        return journal.events

    assert run_virtual(main()) == [
        ("limit_changed", {"before": 8, "after": 4, "reason": "a 429"}),
        ("breaker_opened", {"endpoint": "http://a"}),
        ("limit_changed", {"before": 4, "after": 5, "reason": "saturated"}),
        ("attempts_stalled", {"attempts": 3}),
        ("breaker_closed", {"endpoint": "http://a"}),
    ]


def test_states_follow_the_lines_that_an_earlier_process_wrote() -> None:
    journal = MemoryJournal()
    for dialogue in range(5):
        journal.mark(dialogue, "alive")
    journal.mark(1, "accepted")
    journal.mark(2, "accepted")
    before = dict(journal.dialogues)
    JournalledModel(Unasked(), journal).continue_from(
        {0, 1, 6},
        [
            Line(3, 0, 9, "checks", "incomplete_plan"),
            Line(4, 9, 9, "dialogue", "deadline"),
        ],
    )
    states = {known.dialogue: (known.state, known.stage, known.reason) for known in journal.states()}
    assert states == {
        0: ("accepted", None, None),  # the line was written, its state was not
        1: ("accepted", None, None),
        2: ("alive", None, None),  # the line is gone: it is played again, from its calls
        3: ("rejected", "checks", "incomplete_plan"),
        4: ("failed", "dialogue", "deadline"),
        6: ("accepted", None, None),
    }
    assert journal.dialogues[1] is before[1]
