"""Each check finds what it is for in a good dialogue with one thing broken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message, ToolCall
from toolflow.dialogue.plan import Goal, Plan, PlannedCall
from toolflow.quality.checks import judge
from toolflow.runtime.simulator import Trajectory

WEATHER = Tool(
    "get_weather",
    "Tell the weather.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    {"type": "object", "properties": {"celsius": {"type": "number"}}, "required": ["celsius"]},
)
CALL = ToolCall("call_1", "get_weather", '{"city":"Oslo"}')
GOOD = Trajectory(
    (
        Message("user", "Is it warm in Oslo?"),
        Message("assistant", "", (CALL,)),
        Message("tool", '{"celsius":21.5}', tool_call_id="call_1"),
        Message("assistant", "It is 21.5 degrees."),
        Message("user", "Lovely, thanks!"),
        Message("assistant", "You are welcome."),
    ),
    Plan(
        topic="a walk",
        goals=(
            Goal(kind="tool", request="The user asks for weather.", calls=(PlannedCall(tool="get_weather"),)),
            Goal(kind="chat", request="The user says thanks."),
        ),
    ),
    "completed",
    (0, 4),
)


def with_messages(*changes: tuple[int, Message | None]) -> Trajectory:
    messages: list[Message | None] = list(GOOD.messages)
    for place, message in changes:
        messages[place] = message
    return replace(GOOD, messages=tuple(message for message in messages if message is not None))


def found(trajectory: Trajectory) -> set[str]:
    return {finding.check for finding in judge(trajectory, [WEATHER]).findings}


def test_a_good_dialogue_is_accepted() -> None:
    assert judge(GOOD, [WEATHER]).accepted


@pytest.mark.parametrize(
    ("trajectory", "check"),
    [
        (with_messages((3, None)), "role_order"),
        (with_messages((5, None)), "role_order"),
        (with_messages((3, Message("assistant", ""))), "role_order"),
        (with_messages((1, Message("assistant", "", (replace(CALL, name="fly"),)))), "unknown_tool"),
        (with_messages((1, Message("assistant", "", (replace(CALL, arguments="{"),)))), "call_format"),
        (with_messages((1, Message("assistant", "", (replace(CALL, arguments="[]"),)))), "call_format"),
        (with_messages((1, Message("assistant", "", (replace(CALL, arguments="{}"),)))), "call_format"),
        (with_messages((2, None)), "unanswered_call"),
        (with_messages((2, Message("tool", "{}", tool_call_id="call_2"))), "unanswered_call"),
        (
            with_messages(
                (1, Message("assistant", "", (CALL, CALL))),
            ),
            "unanswered_call",
        ),
        (with_messages((2, Message("tool", '{"celsius":"warm"}', tool_call_id="call_1"))), "result_format"),
        (with_messages((2, Message("tool", "warm", tool_call_id="call_1"))), "result_format"),
        (replace(GOOD, ended="user_left"), "incomplete_plan"),
        (replace(GOOD, goal_starts=(0,)), "incomplete_plan"),
        (with_messages((1, None), (2, None)), "missing_tool_turn"),
    ],
)
def test_a_broken_dialogue_is_found_out(trajectory: Trajectory, check: str) -> None:
    assert check in found(trajectory)


def test_two_results_for_one_call_are_found() -> None:
    messages = list(GOOD.messages)
    messages.insert(3, GOOD.messages[2])
    assert found(replace(GOOD, messages=tuple(messages), goal_starts=(0, 5))) == {"unanswered_call"}


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ((2, Message("tool", '{"celsius":"warm"}', tool_call_id="call_1")), 2),
        ((1, Message("assistant", "", (ToolCall("call_1", "get_weather", "{}"),))), 1),
        ((3, Message("assistant", "")), 3),
    ],
)
def test_findings_tell_the_place_of_the_message(changed: tuple[int, Message], place: int) -> None:
    assert {finding.place for finding in judge(with_messages(changed), [WEATHER]).findings} == {place}


def test_what_is_wrong_with_the_whole_has_no_place() -> None:
    (finding,) = judge(replace(GOOD, ended="user_left"), [WEATHER]).findings
    assert finding.place is None
