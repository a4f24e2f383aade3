"""Plays dialogues in process, the way the agents do, to see the rehearsal model's four roles together."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import msgspec
import pytest

from toolflow.agents.formats import plan_format, result_format, user_turn_format
from toolflow.agents.prompts import shipped_prompts
from toolflow.catalog.tool import Tool, encode_json
from toolflow.clock import derive_seed
from toolflow.dialogue.message import Message, ToolCall
from toolflow.dialogue.plan import Goal, Plan
from toolflow.dialogue.plan_rules import PlanLimits
from toolflow.dialogue.scenario import EMPHASIS, Scenario, draw_scenario
from toolflow.llm.chat import CallKey, Request, ResponseFormat
from toolflow.llm.providers.rehearsal import RehearsalProvider

Ask = Callable[..., Message]
PLACE = CallKey(0, "any", 0)


@pytest.fixture(scope="session")
def sample_tools() -> tuple[Tool, ...]:
    """The tools of the shipped catalogue."""
    lines = (files("toolflow.catalog") / "data" / "sample.jsonl").read_bytes().splitlines()
    rows = [msgspec.json.decode(line) for line in lines]
    return tuple(Tool(row["name"], row["description"], row["parameters"], row["returns"]) for row in rows)


@pytest.fixture
def ask() -> Ask:
    """Ask a provider that makes no mistakes, unless told otherwise."""

    def send(
        messages: list[Message],
        name: str | None = None,
        *,
        schema: dict[str, Any] | None = None,
        seed: int = 0,
        mistakes: float = 0.0,
        key: CallKey = PLACE,
        **rest: Any,
    ) -> Message:
        shape = ResponseFormat(name, schema or {}) if name else None
        request = Request(key, "rehearsal", tuple(messages), response_format=shape, seed=seed, **rest)
        return asyncio.run(RehearsalProvider(mistakes).send(request)).message

    return send


@dataclass
class Played:
    """A dialogue as it went."""

    scenario: Scenario
    tools: list[Tool]
    plan: Plan
    calls: list[tuple[int, str, dict[str, Any], Any]] = field(
        default_factory=list
    )  # goal, tool, arguments, result
    spoken: list[tuple[str, str]] = field(default_factory=list)
    ended: str = ""


@pytest.fixture(scope="session")
def play(sample_tools: tuple[Tool, ...]) -> Callable[[int], Played]:
    """Play the dialogue of a seed with some tools of the sample catalogue."""

    def run(seed: int) -> Played:
        draw = random.Random(seed)
        start = draw.randrange(len(sample_tools) - 5)
        scenario = draw_scenario(draw, fewest_goals=4, most_goals=7)
        return asyncio.run(_play(list(sample_tools[start : start + draw.randint(3, 5)]), scenario, seed))

    return run


async def _play(tools: list[Tool], scenario: Scenario, seed: int) -> Played:
    prompts, provider, count = shipped_prompts(), RehearsalProvider(0.0), 0

    async def reply(messages: list[Message], shape: ResponseFormat | None = None, **rest: Any) -> Message:
        nonlocal count
        count += 1
        key = CallKey(0, "any", count)
        request = Request(
            key, "m", tuple(messages), response_format=shape, seed=derive_seed(seed, count), **rest
        )
        return (await provider.send(request)).message

    task = prompts.render(
        "planner", "task", tools=tools, links=[], scenario=scenario, emphasis=EMPHASIS[scenario.kind]
    )
    planned = await reply(
        [Message("system", prompts.render("planner", "system")), Message("user", task)],
        plan_format(tools, PlanLimits()),
    )
    played = Played(scenario, tools, Plan.model_validate_json(planned.content))
    by_name = {tool.function_name: tool for tool in tools}
    goals = played.plan.goals
    system = Message("system", prompts.render("user", "system", scenario=scenario, topic=played.plan.topic))
    shown = [Message("system", prompts.render("assistant", "system"))]
    history: list[dict[str, Any]] = []
    current = -1
    for _ in range(24):
        begun = goals[current] if current >= 0 else None
        upcoming = goals[current + 1] if current + 1 < len(goals) else None
        transcript = "\n".join(f"{name.title()}: {text}" for name, text in played.spoken)
        turn = prompts.render(
            "user", "turn", transcript=transcript, current=_told(begun), next=_told(upcoming)
        )
        shape = user_turn_format(begun=begun is not None, more=upcoming is not None)
        said = msgspec.json.decode((await reply([system, Message("user", turn)], shape)).content)
        if said["status"] in {"finished", "gave_up"}:
            played.ended = said["status"]
            return played
        current += said["status"] == "next_goal"
        played.spoken.append(("user", said["message"]))
        shown.append(Message("user", said["message"]))
        for round_number in range(7):
            choice = "none" if round_number == 6 else "auto"
            message = await reply(shown, tools=tuple(tools), tool_choice=choice)
            shown.append(message)
            if not message.tool_calls:
                played.spoken.append(("assistant", message.content))
                break
            for call in message.tool_calls:
                shown.append(await _returned(reply, by_name[call.name], call, history))
                entry = history[-1]
                played.calls.append((current, call.name, entry["arguments"], entry["result"]))
    played.ended = "turn limit"
    return played


async def _returned(reply: Any, tool: Tool, call: ToolCall, history: list[dict[str, Any]]) -> Message:
    prompts, arguments = shipped_prompts(), call.decoded()
    shape, wrapped = result_format(tool)
    task = prompts.render("tool", "task", tool=tool, history=history, arguments=arguments, wrapped=wrapped)
    answer = await reply([Message("system", prompts.render("tool", "system")), Message("user", task)], shape)
    result = msgspec.json.decode(answer.content)
    result = result["result"] if wrapped else result
    history.append({"tool": call.name, "arguments": arguments, "result": result})
    return Message("tool", encode_json(result), tool_call_id=call.id)


def _told(goal: Goal | None) -> dict[str, Any] | None:
    if goal is None:
        return None
    return {"request": goal.request, "facts": goal.facts, "only_when_asked": goal.withheld_facts}
