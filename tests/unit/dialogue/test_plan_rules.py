"""The rules of a plan, each broken once."""

from __future__ import annotations

import pytest

from toolflow.catalog.tool import Tool
from toolflow.dialogue.plan import Goal, Plan, PlannedArgument, PlannedCall
from toolflow.dialogue.plan_rules import PlanLimits, plan_problems

SEARCH = Tool(
    "search_flights",
    "Find flights.",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "day": {"type": "string"}},
        "required": ["city"],
    },
    {
        "type": "object",
        "properties": {
            "flights": {
                "type": "array",
                "items": {"type": "object", "properties": {"flight_id": {"type": "string"}}},
            }
        },
    },
)
BOOK = Tool(
    "book_flight",
    "Book a flight.",
    {
        "type": "object",
        "properties": {"flight_id": {"type": "string"}, "seats": {"type": "integer", "minimum": 1}},
        "required": ["flight_id", "seats"],
    },
)
TOOLS = (SEARCH, BOOK)


def search(**changes: object) -> Goal:
    call = PlannedCall(
        tool="search_flights", arguments=(PlannedArgument(name="city", source="user", value="Oslo"),)
    )
    return Goal.model_validate(
        {"kind": "tool", "request": "The user looks for a flight.", "calls": (call,), **changes}
    )


def book(**changes: object) -> Goal:
    where = {"name": "flight_id", "source": "result", "from_tool": "search_flights"}
    arguments = (
        PlannedArgument.model_validate({**where, "from_field": "flights[].flight_id", **changes}),
        PlannedArgument(name="seats", source="user", value=2),
    )
    call = PlannedCall(tool="book_flight", arguments=arguments)
    return Goal(kind="tool", request="The user books the first one.", calls=(call,))


def chat() -> Goal:
    return Goal(kind="chat", request="The user says thanks.")


def problems(*goals: Goal) -> str:
    return "\n".join(plan_problems(Plan(topic="a trip", goals=goals), TOOLS, PlanLimits()))


def test_a_good_plan_has_no_problems() -> None:
    assert problems(search(), book(), search(), chat()) == ""


@pytest.mark.parametrize("path", ["flights[].flight_id", "flights.0.flight_id", "flights[0].flight_id"])
def test_paths_into_lists_may_be_written_in_several_ways(path: str) -> None:
    assert problems(search(), book(from_field=path), search(), search()) == ""


@pytest.mark.parametrize(
    ("goals", "expected"),
    [
        ((search(), book(), chat()), "the plan has 3 goals; it must have 4 to 7"),
        ((search(), book(), chat(), chat()), "2 of 4 goals are kind chat; at most 1 may be"),
        ((search(calls=()), book(), search(), chat()), "goal 1 is kind tool and plans no call"),
        ((search(kind="chat"), search(), book(), search()), "goal 1 is kind chat and plans calls"),
        (
            (search(request="Call search_flights for me."), search(), search(), search()),
            "goal 1: the request names the tool search_flights",
        ),
        (
            (search(calls=(PlannedCall(tool="fly"),)), search(), search(), search()),
            "there is no tool 'fly'; the tools are book_flight, search_flights",
        ),
        (
            (search(calls=(PlannedCall(tool="search_flights"),)), search(), search(), search()),
            "no argument says where the required parameter 'city' comes from",
        ),
        ((book(), search(), search(), search()), "which no earlier call calls"),
        (
            (search(), book(from_field="hotels[].hotel_id"), search(), search()),
            "search_flights returns no field 'hotels[].hotel_id'",
        ),
    ],
)
def test_each_rule_finds_its_breach(goals: tuple[Goal, ...], expected: str) -> None:
    assert expected in problems(*goals)


def test_values_must_fit_the_schema() -> None:
    wrong = PlannedCall(
        tool="search_flights", arguments=(PlannedArgument(name="city", source="user", value=7),)
    )
    assert "city: 7 is not of type" in problems(search(calls=(wrong,)), search(), search(), search())


def test_facts_hold_what_the_user_knows() -> None:
    call = PlannedCall(
        tool="search_flights",
        arguments=(
            PlannedArgument(name="city", source="user", value="Oslo"),
            PlannedArgument(name="day", source="user", value="2026-05-02", withheld=True),
        ),
    )
    other = PlannedCall(
        tool="search_flights", arguments=(PlannedArgument(name="city", source="user", value="Rome"),)
    )
    goal = Goal(kind="tool", request="The user compares two cities.", calls=(call, other))
    assert goal.facts == {"city": ["Oslo", "Rome"]}
    assert goal.withheld_facts == {"day": "2026-05-02"}
