"""Streams of a real server that break in the middle, in both protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from toolflow.dialogue.message import Message, ToolCall
from toolflow.errors import ConnectionFailedError, LLMError, ServerFailedError
from toolflow.llm.chat import CallKey, Completion, Request, Usage
from toolflow.llm.endpoint import Api, Endpoint
from toolflow.llm.live import LiveText
from toolflow.llm.providers.anthropic import AnthropicProvider
from toolflow.llm.providers.http import HTTPProvider, refused_parameter
from toolflow.llm.providers.openai import OpenAIProvider
from toolflow.llm.server import create_app
from toolflow.llm.serving.conduct import Conduct
from toolflow.llm.testing import ScriptedProvider

REQUEST = Request(CallKey(3, "assistant", 0), "m", (Message("user", "hello"),))
ANSWER = Completion(
    Message(
        "assistant",
        "One moment, please: I look it up.",
        (ToolCall("a", "find", '{"what":"a hotel"}'), ToolCall("b", "find", '{"what":"a train"}')),
    ),
    "tool_calls",
    Usage(40, 20),
    "m",
)
APIS: tuple[Api, ...] = ("openai", "anthropic")
both = pytest.mark.parametrize("api", APIS)

Play = Callable[[HTTPProvider], Awaitable[Any]]


def against(app: web.Application, api: Api, play: Play, **options: Any) -> Any:
    async def run() -> Any:
        async with TestServer(app) as server:
            kind = AnthropicProvider if api == "anthropic" else OpenAIProvider
            endpoint = Endpoint(str(server.make_url("/v1")), api=api)
            async with kind(endpoint, stream=True, **options) as provider:
                return await play(provider)

    return asyncio.run(run())


def served(**conduct: Any) -> web.Application:
    return create_app(ScriptedProvider(lambda _: ANSWER), conduct=Conduct(**conduct))


async def send(provider: HTTPProvider) -> Completion:
    return await provider.send(REQUEST)


@both
@pytest.mark.parametrize("conduct", [{}, {"faults": {"drip": 1.0}}, {"time_per_token": 0.001}])
def test_a_stream_comes_whole_however_slowly(api: Api, conduct: dict[str, Any]) -> None:
    assert against(served(**conduct), api, send) == ANSWER


@both
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("cut", ServerFailedError),
        ("overloaded", ServerFailedError),
        ("500", ServerFailedError),
        ("html200", ServerFailedError),
        ("truncate", ConnectionFailedError),
        ("reset", ConnectionFailedError),
        ("hang", ConnectionFailedError),
    ],
)
def test_a_stream_that_breaks_is_worth_another_attempt(api: Api, fault: str, error: type[LLMError]) -> None:
    with pytest.raises(error) as caught:
        against(served(faults={fault: 1.0}), api, send, silence=0.1)
    assert type(caught.value) is error
    assert ("fell silent for 0.1 s" in str(caught.value)) == (fault == "hang")


@both
def test_connections_are_kept_from_one_stream_to_the_next(api: Api) -> None:
    ports: set[object] = set()

    @web.middleware
    async def watch(request: web.Request, handler: Any) -> web.StreamResponse:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername"))
        answer: web.StreamResponse = await handler(request)
        return answer

    app = served(time_per_token=0.0005)
    app.middlewares.append(watch)

    async def play(provider: HTTPProvider) -> None:
        for _ in range(5):
            await provider.send(REQUEST)

    against(app, api, play)
    assert len(ports) == 1


@both
def test_a_server_that_does_not_stream_is_read_all_the_same(api: Api) -> None:
    app = web.Application()
    openai = {"model": "m", "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}
    anthropic = {"model": "m", "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn"}

    async def answer(request: web.Request) -> web.Response:
        assert (await request.json())["stream"] is True
        return web.json_response(anthropic if request.path.endswith("messages") else openai)

    app.router.add_post("/{path:.*}", answer)
    assert against(app, api, send) == Completion(Message("assistant", "hi"), model="m")


@both
def test_what_is_being_written_can_be_watched(api: Api) -> None:
    live, seen = LiveText(), set[str]()

    async def play(provider: HTTPProvider) -> None:
        asking = asyncio.create_task(provider.send(REQUEST))
        while not asking.done():
            found = live.of(3)
            if found is not None:
                assert found[0] == "assistant"
                seen.add(found[1])
            await asyncio.sleep(0)
        await asking

    against(served(time_per_token=0.02), api, play, live=live)
    grown = sorted(seen, key=len)
    assert len(grown) > 2
    assert all(longer.startswith(shorter) for shorter, longer in pairwise(grown))
    assert grown[-1].startswith("One moment, please: I look it up.")
    assert live.of(3) is None


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        ("`temperature` is deprecated for this model.", "temperature"),
        ("`temperature` and `top_p` cannot both be specified for this model.", "top_p"),
        ('tool_choice: type "tool" and "any" are not supported for this model.', "tool_choice"),
        ("tool_choice forces tool use is not compatible with this model", "tool_choice"),
        ("Thinking may not be enabled when tool_choice forces tool use.", "tool_choice"),
        ("'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "max_tokens"),
        ("Unsupported value: 'temperature' does not support 0.9 with this model.", "temperature"),
        ("temperature: must be at most 1", None),
        ("Unsupported parameter: 'response_format'", None),
    ],
)
def test_refusals_of_parameters_are_understood(message: str, refused: str | None) -> None:
    everything = frozenset({"temperature", "top_p", "tool_choice", "max_tokens", "stream_options"})
    assert refused_parameter(message, everything) == refused
    assert refused_parameter(message, everything - {refused or ""}) != refused or refused is None


def test_what_a_model_refuses_is_left_out_from_then_on_and_told_once() -> None:
    told: list[str] = []
    received: list[dict[str, Any]] = []
    words = {
        "temperature": "`temperature` is deprecated for this model.",
        "stream_options": "Unknown parameter: 'stream_options'",
    }
    app = web.Application()

    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        received.append(body)
        for name, message in words.items():
            if name in body:
                error = {"type": "invalid_request_error", "message": message}
                return web.json_response({"error": error}, status=400)
        return web.json_response({"choices": [{"message": {"content": "hi"}}]})

    app.router.add_post("/{path:.*}", answer)

    async def play(provider: HTTPProvider) -> None:
        warm = replace(REQUEST, sampling=replace(REQUEST.sampling, temperature=0.7))
        for _ in range(2):
            await provider.send(warm)

    against(app, "openai", play, tell=told.append)
    assert len(received) == 4
    assert not words.keys() & received[-1].keys()
    assert len(told) == 2
    assert "takes no temperature" in told[0]
