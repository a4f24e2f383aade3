"""The rule checks: what makes a trajectory fit for the data set (METHOD §5, filter).

Every check is a pure function of the trajectory and the tools that were offered, so a run can be judged again
without an LLM call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message
from toolflow.runtime.simulator import Trajectory

ToolsByName = Mapping[str, Tool]
Problem = tuple[int | None, str]
"""Place of the message, and what is wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a trajectory.

    Attributes:
        check: The check that found it; the reason under which it is counted.
        detail: What and where, in a sentence.
        place: Of the message that it is about, in the trajectory; None where it is about the whole.
    """

    check: str
    detail: str
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checks say of a trajectory; accepted when nothing was found."""

    findings: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        return not self.findings


def judge(trajectory: Trajectory, tools: Sequence[Tool]) -> Verdict:
    """Run every check."""
    by_name = {tool.function_name: tool for tool in tools}
    return Verdict(
        tuple(
            Finding(name, detail, place)
            for name, check in CHECKS.items()
            for place, detail in check(trajectory, by_name)
        )
    )


def _role_order(trajectory: Trajectory, _tools: ToolsByName) -> Iterator[Problem]:
    """user, then assistant; calls are followed by their results; the assistant has the last word."""
    follows = {
        "start": {"user"},
        "user": {"assistant"},
        "calling": {"tool"},
        "tool": {"tool", "assistant"},
        "assistant": {"user"},
    }
    before = "start"
    for place, message in enumerate(trajectory.messages):
        if message.role not in follows[before]:
            yield place, f"message {place}: {message.role} after {before}"
        if message.role != "tool" and not message.content and not message.tool_calls:
            yield place, f"message {place}: the {message.role} says nothing"
        before = "calling" if message.tool_calls else message.role
    if before != "assistant":
        yield len(trajectory.messages) - 1, f"the dialogue ends with {before}"


def _known_tool(trajectory: Trajectory, tools: ToolsByName) -> Iterator[Problem]:
    for place, message in enumerate(trajectory.messages):
        for call in message.tool_calls:
            if call.name not in tools:
                yield place, f"{call.id} calls {call.name!r}, which was not offered"


def _call_format(trajectory: Trajectory, tools: ToolsByName) -> Iterator[Problem]:
    for place, message in enumerate(trajectory.messages):
        for call in message.tool_calls:
            arguments = call.decoded()
            if arguments is None:
                yield place, f"{call.id}: the arguments are not a JSON object"
            elif call.name in tools:
                for problem in tools[call.name].argument_problems(arguments):
                    yield place, f"{call.id} ({call.name}): {problem}"


def _answered_once(trajectory: Trajectory, _tools: ToolsByName) -> Iterator[Problem]:
    open_calls: list[str] = []
    seen: set[str] = set()
    for place, message in enumerate(trajectory.messages):
        if message.role == "tool":
            if message.tool_call_id in open_calls:
                open_calls.remove(message.tool_call_id)
            else:
                yield place, f"message {place} answers {message.tool_call_id!r}, which is not an open call"
            continue
        if open_calls:
            yield place, f"unanswered before message {place}: {', '.join(open_calls)}"
        open_calls = [call.id for call in message.tool_calls]
        for call_id in open_calls:
            if call_id in seen:
                yield place, f"the call id {call_id!r} is used twice"
            seen.add(call_id)
    if open_calls:
        yield len(trajectory.messages) - 1, f"unanswered at the end: {', '.join(open_calls)}"


def _result_format(trajectory: Trajectory, tools: ToolsByName) -> Iterator[Problem]:
    names = {call.id: call.name for message in trajectory.messages for call in message.tool_calls}
    for place, message in enumerate(trajectory.messages):
        tool = tools.get(names.get(message.tool_call_id or "", ""))
        if message.role != "tool" or tool is None:
            continue
        try:
            result = msgspec.json.decode(message.content)
        except msgspec.DecodeError:
            yield place, f"{message.tool_call_id} ({tool.function_name}): the result is not JSON"
            continue
        for problem in tool.result_problems(result):
            yield place, f"{message.tool_call_id} ({tool.function_name}): {problem}"


def _whole_plan(trajectory: Trajectory, _tools: ToolsByName) -> Iterator[Problem]:
    opened, planned = len(trajectory.goal_starts), len(trajectory.plan.goals)
    if trajectory.ended != "completed" or opened < planned:
        yield None, f"{opened} of {planned} goals were taken up; the dialogue ended by {trajectory.ended}"


def _tool_turns(trajectory: Trajectory, _tools: ToolsByName) -> Iterator[Problem]:
    for place, goal in enumerate(trajectory.plan.goals):
        if goal.kind == "tool" and not _calls_of_goal(trajectory, place):
            opening = trajectory.goal_starts[place]
            yield opening, f"goal {place + 1} needs a tool and none was called: {goal.request[:120]}"


def _calls_of_goal(trajectory: Trajectory, place: int) -> bool:
    starts = trajectory.goal_starts
    if place >= len(starts):
        return True  # never opened: the whole-plan check says so
    end = starts[place + 1] if place + 1 < len(starts) else len(trajectory.messages)
    span: Sequence[Message] = trajectory.messages[starts[place] : end]
    return any(message.tool_calls for message in span)


CHECKS: Final[Mapping[str, Callable[[Trajectory, ToolsByName], Iterator[Problem]]]] = {
    "role_order": _role_order,
    "unknown_tool": _known_tool,
    "call_format": _call_format,
    "unanswered_call": _answered_once,
    "result_format": _result_format,
    "incomplete_plan": _whole_plan,
    "missing_tool_turn": _tool_turns,
}
"""The checks by the reason they are counted under, in the order in which they run."""
