"""The four agents in one scene, with a model that replies by script: what they ask, repair, and hand on."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest

from toolflow.agents.cast import Cast, Troupe
from toolflow.agents.prompts import ROLES, shipped_prompts
from toolflow.agents.voice import RoleModel
from toolflow.catalog.tool import Tool
from toolflow.config import DialogueConfig
from toolflow.dialogue.message import Message, ToolCall
from toolflow.dialogue.scenario import Scenario
from toolflow.graph.link import Link, ToolSet
from toolflow.llm.chat import Completion, Request, ToolCallStyle, Usage
from toolflow.quality.checks import judge
from toolflow.runtime.bus import Bus, Envelope
from toolflow.runtime.simulator import SceneFailure, Trajectory, simulate
from toolflow.runtime.testing import run_virtual

SEARCH = Tool(
    "search_hotels",
    "Find hotels in a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    {
        "type": "object",
        "properties": {
            "hotels": {
                "type": "array",
                "items": {"type": "object", "properties": {"hotel_id": {"type": "string"}}},
            }
        },
        "required": ["hotels"],
    },
)
BOOK = Tool(
    "book.hotel",
    "Book a hotel.",
    {
        "type": "object",
        "properties": {"hotel_id": {"type": "string"}, "nights": {"type": "integer"}},
        "required": ["hotel_id", "nights"],
    },
    {"type": "array", "items": {"type": "string"}},
)
TOOL_SET = ToolSet(
    (SEARCH, BOOK),
    (Link("search_hotels", "book.hotel", "return-parameter", "hotels[].hotel_id", "hotel_id", 0.9),),
)
BOOK_NAME = BOOK.function_name


def plan(**changes: Any) -> dict[str, Any]:
    search = {
        "kind": "tool",
        "request": "The user looks for a hotel.",
        "calls": [
            {"tool": "search_hotels", "arguments": [{"name": "city", "source": "user", "value": "Oslo"}]}
        ],
    }
    book = {
        "kind": "tool",
        "request": "The user books the first one.",
        "calls": [
            {
                "tool": BOOK_NAME,
                "arguments": [
                    {
                        "name": "hotel_id",
                        "source": "result",
                        "from_tool": "search_hotels",
                        "from_field": "hotels[].hotel_id",
                    },
                    {"name": "nights", "source": "user", "value": 2, "withheld": True},
                ],
            }
        ],
    }
    return {"topic": "a trip", "goals": [search, book], **changes}


def says(status: str, message: str = "") -> str:
    return json.dumps({"status": status, "message": message})


def calls(*named: tuple[str, Any]) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall("x", name, arguments if isinstance(arguments, str) else json.dumps(arguments))
        for name, arguments in named
    )


class Script:
    """Replies role by role, in order; keeps what it was asked."""

    def __init__(self, **replies: Sequence[Any]) -> None:
        self.replies = {role: list(said) for role, said in replies.items()}
        self.asked: dict[str, list[Request]] = defaultdict(list)

    async def complete(self, request: Request) -> Completion:
        role = request.key.role
        self.asked[role].append(request)
        reply = self.replies[role].pop(0)
        if isinstance(reply, tuple):
            message = Message("assistant", "", reply)
        else:
            message = Message("assistant", reply if isinstance(reply, str) else json.dumps(reply))
        return Completion(message, usage=Usage(10, 1))

    @property
    def left(self) -> dict[str, list[Any]]:
        return {role: replies for role, replies in self.replies.items() if replies}


def script(**changes: Sequence[Any]) -> Script:
    """A dialogue in which all goes well; roles may be given other replies."""
    replies: dict[str, Sequence[Any]] = {
        "planner": [plan()],
        "user": [
            says("next_goal", "Hotels in Oslo, please."),
            says("next_goal", "Book the first one."),
            says("continue", "Two nights."),
            says("finished"),
        ],
        "assistant": [
            calls(("search_hotels", {"city": "Oslo"})),
            "I found the Grand.",
            "How many nights?",
            calls((BOOK_NAME, {"hotel_id": "H1", "nights": 2})),
            "Booked.",
        ],
        "tool": [{"hotels": [{"hotel_id": "H1"}]}, {"result": ["B1"]}],
    }
    return Script(**{**replies, **changes})


def play(
    model: Script, *, style: ToolCallStyle = "native", watch: list[Envelope] | None = None, **bounds: Any
) -> tuple[Trajectory | SceneFailure, Cast]:
    troupe = Troupe(
        model,
        shipped_prompts(),
        {role: (RoleModel(f"{role}-model"),) for role in ROLES},
        style,
        DialogueConfig(fewest_goals=2, **bounds),
        seed=7,
    )
    scenario = Scenario("clarify", 2, "a nurse between shifts")
    cast = Cast(troupe, dialogue=4, tool_set=TOOL_SET, scenario=scenario)

    async def main() -> Trajectory | SceneFailure:
        bus = Bus(lambda: 0.0)
        if watch is not None:
            bus.watch(watch.append)
        return await simulate(bus, 4, cast.agents)

    return run_virtual(main()), cast


def good(result: Trajectory | SceneFailure) -> Trajectory:
    assert isinstance(result, Trajectory), result
    return result


def failed(result: Trajectory | SceneFailure) -> SceneFailure:
    assert isinstance(result, SceneFailure), result
    return result


def test_a_whole_dialogue() -> None:
    model = script()
    result, cast = play(model)
    trajectory = good(result)
    assert model.left == {}
    assert judge(trajectory, TOOL_SET.tools).accepted
    assert [message.role for message in trajectory.messages] == [
        *("user", "assistant", "tool", "assistant"),
        *("user", "assistant", "user", "assistant", "tool", "assistant"),
    ]
    assert [call.id for message in trajectory.messages for call in message.tool_calls] == ["call_1", "call_2"]
    assert trajectory.messages[2].content == '{"hotels":[{"hotel_id":"H1"}]}'
    assert trajectory.messages[8].content == '["B1"]'
    assert trajectory.ended == "completed"
    assert trajectory.goal_starts == (0, 4)
    assert cast.usage == Usage(120, 12)
    assert cast.models == {role: f"{role}-model" for role in ROLES}


def test_each_role_is_told_what_is_its_own() -> None:
    model = script()
    play(model)
    planner, user = model.asked["planner"][0], model.asked["user"]
    assert f"search_hotels.hotels[].hotel_id -> {BOOK_NAME}.hotel_id" in planner.messages[1].content
    assert planner.response_format is not None
    for request in user:
        told = "\n".join(message.content for message in request.messages)
        assert "search_hotels" not in told
        assert BOOK_NAME not in told
    assert '"only_when_asked":{"nights":2}' in user[1].messages[1].content
    assert "The conversation begins with your message." in user[0].messages[1].content
    assert "Assistant: I found the Grand." in user[1].messages[1].content
    for request in model.asked["assistant"]:
        assert [tool.name for tool in request.tools] == ["search_hotels", "book.hotel"]
        assert all("looks for a hotel" not in message.content for message in request.messages)
    assert '"result":{"hotels":[{"hotel_id":"H1"}]}' in model.asked["tool"][1].messages[1].content


def test_call_keys_and_seeds_are_distinct_and_determined() -> None:
    first, second = script(), script()
    play(first)
    play(second)
    requests = [request for asked in first.asked.values() for request in asked]
    assert len({request.key for request in requests}) == len(requests) == 12
    assert len({request.seed for request in requests}) == 12
    assert first.asked == second.asked


def test_an_invalid_plan_is_mended() -> None:
    short = plan(goals=plan()["goals"][:1])
    model = script(planner=["no JSON at all", short, plan()])
    result, cast = play(model)
    assert good(result).ended == "completed"
    assert cast.repairs == 2
    assert "Invalid JSON" in model.asked["planner"][1].messages[-1].content
    last = model.asked["planner"][2].messages
    assert "the plan has 1 goals" in last[-1].content
    assert last[-2].content == json.dumps(short)
    assert len(last) == 4


def test_a_plan_that_stays_invalid_fails_the_dialogue() -> None:
    result, _ = play(script(planner=[plan(goals=[])] * 3))
    assert failed(result).reason == "invalid_plan"


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (calls(("fly", {})), "there is no tool 'fly'"),
        (calls(("search_hotels", "{broken")), "the arguments are not a JSON object"),
        (calls(("search_hotels", {"city": 7})), "7 is not of type"),
        (calls(("search_hotels", {})), '"city" is a required property'),
        ("", "the answer is empty"),
    ],
)
def test_an_unusable_call_is_mended_and_leaves_no_trace(reply: object, problem: str) -> None:
    model = script(assistant=[reply, *script().replies["assistant"]])
    result, _ = play(model)
    assert judge(good(result), TOOL_SET.tools).accepted
    assert len(good(result).messages) == 10
    repair = model.asked["assistant"][1].messages
    assert problem in repair[-1].content
    assert ("ask for it instead of calling" in repair[-1].content) == ("required" in problem)
    assert repair[-2].role == "assistant"
    assert not repair[-2].tool_calls
    # The next regular request knows nothing of the repair.
    assert all(problem not in message.content for message in model.asked["assistant"][2].messages)


def test_parallel_calls_are_answered_in_their_order() -> None:
    both = calls(("search_hotels", {"city": "Oslo"}), ("search_hotels", {"city": "Rome"}))
    model = script(
        assistant=[both, *script().replies["assistant"][1:]],
        tool=[{"hotels": [{"hotel_id": "O"}]}, {"hotels": [{"hotel_id": "R"}]}, {"result": []}],
    )
    trajectory = good(play(model)[0])
    assert [(message.tool_call_id, message.content) for message in trajectory.messages[2:4]] == [
        ("call_1", '{"hotels":[{"hotel_id":"O"}]}'),
        ("call_2", '{"hotels":[{"hotel_id":"R"}]}'),
    ]


def test_the_same_call_again_gets_the_same_answer_without_asking() -> None:
    search = calls(("search_hotels", {"city": "Oslo"}))
    model = script(assistant=[search, search, *script().replies["assistant"][1:]])
    trajectory = good(play(model)[0])
    assert len(model.asked["tool"]) == 2
    assert trajectory.messages[2].content == trajectory.messages[4].content
    assert trajectory.messages[4].tool_call_id == "call_2"


def test_a_result_that_breaks_its_schema_is_mended() -> None:
    model = script(tool=[{"hotels": "none"}, *script().replies["tool"]])
    good(play(model)[0])
    assert 'hotels: "none" is not of type' in model.asked["tool"][1].messages[-1].content


def test_the_assistant_must_answer_after_its_last_round() -> None:
    search = calls(("search_hotels", {"city": "Oslo"}))
    model = script(assistant=[search, search, *script().replies["assistant"][1:]])
    trajectory = good(play(model, most_rounds=1)[0])
    assert model.asked["assistant"][1].tool_choice == "none"
    assert "no more calls in this turn" in model.asked["assistant"][2].messages[-1].content
    assert sum(bool(message.tool_calls) for message in trajectory.messages) == 2


def test_calls_through_json_make_the_same_dialogue() -> None:
    def as_json(reply: Any) -> Any:
        if isinstance(reply, str):
            return {"calls": [], "reply": reply}
        return {
            "calls": [{"name": call.name, "arguments": json.loads(call.arguments)} for call in reply],
            "reply": "",
        }

    native, through_json = script(), script(assistant=list(map(as_json, script().replies["assistant"])))
    assert play(native)[0] == play(through_json, style="json")[0]
    request = through_json.asked["assistant"][1]
    assert request.tools == ()
    assert '"name":"search_hotels"' in request.messages[0].content
    assert request.messages[-2].content == (
        '{"calls":[{"name":"search_hotels","arguments":{"city":"Oslo"}}],"reply":""}'
    )
    assert '<results>\n{"hotels":[{"hotel_id":"H1"}]}' in request.messages[-1].content


def test_a_user_who_leaves_early_is_no_whole_dialogue() -> None:
    result, _ = play(script(user=[says("next_goal", "Hotels in Oslo?"), says("finished")]))
    trajectory = good(result)
    assert trajectory.ended == "user_left"
    assert {finding.check for finding in judge(trajectory, TOOL_SET.tools).findings} == {"incomplete_plan"}


def test_the_user_cannot_open_a_goal_that_is_not_there() -> None:
    said = [*script().replies["user"][:3], says("next_goal", "And then?"), says("finished")]
    model = script(user=said)
    assert good(play(model)[0]).ended == "completed"
    assert "there is no next goal" in model.asked["user"][4].messages[-1].content


def test_a_dialogue_ends_at_its_turn_limit() -> None:
    result, _ = play(script(), most_turns=2)
    assert good(result).ended == "turn_limit"


def test_a_goal_is_adjusted_to_what_did_not_happen() -> None:
    adjusted = {"kind": "tool", "request": "The user asks for other hotels.", "calls": []}
    watched: list[Envelope] = []
    model = script(
        planner=[plan(), adjusted],
        tool=[{"hotels": []}, {"result": ["B1"]}],
    )
    trajectory = good(play(model, watch=watched)[0])
    assert trajectory.plan.goals[1].request == "The user asks for other hotels."
    asked = model.asked["planner"][1].messages[-1].content
    assert "The answer that was to tell hotel_id came back without it." in asked
    assert "User: Hotels in Oslo, please." in asked
    assert "The user asks for other hotels." in model.asked["user"][1].messages[1].content
    assert "GoalAdjusted" in [type(envelope.event).__name__ for envelope in watched]


def test_a_goal_that_cannot_be_adjusted_stays_as_planned() -> None:
    model = script(
        planner=[plan(), "nonsense", "nonsense", "nonsense"], tool=[{"hotels": []}, {"result": ["B1"]}]
    )
    trajectory = good(play(model)[0])
    assert trajectory.plan.goals[1].request == "The user books the first one."


def testreplies_in_a_fence_are_read() -> None:
    fenced = f"Here is the plan:\n```json\n{json.dumps(plan())}\n```"
    assert good(play(script(planner=[fenced]))[0]).ended == "completed"
