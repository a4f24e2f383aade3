"""The planner: writes the plan, then injects each turn's goal, adjusted to what has happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import msgspec

from toolflow.agents.formats import goal_format, plan_format
from toolflow.agents.prompts import Prompts
from toolflow.agents.transcript import SpokenTranscript
from toolflow.agents.voice import UnusableReply, Voice, read_json
from toolflow.catalog.tool import function_name
from toolflow.dialogue.message import Message
from toolflow.dialogue.plan import Goal, GoalKind, Plan, field_steps
from toolflow.dialogue.plan_rules import PlanLimits, plan_problems
from toolflow.dialogue.scenario import EMPHASIS, Scenario
from toolflow.errors import AgentError
from toolflow.graph.link import ToolSet
from toolflow.llm.chat import Completion
from toolflow.runtime.agent import Agent
from toolflow.runtime.events import (
    AgentRole,
    AssistantSpoke,
    DialogueEnded,
    EndReason,
    Event,
    GoalAdjusted,
    GoalInjected,
    PlanMade,
    ToolsCalled,
    ToolsReturned,
    UserDone,
    UserSpoke,
)

_MOST_LINKS = 40
"""Links the model is shown, strongest first: more would only lengthen the prompt."""


class Planner(Agent):
    """Knows the tools and the plan; never speaks to the assistant.

    Args:
        voice: Its way to its model.
        prompts: The templates.
        tool_set: The tools of the dialogue and the links that joined them.
        scenario: What the dialogue is to be like.
        limits: Bounds of the plan.
        most_turns: User turns after which the dialogue ends.
    """

    role: ClassVar[AgentRole] = "planner"
    hears: ClassVar[tuple[type[Event], ...]] = (
        UserSpoke,
        UserDone,
        ToolsCalled,
        ToolsReturned,
        AssistantSpoke,
    )

    def __init__(
        self,
        voice: Voice,
        prompts: Prompts,
        *,
        tool_set: ToolSet,
        scenario: Scenario,
        limits: PlanLimits,
        most_turns: int,
    ) -> None:
        self._voice = voice
        self._prompts = prompts
        self._tool_set = tool_set
        self._scenario = scenario
        self._limits = limits
        self._most_turns = most_turns
        self._goals: list[Goal] = []
        self._current = -1
        self._adjusted: set[int] = set()
        self._turn = 0
        self._transcript = SpokenTranscript()
        self._called: dict[str, str] = {}  # call id → tool
        self._results: dict[str, list[object]] = {}  # tool → what it returned

    async def begin(self) -> None:
        plan = await self._plan()
        self._goals = list(plan.goals)
        await self.publish(PlanMade(plan))
        await self._inject()

    async def handle(self, event: Event) -> None:
        match event:
            case UserSpoke(message, opened):
                self._current += opened
                self._transcript.user(message.content)
            case ToolsCalled(message):
                self._called |= {call.id: call.name for call in message.tool_calls}
            case ToolsReturned(messages):
                for message in messages:
                    tool = self._called[message.tool_call_id or ""]
                    self._results.setdefault(tool, []).append(msgspec.json.decode(message.content))
            case AssistantSpoke(message):
                self._transcript.assistant(message.content)
                await self._next_turn(asks=message.content.rstrip().endswith("?"))
            case UserDone(gave_up):
                await self.publish(DialogueEnded(self._end_reason(gave_up=gave_up)))
            case _:
                raise AssertionError(event)

    def _end_reason(self, *, gave_up: bool) -> EndReason:
        if gave_up:
            return "user_gave_up"
        return "completed" if self._current == len(self._goals) - 1 else "user_left"

    async def _next_turn(self, *, asks: bool) -> None:
        self._turn += 1
        if self._turn >= self._most_turns:
            await self.publish(DialogueEnded("turn_limit"))
            return
        # While the assistant asks something back, the current goal is still under way: nothing to adjust yet.
        if not asks:
            await self._adjust_upcoming()
        await self._inject()

    async def _inject(self) -> None:
        current = self._goals[self._current] if self._current >= 0 else None
        upcoming = self._goals[self._current + 1] if self._current + 1 < len(self._goals) else None
        await self.publish(GoalInjected(self._turn, current, upcoming))

    async def _plan(self) -> Plan:
        messages = (
            Message("system", self._prompts.render("planner", "system")),
            Message(
                "user",
                self._prompts.render(
                    "planner",
                    "task",
                    tools=self._tool_set.tools,
                    links=[
                        {
                            "from_tool": function_name(link.from_tool),
                            "from_field": link.from_field,
                            "to_tool": function_name(link.to_tool),
                            "to_field": link.to_field,
                            "kind": link.kind,
                        }
                        for link in self._tool_set.links[:_MOST_LINKS]
                    ],
                    scenario=self._scenario,
                    emphasis=EMPHASIS[self._scenario.kind],
                ),
            ),
        )
        return await self._voice.ask(
            messages,
            read=self._read_plan,
            repair=self._repair,
            reason="invalid_plan",
            response_format=plan_format(self._tool_set.tools, self._limits),
        )

    def _read_plan(self, completion: Completion) -> Plan:
        plan = read_json(Plan, completion.message.content)
        problems = plan_problems(plan, self._tool_set.tools, self._limits)
        if problems:
            raise UnusableReply(problems)
        return plan

    def _repair(self, completion: Completion, unusable: UnusableReply) -> tuple[Message, Message]:
        return (
            Message("assistant", completion.message.content or "(nothing)"),
            Message("user", self._prompts.render("planner", "repair", problems=unusable.problems)),
        )

    async def _adjust_upcoming(self) -> None:
        """Have the next goal rewritten, once, where it rests on something that did not happen."""
        position = self._current + 1
        if position >= len(self._goals) or position in self._adjusted:
            return
        goal = self._goals[position]
        notes = list(_broken_premises(goal, self._results))
        if not notes:
            return
        self._adjusted.add(position)
        messages = (
            Message("system", self._prompts.render("planner", "system")),
            Message(
                "user",
                self._prompts.render(
                    "planner", "adjust", transcript=str(self._transcript), notes=notes, goal=goal
                ),
            ),
        )
        try:
            adjusted = await self._voice.ask(
                messages,
                read=partial(self._read_goal, goal.kind),
                repair=self._repair,
                reason="invalid_goal",
                response_format=goal_format(self._tool_set.tools, goal.kind),
            )
        except AgentError:
            return  # the goal as planned is still something that a person may want
        self._goals[position] = adjusted
        await self.publish(GoalAdjusted(position, adjusted))

    def _read_goal(self, kind: GoalKind, completion: Completion) -> Goal:
        goal = read_json(Goal, completion.message.content)
        offered = {tool.function_name for tool in self._tool_set.tools}
        problems = [f"there is no tool {call.tool!r}" for call in goal.calls if call.tool not in offered]
        if goal.kind != kind:
            problems.append(f"the goal must stay of kind {kind}")
        if problems:
            raise UnusableReply(problems)
        return goal


def _broken_premises(goal: Goal, results: Mapping[str, Sequence[object]]) -> Iterator[str]:
    """What the goal expects from earlier results and did not get, in sentences."""
    own_calls = {call.tool for call in goal.calls}
    for call in goal.calls:
        for argument in call.arguments:
            if argument.source != "result" or argument.from_tool in own_calls:
                continue
            returned = results.get(argument.from_tool or "")
            if not returned:
                yield f"Nothing was learned of {argument.name}: the step that was to tell it did not happen."
            elif argument.from_field and not any(_holds(value, argument.from_field) for value in returned):
                yield f"The answer that was to tell {argument.name} came back without it."


def _holds(value: Any, path: str) -> bool:
    """Whether a result holds a value at a dotted path; lists are looked into."""
    values = [value]
    for step in field_steps(path):
        values = [item for value in values for item in (value if isinstance(value, list) else [value])]
        values = [value[step] for value in values if isinstance(value, dict) and step in value]
    return any(value not in (None, "", []) for value in values)
