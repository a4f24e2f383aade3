"""Chat completions as JSON: what is sent, and what is made of the answers that servers give."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message, ToolCall
from toolflow.errors import LLMError, MalformedCompletionError, PermanentLLMError, ServerFailedError
from toolflow.llm.chat import CallKey, Completion, Request, ResponseFormat, Sampling, Usage
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.providers.chat_completions import ChatCompletions

CHAT = ChatCompletions()
ENDPOINT = Endpoint("http://host/v1")
KEY = CallKey(4, "assistant", 2)
REQUEST = Request(KEY, "m", (Message("user", "hello"),))
STRUCTURED = Request(KEY, "m", (Message("user", "x"),), response_format=ResponseFormat("plan", {}))
WEATHER = Tool("weather", "Tells it.", {"type": "object", "properties": {"city": {"type": "string"}}})


def decode(body: Any, request: Request = REQUEST) -> Completion:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CHAT.decode(raw, request, ENDPOINT)


def reply(message: dict[str, Any], finish_reason: Any = "stop", **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish_reason}], **more}


def call(arguments: Any = "{}", **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "weather", "arguments": arguments}, **more}


def test_a_plain_request_sends_nothing_that_was_not_asked_for() -> None:
    assert json.loads(CHAT.encode(REQUEST)) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "seed": 0,
    }


def test_a_full_request_is_sent_in_the_endpoints_words() -> None:
    schema = {"type": "object"}
    messages = (
        Message("system", "be brief"),
        Message("assistant", "", (ToolCall("a", "weather", '{"city": "Bonn"}'),)),
        Message("tool", "{}", tool_call_id="a"),
    )
    request = Request(
        KEY,
        "m",
        messages,
        (WEATHER,),
        "none",
        ResponseFormat("plan", schema),
        Sampling(temperature=0.5, top_p=0.9, max_tokens=100),
        seed=2**62,
    )
    assert json.loads(CHAT.encode(request)) == {
        "model": "m",
        "messages": [message.to_openai() for message in messages],
        "tools": [WEATHER.to_openai()],
        "tool_choice": "none",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "plan", "schema": schema, "strict": False},
        },
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 100,
        "seed": 2**62,
    }


def test_equal_tools_that_are_not_the_same_are_told_apart() -> None:
    def tool(description: str) -> Tool:
        return Tool("t", description, {"type": "object"})

    for description in ("a", "b", "a"):
        body = json.loads(CHAT.encode(Request(KEY, "m", (), (tool(description),))))
        assert body["tools"][0]["function"]["description"] == description


def test_text_that_no_json_carries_fails_alone() -> None:
    with pytest.raises(PermanentLLMError, match="not valid Unicode"):
        CHAT.encode(Request(KEY, "m", (Message("user", "\ud83d"),)))
    with pytest.raises(PermanentLLMError, match="not valid Unicode"):
        CHAT.encode(Request(KEY, "m", (), (Tool("t", "\ud83d", {}),)))


def test_a_usual_answer_is_read() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    body = reply({"role": "assistant", "content": "hi"}, model="m-1", usage=usage, id="x")
    assert decode(body) == Completion(Message("assistant", "hi"), "stop", Usage(9, 3), "m-1")


def test_tool_calls_are_read_and_their_arguments_kept_verbatim() -> None:
    calls = [call('{"city": "Bonn', id="a"), call('{ "city":"Köln" }', id="b")]
    completion = decode(reply({"content": None, "tool_calls": calls}, "tool_calls"))
    assert completion.finish_reason == "tool_calls"
    assert completion.message == Message(
        "assistant",
        "",
        (ToolCall("a", "weather", '{"city": "Bonn'), ToolCall("b", "weather", '{ "city":"Köln" }')),
    )


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"content": "hi", "tool_calls": None}, "hi"),
        ({"content": "hi", "tool_calls": [], "reasoning_content": "hm", "audio": {"a": 1}}, "hi"),
        ({"content": [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]}, "hi"),
        ({"content": ["h", {"type": "thinking", "thinking": []}, "i", None, {"text": None}]}, "hi"),
    ],
)
def test_odd_but_usable_messages_are_read(message: dict[str, Any], content: str) -> None:
    assert decode(reply(message)).message == Message("assistant", content)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ({}, Usage()),
        ({"prompt_tokens": None, "completion_tokens": 2.0}, Usage(0, 2)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}, Usage(5, 0)),
    ],
)
def test_odd_usage_is_read(usage: object, expected: Usage) -> None:
    assert decode(reply({"content": "hi"}, usage=usage)).usage == expected


def test_an_answer_that_names_no_model_has_the_one_asked_for() -> None:
    assert decode(reply({"content": "hi"}, model=None)).model == "m"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"city": "Bonn"}, '{"city":"Bonn"}'), (None, "{}"), ([1], "[1]"), ("", ""), ("nonsense", "nonsense")],
)
def test_arguments_that_are_no_text_become_json_text(arguments: object, text: str) -> None:
    calls = decode(reply({"tool_calls": [call(arguments, id="a")]})).message.tool_calls
    assert calls == (ToolCall("a", "weather", text),)


def test_missing_and_repeated_ids_are_made_unique_in_the_dialogue() -> None:
    earlier = Message("assistant", "", (ToolCall("a", "weather", "{}"), ToolCall("call_3", "weather", "{}")))
    request = Request(KEY, "m", (earlier,))
    raw = [call(), call(id="a"), call(id="new"), call(id="new"), call(id=None), call(id=7)]
    message = decode(reply({"tool_calls": raw}), request).message
    identifiers = [made.id for made in message.tool_calls]
    assert identifiers == ["call_2", "call_4", "new", "call_5", "call_6", "7"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["", "a", "call_0", "call_1", "call_2"]), min_size=1, max_size=6))
def test_ids_are_unique_and_given_ones_kept_where_they_can_be(given_ids: list[str]) -> None:
    calls = decode(reply({"tool_calls": [call(id=given_id) for given_id in given_ids]})).message.tool_calls
    identifiers = [made.id for made in calls]
    assert len(set(identifiers)) == len(given_ids)
    assert {given_id for given_id in given_ids if given_id} <= set(identifiers)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("eos", "stop"),
        ("", "stop"),
        (None, "stop"),
        (3, "stop"),
    ],
)
def test_finish_reasons_of_messages_are_understood(raw: object, expected: str) -> None:
    assert decode(reply({"content": "hi"}, raw)).finish_reason == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("function_call", "tool_calls"), (None, "tool_calls"), ("stop", "stop"), ("length", "length")],
)
def test_finish_reasons_of_tool_calls_are_understood(raw: object, expected: str) -> None:
    assert decode(reply({"tool_calls": [call(id="a")]}, raw)).finish_reason == expected


@pytest.mark.parametrize(
    "body",
    [
        {"choices": []},
        {"choices": None},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        reply({}),
        reply({"content": ""}),
        reply({"content": " \n"}),
        reply({"content": None, "tool_calls": []}),
        reply({"content": None, "reasoning_content": "hm"}),
        reply({"tool_calls": [{"id": "a"}]}),
        reply({"tool_calls": [{"id": "a", "function": {"arguments": "{}"}}]}),
    ],
)
def test_an_answer_without_a_usable_message_is_malformed(body: dict[str, Any]) -> None:
    with pytest.raises(MalformedCompletionError):
        decode(body)


def test_a_refusal_is_told() -> None:
    with pytest.raises(MalformedCompletionError, match="refused: I can't"):
        decode(reply({"content": None, "refusal": "I can't"}))


@pytest.mark.parametrize(
    ("request_", "message"), [(STRUCTURED, {"content": '{"goals": ['}), (REQUEST, {"content": ""})]
)
def test_a_completion_cut_off_before_it_is_usable_says_so(request_: Request, message: dict[str, Any]) -> None:
    with pytest.raises(MalformedCompletionError, match="cut the completion off") as caught:
        decode(reply(message, "length"), request_)
    assert caught.value.hint is not None
    assert "max_tokens" in caught.value.hint


def test_filtered_content_is_permanent() -> None:
    with pytest.raises(PermanentLLMError, match="content filter"):
        decode(reply({"content": ""}, "content_filter"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html><title>Login</title>", "an HTML page titled 'Login'"),
        (b"", "an empty body"),
        (b'{"choices": [{"message": {"content": "hel', "hel"),
        (b"OK", "OK"),
        (b"[]", "no chat completion"),
        (b'{"object": "list", "data": []}', "list"),
        (b'{"choices": [{"message": {"content": 5}}]}', "no chat completion"),
        (b"[" * 100_000, "no chat completion"),
    ],
)
def test_what_is_no_chat_completion_is_a_server_failure_that_says_what_was_seen(
    body: bytes, said: str
) -> None:
    with pytest.raises(ServerFailedError, match="no chat completion") as caught:
        decode(body)
    assert said in caught.value.message


def test_an_error_inside_a_success_is_an_error() -> None:
    with pytest.raises(ServerFailedError, match="upstream broke"):
        decode({"error": {"message": "upstream broke"}, "choices": []})


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b'{"choices": [{"message": {"content": "ok \\ud83d"}}]}', "ok ?"),
        (b'{"choices": [{"message": {"content": "ok"}, "logprobs": [NaN]}]}', "ok"),
        (b'\xef\xbb\xbf{"choices": [{"message": {"content": "ok"}}]}', "ok"),
        (b'{"choices": [{"message": {"content": "ok \xff"}}]}', "ok �"),
    ],
)
def test_json_that_is_not_quite_json_is_read(body: bytes, content: str) -> None:
    assert decode(body).message.content == content


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "tool_calls", "function", "name", "id", "error"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(anything)
def test_any_json_gives_a_completion_or_an_error_of_the_tree(body: Any) -> None:
    with suppress(LLMError):
        assert isinstance(decode(body), Completion)
