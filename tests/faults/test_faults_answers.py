"""Answers that refuse, ask to wait, or are oddly made."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.misbehaving_server import GOOD, KEY, REQUEST, MisbehavingServer, answer
from toolflow.dialogue.message import Message, ToolCall
from toolflow.errors import (
    AuthenticationError,
    ContextLengthError,
    FatalLLMError,
    LLMError,
    ModelNotFoundError,
    PermanentLLMError,
    RateLimitedError,
)
from toolflow.llm.retry import RetryPolicy


@pytest.fixture(autouse=True)
def _loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def openai(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "kind", "hint"),
    [
        (401, openai(f"Incorrect API key provided: {KEY}."), AuthenticationError, "OPENAI_API_KEY"),
        (403, openai("Not your model"), AuthenticationError, "OPENAI_API_KEY"),
        (404, openai("The model `m` does not exist", "model_not_found"), ModelNotFoundError, "--model"),
        (429, openai("You exceeded your current quota", "insufficient_quota"), FatalLLMError, "account"),
        (402, openai("Insufficient Balance"), FatalLLMError, "account"),
    ],
)
def test_what_would_fail_every_call_is_told_once_with_a_hint(
    status: int, body: Any, kind: type[LLMError], hint: str
) -> None:
    with MisbehavingServer(answer(body, status)) as server:
        with pytest.raises(kind) as caught:
            server.complete()
        assert len(server.received) == 1
        assert server.client.statistics().failed == 1
    assert str(status) in caught.value.message
    assert body["error"]["message"].replace(KEY, "***") in caught.value.message
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, openai("This model's maximum context length is 8192 tokens", "context_length_exceeded")),
        (400, {"object": "error", "message": "maximum context length is 4096", "type": "BadRequestError"}),
        (
            400,
            {"error": {"code": 400, "message": "too big", "type": "exceed_context_size_error"}},
        ),
        (413, b"too many tokens"),
        (422, {"detail": "the prompt exceeds the context of the model"}),
    ],
)
def test_a_request_that_is_too_long_fails_alone(status: int, body: Any) -> None:
    with MisbehavingServer(answer(body, status), answer()) as server:
        with pytest.raises(ContextLengthError):
            server.complete()
        assert server.complete().message.content == "hi"
        assert len(server.received) == 2


@pytest.mark.parametrize("parameter", ["seed", "response_format"])
def test_a_refused_parameter_is_not_silently_left_out(parameter: str) -> None:
    with MisbehavingServer(answer(openai(f"Unsupported parameter: '{parameter}'"), 400)) as server:
        with pytest.raises(PermanentLLMError, match=parameter):
            server.complete()
        assert len(server.received) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "20"}, 20.0),
        ({"retry_after_ms": "1500", "Retry_After": "20"}, 1.5),
        ({"Retry_After": "Wed, 21 Oct 2026 07:28:25 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 25.0),
    ],
)
def test_a_429_is_waited_out_as_long_as_the_server_says(headers: dict[str, str], seconds: float) -> None:
    limited = answer(openai("Rate limit reached", "rate_limit_exceeded"), 429, **headers)
    with MisbehavingServer(limited, answer()) as server:
        assert server.complete().message.content == "hi"
        assert len(server.pauses) == 1
        assert seconds <= server.pauses[0] <= seconds + 1.0
        assert server.client.statistics().rate_limited == 1


def test_a_429_that_does_not_end_gives_up() -> None:
    with MisbehavingServer(answer(openai("slow down"), 429)) as server:
        with pytest.raises(RateLimitedError, match="slow down"):
            server.complete(policy=RetryPolicy(attempts=4))
        assert len(server.received) == 4
        assert len(server.pauses) == 3


def test_the_key_and_the_request_are_sent_as_they_should() -> None:
    with MisbehavingServer(answer()) as server:
        server.complete()
        body, headers = server.received[0]
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("toolflow/")
    assert json.loads(body)["messages"] == [{"role": "user", "content": "hello"}]


def test_a_request_of_many_megabytes_is_sent() -> None:
    with MisbehavingServer(answer()) as server:
        server.complete(replace(REQUEST, messages=(Message("user", "x" * 3 * 2**20),)))
        assert json.loads(server.received[0][0])["messages"][0]["content"] == "x" * 3 * 2**20


def test_malformed_tool_arguments_come_through_as_they_were_written() -> None:
    calls = [
        {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bonn", '}},
        {"id": "a", "type": "function", "function": {"name": "weather", "arguments": {"city": "Bonn"}}},
        {"function": {"name": "weather"}},
    ]
    body = {"choices": [{"message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}]}
    with MisbehavingServer(answer(body)) as server:
        completion = server.complete()
    assert completion.message.tool_calls == (
        ToolCall("a", "weather", '{"city": "Bonn", '),
        ToolCall("call_0", "weather", '{"city":"Bonn"}'),
        ToolCall("call_1", "weather", "{}"),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"usage": None},
        {"usage": {"prompt_tokens": None}},
        {"model": None, "id": None, "created": "now", "system_fingerprint": 5},
        {"error": None},
        {"prompt_logprobs": None, "timings": {"x": [1.5]}},
    ],
)
def test_odd_but_usable_answers_are_used(changes: dict[str, Any]) -> None:
    with MisbehavingServer(answer(GOOD | changes)) as server:
        assert server.complete().message.content == "hi"
        assert len(server.received) == 1


def test_an_error_inside_a_success_is_treated_by_its_code() -> None:
    limited = answer({"error": {"message": "slow down", "code": 429}})
    refused = answer({"error": {"message": "No auth", "code": 401}})
    with MisbehavingServer(limited, refused) as server:
        with pytest.raises(AuthenticationError, match="No auth"):
            server.complete()
        assert server.client.statistics().rate_limited == 1


def test_control_characters_of_a_server_do_not_reach_the_terminal() -> None:
    rude = answer(openai("\x1b[2Jgone\r\nnew" + "x" * 5000), 400)
    with MisbehavingServer(rude) as server, pytest.raises(PermanentLLMError) as caught:
        server.complete()
    assert "\x1b" not in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 500
