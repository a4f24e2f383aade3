"""Anthropic's Messages API as JSON: what is sent, and what is made of the answers."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message, ToolCall
from toolflow.errors import (
    AuthenticationError,
    ContextLengthError,
    FatalLLMError,
    LLMError,
    MalformedCompletionError,
    ModelNotFoundError,
    PermanentLLMError,
    RateLimitedError,
    ServerFailedError,
)
from toolflow.llm.chat import CallKey, Completion, Request, ResponseFormat, Sampling, Usage
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.providers.failures import response_failure
from toolflow.llm.providers.message_bodies import MAX_TOKENS
from toolflow.llm.providers.messages import Messages
from toolflow.llm.serving.messages import ServedMessages

ENDPOINT = Endpoint("https://api.anthropic.com", "sk-ant-secret-0123456789", api="anthropic")
KEY = CallKey(4, "assistant", 2)
REQUEST = Request(KEY, "claude-x", (Message("user", "Hello, Claude"),))
PLAN = ResponseFormat("plan", {"type": "object", "properties": {"goals": {"type": "array"}}})
STRUCTURED = Request(KEY, "claude-x", (Message("user", "x"),), response_format=PLAN)
STOCKS = Tool(
    "get_stock_price",
    "Get the current stock price for a given ticker symbol.",
    {"type": "object", "properties": {"ticker": {"type": "string"}}, "required": ["ticker"]},
)


def encode(
    request: Request, *, stream: bool = False, without: frozenset[str] = frozenset()
) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(Messages().encode(request, stream=stream, without=without))
    return body


def decode(body: Any, request: Request = REQUEST) -> Completion:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Messages().decode(raw, request, ENDPOINT)


def answer(*content: dict[str, Any], stop_reason: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "content": list(content),
        "model": "claude-x-1",
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 6},
        **more,
    }


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def used(name: str, value: Any, identifier: str = "toolu_01D7FLrfh4GYq7yT1ULFeyMV") -> dict[str, Any]:
    return {"type": "tool_use", "id": identifier, "name": name, "input": value}


def test_a_plain_request_is_as_the_documentation_shows_it() -> None:
    assert encode(REQUEST) == {
        "model": "claude-x",
        "max_tokens": MAX_TOKENS,
        "messages": [{"role": "user", "content": "Hello, Claude"}],
    }


def test_tool_use_and_results_are_as_the_documentation_shows_them() -> None:
    call = ToolCall("toolu_01D7FLrfh4GYq7yT1ULFeyMV", "get_stock_price", '{ "ticker": "^GSPC" }')
    other = ToolCall("call/2", "get_stock_price", '{"ticker":"^DJI"}')
    request = Request(
        KEY,
        "claude-x",
        (
            Message("system", "Be brief."),
            Message("user", "What's the S&P 500 at today?"),
            Message("assistant", "Let me look.", (call, other)),
            Message("tool", "259.75 USD", tool_call_id=call.id),
            Message("tool", "", tool_call_id=other.id),
        ),
        (STOCKS,),
        sampling=Sampling(temperature=1.4, top_p=0.9, max_tokens=100),
    )
    assert encode(request, stream=True) == {
        "model": "claude-x",
        "max_tokens": 100,
        "system": "Be brief.",
        "temperature": 1.0,
        "top_p": 0.9,
        "stream": True,
        "tool_choice": {"type": "auto"},
        "tools": [
            {
                "name": "get_stock_price",
                "description": STOCKS.description,
                "input_schema": STOCKS.parameters,
            }
        ],
        "messages": [
            {"role": "user", "content": "What's the S&P 500 at today?"},
            {
                "role": "assistant",
                "content": [
                    said("Let me look."),
                    used("get_stock_price", {"ticker": "^GSPC"}),
                    used("get_stock_price", {"ticker": "^DJI"}, "call_2"),
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": call.id, "content": "259.75 USD"},
                    {"type": "tool_result", "tool_use_id": "call_2"},
                ],
            },
        ],
    }


def test_what_a_model_refuses_is_left_out() -> None:
    request = Request(
        KEY, "m", REQUEST.messages, sampling=Sampling(temperature=0.5, top_p=0.9), response_format=PLAN
    )
    assert {"temperature", "top_p"} <= encode(request).keys()
    body = encode(request, without=frozenset({"temperature", "top_p", "tool_choice"}))
    assert not {"temperature", "top_p"} & body.keys()
    assert body["tool_choice"] == {"type": "auto"}


def test_forbidden_calls_are_forbidden_in_its_words() -> None:
    request = Request(KEY, "m", REQUEST.messages, (STOCKS,), "none")
    assert encode(request)["tool_choice"] == {"type": "none"}


def test_a_structured_reply_is_a_tool_that_must_be_called() -> None:
    body = encode(STRUCTURED)
    assert body["tool_choice"] == {"type": "tool", "name": "plan"}
    assert [(tool["name"], tool["input_schema"]) for tool in body["tools"]] == [("plan", PLAN.schema)]
    both = Request(KEY, "m", REQUEST.messages, (STOCKS,), response_format=PLAN)
    assert encode(both)["tool_choice"] == {"type": "any"}


def test_schemas_lose_what_the_api_refuses_at_the_root() -> None:
    tool = Tool("t", "", {"properties": {"a": {"anyOf": [{"type": "string"}]}}, "anyOf": [{}], "oneOf": [{}]})
    (sent,) = encode(Request(KEY, "m", REQUEST.messages, (tool,)))["tools"]
    assert sent["input_schema"] == {
        "type": "object",
        "properties": {"a": {"anyOf": [{"type": "string"}]}},
    }


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Message, ...]:
    """What agents send and more: any order, but calls are answered at once and under unique ids."""
    messages: list[Message] = []
    number = 0
    for role in draw(st.lists(st.sampled_from(["system", "user", "assistant", "calls"]), max_size=7)):
        if role != "calls":
            messages.append(Message(role, draw(text)))  # type: ignore[arg-type]
            continue
        calls = []
        for _ in range(draw(st.integers(1, 3))):
            number += 1
            arguments = draw(st.sampled_from(['{"a":1}', "{}", '{"b": [1.50, "ü"]}']))
            calls.append(ToolCall(f"call_{number}", "get_stock_price", arguments))
        messages.append(Message("assistant", draw(text), tuple(calls)))
        messages += [Message("tool", draw(text), tool_call_id=call.id) for call in calls]
    return tuple(messages)


@settings(deadline=None, max_examples=300)
@given(histories())
def test_any_history_alternates_and_nothing_of_it_is_lost(history: tuple[Message, ...]) -> None:
    body = Messages().encode(Request(KEY, "m", history, (STOCKS,)))
    turns = json.loads(body)["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2) + ["user"]
    # The server refuses what the API refuses: empty texts, and calls without results in the next turn.
    got = ServedMessages().decode(body, {}).request.messages
    told = {"Begin.", "Go on."}  # What is put in so that a user has the first and the last word.
    for role in ("user", "assistant", "tool", "system"):
        passed = told if role == "user" else set()
        wanted = [one.content for one in history if one.role == role and one.content not in passed]
        heard = [one.content for one in got if one.role == role and one.content not in passed]
        kept = [text for text in wanted if text.strip() or role == "tool"]
        assert "".join(heard).replace("\n", "") == "".join(kept).replace("\n", "")
    assert [call for one in got for call in one.tool_calls] == [
        call for one in history for call in one.tool_calls
    ]
    assert [one.tool_call_id for one in got if one.role == "tool"] == [
        one.tool_call_id for one in history if one.role == "tool"
    ]


def test_a_usual_answer_is_read() -> None:
    assert decode(answer(said("Hello!"))) == Completion(
        Message("assistant", "Hello!"), "stop", Usage(12, 6), "claude-x-1"
    )


def test_tool_use_is_read_and_its_input_kept_verbatim() -> None:
    raw = msgspec.json.encode(answer(stop_reason="tool_use"))
    raw = raw.replace(
        b'"content":[]',
        b'"content":[{"type":"thinking","thinking":"hm","signature":"x"},{"type":"text","text":"Sure."},'
        b'{"type":"tool_use","id":"toolu_1","name":"get_stock_price","input":{ "ticker" : "\\u005eGSPC",'
        b' "n": 1.50 }}]',
    )
    completion = decode(raw)
    assert completion.finish_reason == "tool_calls"
    assert completion.message == Message(
        "assistant",
        "Sure.",
        (ToolCall("toolu_1", "get_stock_price", '{ "ticker" : "\\u005eGSPC", "n": 1.50 }'),),
    )


def test_a_structured_reply_is_text_whether_it_is_called_or_said() -> None:
    called = decode(answer(used("plan", {"goals": []}), stop_reason="tool_use"), STRUCTURED)
    assert (called.message, called.finish_reason) == (Message("assistant", '{"goals": []}'), "stop")
    spoken = decode(answer(said('{"goals":[]}')), STRUCTURED)
    assert spoken.message.content == '{"goals":[]}'


def test_input_that_is_quoted_is_what_it_quotes() -> None:
    completion = decode(answer(used("get_stock_price", '{"ticker": '), stop_reason="tool_use"))
    assert completion.message.tool_calls[0].arguments == '{"ticker": '


def test_cached_prompts_count_in_full() -> None:
    usage = {"input_tokens": 10, "cache_creation_input_tokens": 200, "cache_read_input_tokens": 3000}
    assert decode(answer(said("hi"), usage={**usage, "output_tokens": 7})).usage == Usage(3210, 7)
    assert decode(answer(said("hi"), usage={"input_tokens": None})).usage == Usage()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        (None, "stop"),
        ("x", "stop"),
    ],
)
def test_stop_reasons_are_understood(raw: str | None, expected: str) -> None:
    assert decode(answer(said("hi"), stop_reason=raw)).finish_reason == expected


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (answer(), MalformedCompletionError),
        (answer(said(" ")), MalformedCompletionError),
        (answer(said("hi"), stop_reason="refusal"), PermanentLLMError),
        ({"type": "message"}, ServerFailedError),
        (b"<html><title>Login</title>", ServerFailedError),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, ServerFailedError),
    ],
)
def test_what_cannot_be_used_is_an_error(body: Any, error: type[LLMError]) -> None:
    with pytest.raises(error):
        decode(body)


def test_a_reply_that_was_cut_off_is_malformed_and_says_what_it_cost() -> None:
    with pytest.raises(MalformedCompletionError, match="cut the completion off") as caught:
        decode(answer(used("plan", {}), stop_reason="max_tokens"), STRUCTURED)
    assert (caught.value.prompt_tokens, caught.value.completion_tokens) == (12, 6)


@pytest.mark.parametrize(
    ("status", "kind", "message", "error"),
    [
        (400, "invalid_request_error", "max_tokens: must be positive", PermanentLLMError),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 208310 tokens > 200000 maximum",
            ContextLengthError,
        ),
        (
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
            ContextLengthError,
        ),
        (400, "invalid_request_error", "Your credit balance is too low to access the API", FatalLLMError),
        (401, "authentication_error", "invalid x-api-key", AuthenticationError),
        (403, "permission_error", "not yours", AuthenticationError),
        (404, "not_found_error", "model: claude-x", ModelNotFoundError),
        (413, "request_too_large", "Request exceeds the maximum size", PermanentLLMError),
        (429, "rate_limit_error", "This request would exceed your rate limit", RateLimitedError),
        (500, "api_error", "Internal server error", ServerFailedError),
        (529, "overloaded_error", "Overloaded", ServerFailedError),
    ],
)
def test_errors_are_what_they_are(status: int, kind: str, message: str, error: type[LLMError]) -> None:
    body = json.dumps(
        {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    ).encode()
    failure = response_failure(status, {"retry-after": "7"}, body, ENDPOINT, "claude-x")
    assert type(failure) is error
    assert message in failure.message
    if isinstance(failure, RateLimitedError):
        assert failure.retry_after == 7.0
    if isinstance(failure, AuthenticationError):
        assert "ANTHROPIC_API_KEY" in (failure.hint or "")


def test_an_exhausted_limit_says_when_to_come_back() -> None:
    headers = {
        "date": "Thu, 21 Aug 2025 12:41:00 GMT",
        "anthropic-ratelimit-input-tokens-limit": "80000",
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "2025-08-21T12:41:42Z",
    }
    failure = response_failure(429, headers, b"{}", ENDPOINT, "claude-x")
    assert isinstance(failure, RateLimitedError)
    assert failure.retry_after == 42.0


def test_the_key_goes_where_the_api_wants_it() -> None:
    assert ENDPOINT.sent_headers() == {
        "anthropic-version": "2023-06-01",
        "x-api-key": "sk-ant-secret-0123456789",
    }
    own = Endpoint("http://gateway", "key", {"Anthropic-Version": "2099-01-01"}, api="anthropic")
    assert own.sent_headers() == {"x-api-key": "key", "Anthropic-Version": "2099-01-01"}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["content", "type", "text", "input", "name", "id", "error"]), inner)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(anything)
def test_any_json_gives_a_completion_or_an_error_of_the_tree(body: Any) -> None:
    with suppress(LLMError):
        assert isinstance(decode(body), Completion)
