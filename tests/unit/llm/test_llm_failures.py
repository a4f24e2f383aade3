"""What servers say about failures, in the dialects they speak, and the error each becomes."""

from __future__ import annotations

import json
import socket
import ssl
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolflow.errors import (
    AuthenticationError,
    ContextLengthError,
    FatalLLMError,
    LLMError,
    ModelNotFoundError,
    PermanentLLMError,
    RateLimitedError,
    ServerFailedError,
    TransientLLMError,
)
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.providers.failures import (
    connection_failure,
    embedded_failure,
    quote,
    read_error_body,
    response_failure,
)

KEY = "sk-very-secret-0123456789"
CONTROL = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F))}
ENDPOINT = Endpoint("http://host/v1", KEY)


def failure(status: int, body: Any, headers: dict[str, str] | None = None) -> LLMError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return response_failure(status, headers or {}, raw, ENDPOINT, "the-model")


def openai(message: str, code: str | None = None, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, openai("Incorrect API key provided"), AuthenticationError),
        (403, {"detail": "Forbidden"}, AuthenticationError),
        (400, [{"error": {"code": 400, "message": "API key not valid."}}], AuthenticationError),
        (402, openai("Insufficient Balance"), FatalLLMError),
        (429, openai("You exceeded your quota", "insufficient_quota"), FatalLLMError),
        (429, openai("Rate limit reached", "rate_limit_exceeded"), RateLimitedError),
        (429, b"slow down", RateLimitedError),
        (404, openai("The model `x` does not exist", "model_not_found"), ModelNotFoundError),
        (404, {"detail": "Not Found"}, ModelNotFoundError),
        (400, openai("unknown model", "model_not_found"), ModelNotFoundError),
        (408, b"", ServerFailedError),
        (409, b"", ServerFailedError),
        (500, openai("internal"), ServerFailedError),
        (502, b"<html><title>502 Bad Gateway</title></html>", ServerFailedError),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, ServerFailedError),
        (307, b"", FatalLLMError),
        (400, openai("Unsupported parameter: 'seed'"), PermanentLLMError),
        (400, openai("'response_format' is not supported"), PermanentLLMError),
        (413, b"Request Entity Too Large", PermanentLLMError),
        (422, {"detail": [{"loc": ["body", "n"], "msg": "bad"}]}, PermanentLLMError),
        (418, b"", PermanentLLMError),
    ],
)
def test_each_status_has_its_error(status: int, body: Any, kind: type[LLMError]) -> None:
    assert type(failure(status, body)) is kind


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, openai("This model's maximum context length is 8192 tokens.", "context_length_exceeded")),
        (400, openai("Please shorten it", "context_length_exceeded")),
        (400, {"object": "error", "message": "maximum context length is 4096 tokens", "code": 400}),
        (400, {"error": {"message": "The decoder prompt is longer than the maximum model length of 2048"}}),
        (400, {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error"}}),
        (400, {"error": "the request exceeds the available context size"}),
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long"}}),
        (400, [{"error": {"message": "The input token count (9) exceeds the maximum number of tokens"}}]),
        (413, openai("too many tokens in the request")),
        (422, {"detail": "Input is longer than the model's context length"}),
    ],
)
def test_context_length_is_recognised_in_every_dialect(status: int, body: Any) -> None:
    error = failure(status, body)
    assert type(error) is ContextLengthError
    assert error.hint


def test_context_words_do_not_make_a_server_failure_permanent() -> None:
    assert type(failure(500, openai("lost the context window"))) is ServerFailedError


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:29:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_read(status: int, headers: dict[str, str], seconds: float | None) -> None:
    error = failure(status, openai("x"), headers)
    assert isinstance(error, TransientLLMError)
    assert error.retry_after == seconds


def test_the_text_says_who_what_and_what_to_do() -> None:
    error = failure(401, openai("No such key"))
    assert error.message == "http://host/v1 answered 401 Unauthorized: No such key"
    assert error.hint is not None
    assert "OPENAI_API_KEY" in error.hint
    without_key = response_failure(401, {}, b"", Endpoint("http://host/v1"), "m")
    assert without_key.hint is not None
    assert "No key was sent" in without_key.hint


def test_a_redirect_says_where_to() -> None:
    error = failure(308, b"", {"location": "https://host/v1/chat/completions"})
    assert "to https://host/v1/chat/completions" in error.message


def test_an_html_page_is_named_by_its_title() -> None:
    error = failure(502, b"<!doctype html><html><head><title>502\n Bad Gateway</title></head></html>")
    assert error.message.endswith("an HTML page titled '502 Bad Gateway'")


def test_the_key_is_cut_out_of_what_the_server_says() -> None:
    for error in (failure(401, openai(f"bad key {KEY}")), embedded_failure(f"bad {KEY}", ENDPOINT, "m")):
        assert KEY not in str(error)
        assert "***" in str(error)


@settings(deadline=None)
@given(st.text(max_size=3000))
def test_quotes_are_short_and_printable(text: str) -> None:
    quoted = quote(text)
    assert len(quoted) <= 300
    assert not set(quoted) & CONTROL


@settings(deadline=None)
@given(st.integers(300, 599), st.binary(max_size=200))
def test_any_body_gives_an_error(status: int, body: bytes) -> None:
    assert not set(str(failure(status, body))) & CONTROL


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "message", "detail", "code", "type", "msg"]), inner)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(json_values)
def test_any_json_gives_an_error(value: Any) -> None:
    assert isinstance(failure(400, value), LLMError)
    assert isinstance(embedded_failure(value, ENDPOINT, "m"), LLMError)


def test_deeply_nested_json_is_quoted() -> None:
    assert read_error_body(b"[" * 100_000).message.startswith("[[[")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "slow", "code": 429}, RateLimitedError),
        ({"message": "slow", "type": "rate_limit_error"}, RateLimitedError),
        ({"message": "gone", "code": "404"}, ModelNotFoundError),
        ({"message": "maximum context length is 5"}, ContextLengthError),
        ({"message": "upstream broke"}, ServerFailedError),
        ("upstream broke", ServerFailedError),
        ({"message": "odd", "code": 7}, ServerFailedError),
    ],
)
def test_an_error_inside_a_success_has_its_kind(error: object, kind: type[LLMError]) -> None:
    assert type(embedded_failure(error, ENDPOINT, "m")) is kind


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (socket.gaierror(-2, "Name or service not known"), "cannot be resolved"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "TLS failed"),
        (ConnectionRefusedError(111, "Connect call failed"), "connection refused"),
        (TimeoutError(), "took too long"),
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (OSError(), "OSError"),
    ],
)
def test_connection_failures_tell_their_cause_whoever_wraps_it(cause: Exception, said: str) -> None:
    wrapped = OSError("wrapped")
    wrapped.__cause__ = cause
    assert said in connection_failure(cause, ENDPOINT).message
    if said not in {"OSError", "Connection reset by peer"}:
        assert said in connection_failure(wrapped, ENDPOINT).message
