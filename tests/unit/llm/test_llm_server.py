"""The server on loopback: no part of a request or completion is lost, and errors keep their kind."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message, ToolCall
from toolflow.errors import (
    AuthenticationError,
    ConnectionFailedError,
    ContextLengthError,
    FatalLLMError,
    LLMError,
    MalformedCompletionError,
    ModelNotFoundError,
    PermanentLLMError,
    RateLimitedError,
    ServerFailedError,
    TransientLLMError,
    UsageError,
)
from toolflow.llm.chat import CallKey, Completion, Request, ResponseFormat, Sampling, Usage
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.providers.openai import OpenAIProvider
from toolflow.llm.server import create_app, serve
from toolflow.llm.testing import ScriptedProvider

NOWHERE = CallKey(0, "", 0)
REQUEST = Request(NOWHERE, "m", (Message("user", "hello"),))
ANSWER = Completion(Message("assistant", "hi"), model="m")


@pytest.fixture(autouse=True)
def _loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class Loopback:
    """A server over a provider and a client that talks to it, both in one event loop."""

    def __init__(self, script: Callable[[Request], Completion]) -> None:
        self.provider = ScriptedProvider(script)
        self._runner = asyncio.Runner()

    def __enter__(self) -> Loopback:
        self._server = TestServer(create_app(self.provider, model="served"))
        self._runner.run(self._server.start_server())
        self.url = str(self._server.make_url("/v1"))
        self._client = OpenAIProvider(Endpoint(self.url))
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.close())
        self._runner.run(self._server.close())
        self._runner.close()

    def send(self, request: Request) -> Completion:
        return self._runner.run(self._client.send(request))

    def exchange(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        async def play() -> tuple[int, Any]:
            async with (
                aiohttp.ClientSession() as session,
                session.request(method, self.url + path, data=body) as response,
            ):
                return response.status, await response.json()

        return self._runner.run(play())


text = st.text(max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
schemas = st.dictionaries(text, json_values, max_size=4)
tool_calls = st.builds(ToolCall, text, text, text)
messages = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    text,
    st.lists(tool_calls, max_size=3).map(tuple),
    st.none() | text,
)
requests = st.builds(
    Request,
    st.just(NOWHERE),
    text,
    st.lists(messages, max_size=4).map(tuple),
    st.lists(st.builds(Tool, text.filter(bool), text, schemas), min_size=1, max_size=3).map(tuple),
    st.sampled_from(["auto", "none"]),
    st.none() | st.builds(ResponseFormat, text, schemas),
    st.builds(
        Sampling, st.none() | st.floats(0, 2), st.none() | st.floats(0, 1), st.none() | st.integers(0, 2**40)
    ),
    st.integers(0, 2**63 - 1),
)


def test_a_request_arrives_as_it_was_sent() -> None:
    arrived: list[Request] = []

    def echo(request: Request) -> Completion:
        arrived.append(request)
        return Completion(Message("assistant", "hi"), model=request.model)

    with Loopback(echo) as loopback:

        @settings(deadline=None, max_examples=60)
        @given(requests)
        def check(request: Request) -> None:
            loopback.send(request)
            got = arrived.pop()
            assert [tool.to_openai() for tool in got.tools] == [tool.to_openai() for tool in request.tools]
            assert replace(got, tools=request.tools) == request

        check()


def test_a_completion_arrives_as_it_was_given() -> None:
    given_: list[Completion] = []
    calls = st.lists(
        st.builds(ToolCall, text.filter(bool), text.filter(bool), text),
        max_size=3,
        unique_by=lambda call: call.id,
    ).map(tuple)
    completions = st.builds(
        Completion,
        st.builds(Message, st.just("assistant"), text, calls),
        st.sampled_from(["stop", "tool_calls", "length"]),
        st.builds(Usage, st.integers(0, 10**6), st.integers(0, 10**6)),
        text.filter(bool),
    ).filter(lambda completion: bool(completion.message.tool_calls or completion.message.content.strip()))

    with Loopback(lambda _: given_[-1]) as loopback:

        @settings(deadline=None, max_examples=60)
        @given(completions)
        def check(completion: Completion) -> None:
            given_.append(completion)
            assert loopback.send(REQUEST) == completion

        check()


@pytest.mark.parametrize(
    "error",
    [
        RateLimitedError("slow down", retry_after=2.5),
        ServerFailedError("broken", retry_after=3.0),
        ContextLengthError("too long"),
        PermanentLLMError("bad request"),
        AuthenticationError("bad key"),
        ModelNotFoundError("no such model"),
        FatalLLMError("no money"),
    ],
)
def test_an_error_arrives_as_what_it_is(error: LLMError) -> None:
    def fail(request: Request) -> Completion:
        raise error

    with Loopback(fail) as loopback, pytest.raises(LLMError, match=error.message) as caught:
        loopback.send(REQUEST)
    assert type(caught.value) is type(error)
    if isinstance(error, TransientLLMError):
        assert isinstance(caught.value, TransientLLMError)
        assert caught.value.retry_after == error.retry_after


@pytest.mark.parametrize("error", [MalformedCompletionError("empty"), ConnectionFailedError("refused")])
def test_what_failed_behind_the_server_is_worth_another_attempt(error: LLMError) -> None:
    def fail(request: Request) -> Completion:
        raise error

    with Loopback(fail) as loopback, pytest.raises(ServerFailedError):
        loopback.send(REQUEST)


def test_an_answer_has_the_fields_that_other_clients_need() -> None:
    with Loopback(lambda _: ANSWER) as loopback:
        body = b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}'
        answers = [loopback.exchange("POST", "/chat/completions", body) for _ in range(2)]
    (status, first), (_, second) = answers
    assert status == 200
    assert first["object"] == "chat.completion"
    assert isinstance(first["created"], int)
    assert first["id"] != second["id"]
    assert first["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def test_what_other_clients_send_is_understood() -> None:
    arrived: list[Request] = []

    def echo(request: Request) -> Completion:
        arrived.append(request)
        return ANSWER

    body = b"""{"model": "m", "stream": false, "n": 1, "user": "me", "max_completion_tokens": 5,
        "messages": [
            {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
        ],
        "tools": [{"type": "function", "function": {"name": "now", "strict": true}}],
        "response_format": {"type": "json_object"}}"""
    with Loopback(echo) as loopback:
        assert loopback.exchange("POST", "/chat/completions", body)[0] == 200
    request = arrived[0]
    assert request.messages == (Message("system", "ab"),)
    assert request.tools == (Tool("now", "", {"type": "object", "properties": {}}),)
    assert request.response_format == ResponseFormat("object", {"type": "object"})
    assert request.sampling == Sampling(max_tokens=5)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b'{"messages": []}',
        b'{"model": "m"}',
        b'{"model": "m", "messages": [], "n": 2}',
        b'{"model": "m", "messages": [], "tool_choice": "required"}',
        b'{"model": "m", "messages": [{"role": "wizard", "content": "x"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}',
        b"[" * 100_000,
    ],
)
def test_a_request_that_is_not_served_is_refused_in_words(body: bytes) -> None:
    with Loopback(lambda _: ANSWER) as loopback:
        status, answer = loopback.exchange("POST", "/chat/completions", body)
        assert status == 400
        assert answer["error"]["type"] == "invalid_request_error"
        assert answer["error"]["message"]
        assert loopback.provider.sent == 0


def test_models_and_health_are_served_and_other_paths_refused_in_json() -> None:
    with Loopback(lambda _: ANSWER) as loopback:
        _, models = loopback.exchange("GET", "/models")
        assert [model["id"] for model in models["data"]] == ["served"]
        assert loopback.exchange("GET", "/../healthz") == (200, {"status": "ok"})
        assert loopback.exchange("GET", "/nowhere")[1]["error"]["message"] == "GET /v1/nowhere: Not Found"
        assert loopback.exchange("GET", "/chat/completions")[0] == 405


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_server_cleanly(number: signal.Signals) -> None:
    program = """
import asyncio
from toolflow.dialogue.message import Message
from toolflow.llm.chat import Completion
from toolflow.llm.server import serve
from toolflow.llm.testing import ScriptedProvider

provider = ScriptedProvider(lambda _: Completion(Message("assistant", "hi")))
asyncio.run(serve(provider, ready=lambda url: print(url, flush=True)))
print("closed" if provider.closed else "left open")
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()

        async def play() -> Completion:
            async with OpenAIProvider(Endpoint(url)) as client:
                return await client.send(REQUEST)

        assert asyncio.run(play()).message.content == "hi"
        process.send_signal(number)
        assert process.stdout.read() == "closed\n"
        assert process.wait() == 0


def test_an_address_in_use_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        provider = ScriptedProvider(lambda _: ANSWER)
        with pytest.raises(UsageError, match=f"{port}: the port is in use") as caught:
            asyncio.run(serve(provider, port=port))
    assert caught.value.hint is not None
    assert provider.closed


@pytest.mark.parametrize(("host", "port"), [("a..b", 0), ("192.0.2.1", 0), ("127.0.0.1", 70_000)])
def test_an_address_that_cannot_be_had_is_a_clear_error(host: str, port: int) -> None:
    with pytest.raises(UsageError, match="cannot listen on"):
        asyncio.run(serve(ScriptedProvider(lambda _: ANSWER), host=host, port=port))
