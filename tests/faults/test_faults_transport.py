"""No answer, half an answer, or an answer from somebody else."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from tests.faults.misbehaving_server import KEY, REQUEST, Behaviour, MisbehavingServer, answer
from toolflow.errors import (
    ConnectionFailedError,
    FatalLLMError,
    LLMError,
    MalformedCompletionError,
    ServerFailedError,
)
from toolflow.llm.chat import Completion
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.providers.openai import OpenAIProvider
from toolflow.llm.retry import RetryPolicy

TWICE = RetryPolicy(attempts=2)


@pytest.fixture(autouse=True)
def _loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


def send(endpoint: Endpoint) -> Completion:
    async def play() -> Completion:
        async with OpenAIProvider(endpoint) as provider:
            return await provider.send(REQUEST)

    return asyncio.run(play())


async def reset_mid_body(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"choices": [{"message": {"content": "hel')
    assert request.transport is not None
    request.transport.abort()
    return response


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def speak_nonsense(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"220 mail.example ESMTP\r\n\r\n")
    request.transport.close()
    return web.Response()


async def lie_about_compression(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"not gzip", headers={"Content-Encoding": "gzip"})


def assert_no_secret(error: BaseException | None) -> None:
    while error is not None:
        assert KEY not in repr(error)
        assert KEY not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("fault", [reset_mid_body, hang_up, speak_nonsense, lie_about_compression])
def test_a_broken_connection_is_tried_again(fault: Behaviour) -> None:
    with MisbehavingServer(fault, answer()) as server:
        assert server.complete().message.content == "hi"
        assert len(server.pauses) == 1
        assert server.client.statistics().attempts == 2


@pytest.mark.parametrize("fault", [reset_mid_body, hang_up, speak_nonsense, lie_about_compression])
def test_a_connection_that_stays_broken_is_a_connection_failure(fault: Behaviour) -> None:
    with MisbehavingServer(fault) as server:
        with pytest.raises(ConnectionFailedError, match="cannot be reached") as caught:
            server.complete(policy=TWICE)
        assert len(server.received) == 2
    assert_no_secret(caught.value)


def test_a_refused_connection_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    with pytest.raises(ConnectionFailedError, match="connection refused") as caught:
        send(Endpoint(f"http://127.0.0.1:{port}/v1", KEY))
    assert caught.value.hint is not None
    assert "Check the URL" in caught.value.hint
    assert_no_secret(caught.value)


def test_a_host_that_does_not_exist_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def play() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        async with OpenAIProvider(Endpoint("http://nowhere.example/v1")) as provider:
            await provider.send(REQUEST)

    with pytest.raises(ConnectionFailedError, match=r"http://nowhere.example/v1 .* cannot be resolved"):
        asyncio.run(play())


def test_https_to_a_server_that_speaks_http_is_a_tls_failure() -> None:
    async def play(url: str) -> None:
        async with OpenAIProvider(Endpoint(url)) as provider:
            await provider.send(REQUEST)

    with MisbehavingServer(answer()) as server, pytest.raises(ConnectionFailedError, match="TLS failed"):
        server.look(lambda endpoint: play(endpoint.base_url.replace("http://", "https://")))


def test_a_lost_answer_is_asked_for_again_long_before_its_timeout() -> None:
    with MisbehavingServer() as server:
        server.behave(*[answer()] * 80, server.stall, answer())
        figures = server.complete_many(160, at_once=8)
        assert (figures.completed, figures.attempts, figures.stalled, figures.in_flight) == (160, 161, 1, 0)
        assert server.pauses == []


def test_a_stalled_answer_times_out_and_is_tried_again() -> None:
    with MisbehavingServer(answer()) as server:
        server.behave(server.stall, answer())
        completion = server.complete(policy=RetryPolicy(attempt_timeout=0.5))
        assert completion.message.content == "hi"
        assert len(server.received) >= 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (answer(b"<html><head><title>Sign in</title></head></html>"), "an HTML page titled 'Sign in'"),
        (answer(b"<html><title>502 Bad Gateway</title></html>", 502), "502 Bad Gateway: an HTML page"),
        (answer(b'{"choices": [{"message": {"content": "hel'), "hel"),
        (answer(b""), "an empty body"),
        (answer({"error": {"message": "the replica died"}}), "the replica died"),
        (answer({"detail": "starting up"}, 503), "503 Service Unavailable: starting up"),
    ],
)
def test_what_is_no_chat_completion_is_tried_again_and_told(fault: Behaviour, said: str) -> None:
    with MisbehavingServer(fault) as server:
        with pytest.raises(ServerFailedError) as caught:
            server.complete(policy=TWICE)
        assert said in caught.value.message
        assert len(server.received) == 2
        server.behave(fault, answer())
        assert server.complete().message.content == "hi"


def test_a_redirect_is_not_followed_with_the_key() -> None:
    with MisbehavingServer(answer(b"", 307, Location="http://127.0.0.1:1/elsewhere")) as server:
        with pytest.raises(FatalLLMError, match=r"to http://127\.0\.0\.1:1/elsewhere"):
            server.complete()
        assert len(server.received) == 1


def test_an_empty_choice_is_resampled_at_once() -> None:
    empty = {"choices": [{"index": 0, "message": {"role": "assistant", "content": ""}}]}
    with MisbehavingServer(answer(empty), answer({"choices": []}), answer()) as server:
        assert server.complete().message.content == "hi"
        assert server.pauses == []
        assert len({body for body, _ in server.received}) == 3
        server.behave(answer(empty))
        with pytest.raises(MalformedCompletionError, match="empty message"):
            server.complete()


def test_one_bad_call_does_not_spoil_the_next() -> None:
    with MisbehavingServer(answer()) as server:

        async def play(endpoint: Endpoint) -> list[bool]:
            came: list[bool] = []
            async with OpenAIProvider(endpoint) as provider:
                for behaviour in (hang_up, answer(), reset_mid_body, answer(), answer(b"{"), answer()):
                    server.behave(behaviour)
                    try:
                        await provider.send(REQUEST)
                    except LLMError:
                        came.append(False)
                    else:
                        came.append(True)
            return came

        assert server.look(play) == [False, True, False, True, False, True]


def test_a_proxy_of_the_environment_is_used_with_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    with MisbehavingServer(answer()) as proxy:
        address = proxy.endpoint.base_url.removeprefix("http://").removesuffix("/v1")
        monkeypatch.delenv("NO_PROXY")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setenv("http_proxy", f"http://me:word@{address}")

        async def play(_: Endpoint) -> Completion:
            async with OpenAIProvider(Endpoint("http://endpoint.example/v1", KEY)) as provider:
                return await provider.send(REQUEST)

        assert proxy.look(play).message.content == "hi"
        headers = proxy.received[0][1]
    assert headers["Host"] == "endpoint.example"
    assert headers["Proxy-Authorization"].startswith("Basic ")
    assert headers["Authorization"] == f"Bearer {KEY}"
