from __future__ import annotations

import json

import pytest

from tests.unit.view.view_samples import HOSTILE, chat_goal, follow, hotel_events
from toolflow.dialogue.message import Message, ToolCall
from toolflow.runtime.events import (
    AssistantSpoke,
    DialogueEnded,
    GoalAdjusted,
    GoalInjected,
    ToolsCalled,
    ToolsReturned,
    UserSpoke,
)
from toolflow.view.focus import Entry, Focus


def said(text: str) -> AssistantSpoke:
    return AssistantSpoke(Message("assistant", text))


def called(name: str, arguments: str) -> ToolsCalled:
    return ToolsCalled(Message("assistant", "", (ToolCall("1", name, arguments),)))


def test_a_dialogue_is_told_in_the_order_of_its_events() -> None:
    focus = Focus()
    follow(focus, *hotel_events())
    assert (focus.dialogue, focus.topic, focus.goals, focus.opened) == (7, "A weekend in Lisbon", 3, 1)
    assert list(focus.entries) == [
        Entry("goal", "Find a quiet hotel"),
        Entry("user", "I need a quiet hotel."),
        Entry("call", 'search_hotels(city="Lisbon", guests=2)'),
        Entry("result", '{"hotel": "Tejo Vista"}'),
        Entry("assistant", "The Tejo Vista is quiet."),
        Entry("end", "completed"),
    ]


def test_a_goal_is_shown_when_the_user_opens_it_and_as_it_was_last_adjusted() -> None:
    focus = Focus()
    old, new = chat_goal("Book the Tejo Vista"), chat_goal("Book the Mar Azul")
    follow(
        focus,
        GoalInjected(1, None, old),
        UserSpoke(Message("user", "Wait."), opened=False),
        GoalAdjusted(0, new),
        GoalInjected(2, None, new),
        UserSpoke(Message("user", "Book it."), opened=True),
    )
    assert [entry.text for entry in focus.entries] == ["Wait.", "Book the Mar Azul", "Book it."]


@pytest.mark.parametrize(
    ("events", "awaited"),
    [(1, "planner"), (2, "user"), (3, "assistant"), (4, "tool"), (5, "assistant"), (6, "planner"), (7, None)],
)
def test_who_acts_next(events: int, awaited: str | None) -> None:
    focus = Focus()
    follow(focus, *hotel_events()[:events])
    assert focus.awaited == awaited


def test_other_dialogues_are_not_shown_while_one_goes_on() -> None:
    focus = Focus()
    follow(focus, said("mine"))
    follow(focus, said("new"), dialogue=8, start=10.0)
    follow(focus, said("under way"), dialogue=9, start=20.0, sequence=5)
    assert focus.dialogue == 7
    assert [entry.text for entry in focus.entries] == ["mine"]


def test_the_end_stays_two_seconds_then_the_next_dialogue_that_begins_is_taken() -> None:
    focus = Focus()
    follow(focus, *hotel_events(), start=-6.0)  # ends at 0
    follow(focus, said("too early"), dialogue=8, start=1.9)
    follow(focus, said("under way"), dialogue=9, start=2.1, sequence=5)
    assert focus.dialogue == 7
    follow(focus, said("new"), dialogue=10, start=2.2)
    assert (focus.dialogue, focus.topic, focus.opened, focus.awaited) == (10, "", 0, "planner")
    assert [entry.text for entry in focus.entries] == ["new"]


def test_where_none_begins_one_under_way_is_taken() -> None:
    focus = Focus()
    follow(focus, DialogueEnded("completed"))
    follow(focus, said("under way"), dialogue=9, start=6.9, sequence=5)
    assert focus.dialogue == 7
    follow(focus, said("under way"), dialogue=9, start=7.1, sequence=6)
    assert focus.dialogue == 9


def test_a_dialogue_that_fell_silent_is_left() -> None:
    focus = Focus()
    follow(focus, said("last words"))
    follow(focus, said("new"), dialogue=8, start=29.0)
    assert focus.dialogue == 7
    follow(focus, said("new"), dialogue=9, start=31.0)
    assert focus.dialogue == 9


def test_arguments_that_are_no_object_are_shown_as_written() -> None:
    focus = Focus()
    follow(focus, called("search", '{"city": "Lis'))
    assert focus.entries[-1].text == 'search({"city": "Lis)'


def test_words_beside_calls_are_shown_and_empty_ones_are_not() -> None:
    focus = Focus()
    call = ToolCall("1", "search", "{}")
    follow(focus, ToolsCalled(Message("assistant", "Let me look.", (call,))), called("again", "{}"))
    assert [tuple(entry) for entry in focus.entries] == [
        ("assistant", "Let me look."),
        ("call", "search()"),
        ("call", "again()"),
    ]


def test_hostile_text_is_harmless_everywhere() -> None:
    focus = Focus()
    follow(focus, *hotel_events(HOSTILE))
    follow(focus, called("tool", json.dumps({"x": HOSTILE}, ensure_ascii=False)), start=10.0)
    texts = [focus.topic, *(entry.text for entry in focus.entries)]
    assert any("override" in text for text in texts)
    for text in texts:
        assert not set(text) & set("\x1b\x9b\x07\r\n\u202e\u202c\u2066\u2069")


def test_it_never_grows() -> None:
    focus = Focus()
    long = "word " * 100_000
    messages = tuple(Message("tool", long) for _ in range(500))
    follow(focus, *(ToolsReturned(messages) for _ in range(20)), called("tool", json.dumps({"x": long})))
    assert len(focus.entries) <= 100
    assert all(len(entry.text) <= 2_000 for entry in focus.entries)
