from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from toolflow.catalog.schema import compile_schema
from toolflow.dialogue.plan_rules import PlanLimits, plan_problems

SEEDS = range(60)


@pytest.fixture(scope="module")
def dialogues(play: Callable[[int], Any]) -> list[Any]:
    return [play(seed) for seed in SEEDS]


def test_plans_keep_the_rules(dialogues: list[Any]) -> None:
    for played in dialogues:
        assert plan_problems(played.plan, played.tools, PlanLimits()) == []
        assert len(played.plan.goals) == played.scenario.goals
        spoken = " ".join(goal.request for goal in played.plan.goals)
        assert not any("_" in tool.name and tool.name in spoken for tool in played.tools)


def test_dialogues_end_well(dialogues: list[Any]) -> None:
    ends = [played.ended for played in dialogues]
    assert set(ends) <= {"finished", "gave_up"}
    assert ends.count("finished") >= 0.95 * len(ends)


def test_every_call_and_every_result_is_valid(dialogues: list[Any]) -> None:
    for played in dialogues:
        tools = {tool.function_name: tool for tool in played.tools}
        for _, name, arguments, result in played.calls:
            assert tools[name].argument_problems(arguments) == []
            assert compile_schema(tools[name].returns).problems(result) == []


def test_the_assistant_does_what_was_planned(dialogues: list[Any]) -> None:
    planned = made = 0
    for played in dialogues:
        for place, goal in enumerate(played.plan.goals):
            done = [(name, arguments) for at, name, arguments, _ in played.calls if at == place]
            for call in goal.calls:
                told = {one.name: one.value for one in call.arguments if one.source == "user"}
                planned += 1
                made += any(
                    name == call.tool and told.items() <= arguments.items() for name, arguments in done
                )
    assert made >= 0.93 * planned


def test_the_data_set_is_as_rich_as_it_should_be(dialogues: list[Any]) -> None:
    several = sum(len(played.calls) > 1 for played in dialogues)
    asking = sum(
        any(speaker == "assistant" and text.endswith("?") for speaker, text in played.spoken)
        for played in dialogues
    )
    assert several >= 0.7 * len(dialogues)
    assert asking >= 0.2 * len(dialogues)


def test_nobody_speaks_in_field_names_or_json(dialogues: list[Any]) -> None:
    for played in dialogues:
        names = {name for tool in played.tools for name in tool.properties if "_" in name}
        for _, text in played.spoken:
            assert text.strip()
            assert not any(name in text for name in names), text
            assert "{" not in text


def test_openings_vary(dialogues: list[Any]) -> None:
    assert len({played.spoken[0][1] for played in dialogues}) > 0.9 * len(dialogues)
