from __future__ import annotations

from typing import Any

import msgspec
import pytest

from toolflow.agents.formats import result_format
from toolflow.agents.prompts import shipped_prompts
from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message
from toolflow.dialogue.plan import Plan
from toolflow.dialogue.plan_rules import PlanLimits, plan_problems
from toolflow.dialogue.scenario import EMPHASIS, Scenario

TRIES = 300


def planner_prompt(tools: list[Tool]) -> list[Message]:
    scenario = Scenario("dependent", 5, "anyone")
    prompts = shipped_prompts()
    task = prompts.render(
        "planner", "task", tools=tools, links=[], scenario=scenario, emphasis=EMPHASIS[scenario.kind]
    )
    return [Message("system", prompts.render("planner", "system")), Message("user", task)]


@pytest.fixture
def tools(sample_tools: tuple[Tool, ...]) -> list[Tool]:
    return [
        tool
        for tool in sample_tools
        if tool.name in {"search_hotels", "get_hotel_details", "list_hotel_rooms"}
    ]


def broken_plans(ask: Any, tools: list[Tool], messages: list[Message], mistakes: float) -> int:
    plans = [
        Plan.model_validate_json(ask(messages, "plan", seed=seed, mistakes=mistakes).content)
        for seed in range(TRIES)
    ]
    return sum(bool(plan_problems(plan, tools, PlanLimits())) for plan in plans)


@pytest.mark.parametrize("mistakes", [0.0, 0.2, 1.0])
def test_plans_are_spoiled_at_the_rate(ask: Any, tools: list[Tool], mistakes: float) -> None:
    broken = broken_plans(ask, tools, planner_prompt(tools), mistakes)
    assert broken == pytest.approx(mistakes * TRIES, abs=0.08 * TRIES if 0 < mistakes < 1 else 0)


def test_a_repair_is_right(ask: Any, tools: list[Tool]) -> None:
    repair = shipped_prompts().render("planner", "repair", problems=["goal 1: no"])
    messages = [*planner_prompt(tools), Message("assistant", "{}"), Message("user", repair)]
    assert broken_plans(ask, tools, messages, 1.0) == 0


@pytest.mark.parametrize(("mistakes", "wrong"), [(0.0, 0), (1.0, TRIES)])
def test_calls_are_spoiled_in_every_way(ask: Any, tools: list[Tool], mistakes: float, wrong: int) -> None:
    by_name = {tool.name: tool for tool in tools}
    text = "Can you find hotels in Rome checking in on May 1, 2026 and staying until May 4, 2026?"
    messages = [Message("system", shipped_prompts().render("assistant", "system")), Message("user", text)]
    seen: set[str] = set()
    for seed in range(TRIES):
        (call,) = ask(messages, tools=tuple(tools), seed=seed, mistakes=mistakes).tool_calls
        if call.name not in by_name:
            seen.add("unknown tool")
        elif call.decoded() is None:
            seen.add("malformed")
        else:
            for problem in by_name[call.name].argument_problems(call.decoded()):
                seen.add("missing" if "required property" in problem else "type")
        wrong -= (
            call.name not in by_name
            or call.decoded() is None
            or bool(by_name[call.name].argument_problems(call.decoded()))
        )
    assert wrong == 0
    assert seen == ({"unknown tool", "malformed", "missing", "type"} if mistakes else set())


@pytest.mark.parametrize("repaired", [False, True])
def test_results_are_spoiled_unless_they_are_repaired(ask: Any, tools: list[Tool], repaired: bool) -> None:
    tool = next(tool for tool in tools if tool.name == "get_hotel_details")
    prompts = shipped_prompts()
    shape, wrapped = result_format(tool)
    task = prompts.render(
        "tool", "task", tool=tool, history=[], arguments={"hotel_id": "HT1"}, wrapped=wrapped
    )
    messages = [Message("user", task)]
    if repaired:
        messages += [
            Message("assistant", "{}"),
            Message("user", prompts.render("tool", "repair", problems=["no"])),
        ]
    for seed in range(20):
        reply = ask(messages, "tool_result", schema=dict(shape.schema), seed=seed, mistakes=1.0)
        assert bool(tool.result_problems(msgspec.json.decode(reply.content))) != repaired


def test_the_user_leaves_too_soon_now_and_then(ask: Any) -> None:
    goal = {"request": "The user wants to find hotels.", "facts": {}, "only_when_asked": {}}
    prompts = shipped_prompts()
    transcript = "User: Can you find hotels?\nAssistant: I found two hotels."
    turn = prompts.render("user", "turn", transcript=transcript, current=goal, next=goal)
    messages = [Message("system", "You play a person."), Message("user", turn)]
    for mistakes, fewest, most in ((0.0, 0, 0), (1.0, 1, TRIES - 1)):
        replies = [
            msgspec.json.decode(ask(messages, "user_turn", seed=seed, mistakes=mistakes).content)
            for seed in range(TRIES)
        ]
        left = sum(reply["status"] in {"finished", "gave_up"} for reply in replies)
        assert fewest <= left <= most
