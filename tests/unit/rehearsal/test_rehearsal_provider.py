from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolflow.agents.prompts import shipped_prompts
from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message, ToolCall
from toolflow.llm.chat import CallKey, Request, ResponseFormat
from toolflow.llm.providers.rehearsal import RehearsalProvider

WEATHER = Tool(
    "get_weather",
    "Returns the weather in a city on one day.",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "date": {"type": "string", "format": "date"}},
        "required": ["city", "date"],
    },
)


def send(request: Request, mistakes: float = 0.0) -> Any:
    return asyncio.run(RehearsalProvider(mistakes).send(request))


def conversation(*messages: Message) -> tuple[Message, ...]:
    return (Message("system", shipped_prompts().render("assistant", "system")), *messages)


def test_a_reply_depends_on_the_seed_and_not_on_the_place_of_the_call() -> None:
    messages = conversation(Message("user", "What's a sane way to remember passwords these days?"))
    replies = [
        send(Request(CallKey(place, role, place), "m", messages, (WEATHER,), seed=seed)).message.content
        for place, role, seed in ((1, "assistant", 5), (900, "user", 5))
    ]
    assert replies[0] == replies[1]
    others = {
        send(Request(CallKey(0, "a", 0), "m", messages, (WEATHER,), seed=seed)).message.content
        for seed in range(20)
    }
    assert len(others) > 1


def test_it_calls_the_tool_with_what_the_user_said() -> None:
    text = "Can you check the weather in Lisbon on March 14, 2026?"
    completion = send(Request(CallKey(0, "a", 0), "m", conversation(Message("user", text)), (WEATHER,)))
    (call,) = completion.message.tool_calls
    assert call.name == "get_weather"
    assert call.decoded() == {"city": "Lisbon", "date": "2026-03-14"}
    assert completion.finish_reason == "tool_calls"


def test_it_asks_for_what_is_missing_and_calls_when_it_is_told() -> None:
    asked = [Message("user", "Can you check the weather in Lisbon?")]
    question = send(Request(CallKey(0, "a", 0), "m", conversation(*asked), (WEATHER,))).message
    assert not question.tool_calls
    assert question.content.endswith("?")
    told = [*asked, question, Message("user", "March 14, 2026, please.")]
    (call,) = send(Request(CallKey(0, "a", 1), "m", conversation(*told), (WEATHER,))).message.tool_calls
    assert call.decoded() == {"city": "Lisbon", "date": "2026-03-14"}


@pytest.mark.parametrize(
    "reply",
    [
        "I don't know that one, sorry.",
        "No idea, to be honest. I'll leave that up to you.",
        "Water the plants and renew the passport.",
    ],
)
def test_who_does_not_know_has_told_nothing(reply: str) -> None:
    told = [Message("user", "Please open the note."), Message("assistant", "What's the note ID?")]
    takes = {"type": "object", "properties": {"note_id": {"type": "string"}}, "required": ["note_id"]}
    note = Tool("get_note", "Opens a note.", takes)
    known = conversation(*told, Message("user", "NT3036"))
    (call,) = send(Request(CallKey(0, "a", 1), "m", known, (note,))).message.tool_calls
    assert call.decoded() == {"note_id": "NT3036"}
    unknown = conversation(*told, Message("user", reply))
    message = send(Request(CallKey(0, "a", 1), "m", unknown, (note,))).message
    assert not message.tool_calls
    assert message.content.endswith("?")


def test_good_news_and_quoted_words_ask_for_nothing() -> None:
    make = Tool(
        "create_note",
        "Creates a note.",
        {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    )
    check = "I'd like to check the weather in Lisbon on March 14, 2026"
    for text in (f"Okay, that's good news. {check}.", f'{check}. A friend said "please start the note".'):
        request = Request(CallKey(0, "a", 0), "m", conversation(Message("user", text)), (make, WEATHER))
        message = send(request).message
        assert [call.name for call in message.tool_calls] == ["get_weather"]


def test_it_answers_in_words_from_the_result() -> None:
    call = ToolCall("call_1", "get_weather", '{"city":"Lisbon","date":"2026-03-14"}')
    messages = conversation(
        Message("user", "Can you check the weather in Lisbon on March 14, 2026?"),
        Message("assistant", "", (call,)),
        Message(
            "tool", '{"weather_condition":"partly_cloudy","high_temperature_c":17}', tool_call_id="call_1"
        ),
    )
    message = send(Request(CallKey(0, "a", 0), "m", messages, (WEATHER,))).message
    assert not message.tool_calls
    assert "partly cloudy" in message.content
    assert "17 °C" in message.content
    assert "_" not in message.content
    assert "{" not in message.content


def test_tool_choice_none_forbids_calls() -> None:
    text = "Can you check the weather in Lisbon on March 14, 2026?"
    request = Request(CallKey(0, "a", 0), "m", conversation(Message("user", text)), (WEATHER,), "none")
    message = send(request, mistakes=1.0).message
    assert not message.tool_calls
    assert message.content


def test_calls_in_json_where_an_endpoint_has_no_native_ones() -> None:
    prompts = shipped_prompts()
    offer = prompts.render("assistant", "json_mode", tools=[WEATHER])
    system = f"{prompts.render('assistant', 'system')}\n\n{offer}"
    messages = [
        Message("system", system),
        Message("user", "Can you check the weather in Lisbon on March 14, 2026?"),
    ]
    shape = ResponseFormat("assistant_turn", {})
    first = send(Request(CallKey(0, "a", 0), "m", tuple(messages), response_format=shape)).message.content
    assert msgspec.json.decode(first) == {
        "calls": [{"name": "get_weather", "arguments": {"city": "Lisbon", "date": "2026-03-14"}}],
        "reply": "",
    }
    result = Message("tool", '{"weather_condition":"rain"}')
    messages += [
        Message("assistant", first),
        Message("user", prompts.render("assistant", "results", messages=[result])),
    ]
    second = msgspec.json.decode(
        send(Request(CallKey(0, "a", 1), "m", tuple(messages), response_format=shape)).message.content
    )
    assert second["calls"] == []
    assert "rain" in second["reply"]


def test_a_call_that_is_sent_back_unmistaken_is_not_repeated() -> None:
    text = "Can you check the weather in Lisbon on March 14, 2026?"
    rejected = 'get_weather({"city":"Lisbon","date":"2026-03-14"})'
    repair = shipped_prompts().render("assistant", "repair", problems=["get_weather: closed"], missing=False)
    messages = conversation(Message("user", text), Message("assistant", rejected), Message("user", repair))
    message = send(Request(CallKey(0, "a", 0), "m", messages, (WEATHER,))).message
    assert not message.tool_calls
    assert message.content


def test_an_unknown_prompt_gets_json_of_the_wanted_shape() -> None:
    schema = {
        "type": "object",
        "properties": {"score": {"type": "integer", "minimum": 1, "maximum": 5}, "why": {"type": "string"}},
        "required": ["score", "why"],
    }
    request = Request(
        CallKey(0, "judge", 0),
        "m",
        (Message("user", "Rate it."),),
        response_format=ResponseFormat("rating", schema),
    )
    value = msgspec.json.decode(send(request).message.content)
    assert 1 <= value["score"] <= 5
    assert isinstance(value["why"], str)


def test_usage_grows_with_the_prompt() -> None:
    short, long = (
        send(Request(CallKey(0, "a", 0), "m", (Message("user", "word " * size),))).usage for size in (4, 400)
    )
    assert 0 < short.prompt < long.prompt
    assert short.completion > 0


NAMES = ("plan", "goal", "user_turn", "assistant_turn", "tool_result", "rating", None)
TEXTS = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        (
            "<tools>\n{}\n</tools>\nNumber of goals: x",
            '<tools>\n{"name":"a","parameters":{"properties":[]},"returns":{"type":7}}\n</tools>',
            '<goal>\n{"request":3,"facts":[],"calls":7}\n</goal>\nWhat do you do?',
            '<next_goal>\n{"request":"","facts":{"a":null,"b":[[1]],"":{}}}\n</next_goal>\nWhat do you do?',
            '<tool>\n{"name":null,"returns":{"properties":{"a":{"$ref":"#/x"}}}}\n</tool>\n<call>\n1</call>',
            "<conversation>\nAssistant: A?\nUser: \n</conversation>\n<goal>\n{}\n</goal>\nWhat do you do?",
            '<results>\n{"a":\n</results>',
            "<problems>\n- no\n</problems>",
            '{"calls":[3,{"name":4}],"reply":null}',
        )
    ),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(("system", "user", "assistant", "tool")), TEXTS), max_size=5),
    st.sampled_from(NAMES),
    st.dictionaries(
        st.sampled_from(("type", "properties", "items", "enum", "required", "minItems", "anyOf")),
        JSON,
        max_size=4,
    ),
    st.booleans(),
    st.sampled_from((0.0, 1.0)),
    st.integers(0, 2**63 - 1),
)
def test_no_prompt_makes_it_fail(
    said: list[tuple[Any, str]],
    name: str | None,
    schema: dict[str, Any],
    offered: bool,
    mistakes: float,
    seed: int,
) -> None:
    messages = tuple(Message(role, text) for role, text in said)
    shape = ResponseFormat(name, schema) if name else None
    tools = (WEATHER, Tool("odd", "", schema)) if offered else ()
    completion = send(
        Request(CallKey(0, "x", 0), "m", messages, tools, response_format=shape, seed=seed), mistakes
    )
    assert completion.message.role == "assistant"
    assert completion.message.content or completion.message.tool_calls
    if name in {"plan", "goal", "user_turn", "tool_result", "rating"}:
        assert isinstance(msgspec.json.decode(completion.message.content), dict)


@pytest.mark.parametrize(
    "persona", ["a night-shift worker typing on a phone, few words, lower case", "anyone"]
)
def test_the_user_opens_the_first_goal_and_says_its_facts_as_they_are(persona: str, ask: Any) -> None:
    prompts = shipped_prompts()
    goal = {
        "request": "The user wants to check the weather.",
        "facts": {"city": "Lisbon", "date": "2026-03-14", "note_title": "A walk in the park, maybe"},
        "only_when_asked": {"email": "Ana.Lopez@example.com"},
    }
    scenario = type("Someone", (), {"persona": persona})
    messages = [
        Message("system", prompts.render("user", "system", scenario=scenario, topic="a trip")),
        Message("user", prompts.render("user", "turn", transcript="", current=None, next=goal)),
    ]
    for seed in range(40):
        reply = msgspec.json.decode(ask(messages, "user_turn", seed=seed).content)
        assert reply["status"] == "next_goal"
        assert "Lisbon" in reply["message"]
        assert "March 14, 2026" in reply["message"]
        assert "A walk in the park, maybe" in reply["message"]
        assert "Ana.Lopez" not in reply["message"]
        assert "weather" in reply["message"].lower()
