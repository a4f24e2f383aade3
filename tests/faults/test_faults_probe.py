"""Looking at endpoints of all sorts before a run, and what the user is told."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from tests.faults.misbehaving_server import KEY, Behaviour, MisbehavingServer, answer
from toolflow.errors import (
    AuthenticationError,
    ConnectionFailedError,
    LLMError,
    ModelNotFoundError,
    ServerFailedError,
    UsageError,
)
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.probe import EndpointFacts, probe_endpoint, probe_tool_calls


@pytest.fixture(autouse=True)
def _loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def listing(*names: str) -> Behaviour:
    return answer({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})


def probe(behaviour: Behaviour, model: str | None = None) -> EndpointFacts:
    with MisbehavingServer(behaviour) as server:
        return server.look(lambda endpoint: probe_endpoint(endpoint, model))


def can_call_tools(body: Any, status: int = 200) -> bool:
    with MisbehavingServer(answer(body, status)) as server:
        return server.look(lambda endpoint: probe_tool_calls(endpoint, "tool-m"))


def test_a_listed_model_is_found() -> None:
    facts = probe(listing("a", "b"), "b")
    assert facts == EndpointFacts("b", ("a", "b"))
    assert facts.listed is True
    assert facts.advice is None


def test_the_only_model_is_picked() -> None:
    assert probe(listing("only")).model == "only"


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (listing("a", "b"), "lists a, b"),
        (listing(), "lists no model"),
        (answer({"detail": "Not Found"}, 404), "does not list"),
    ],
)
def test_without_a_model_to_pick_the_user_must_name_one(behaviour: Behaviour, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        probe(behaviour)
    assert "--model" in (caught.value.hint or "")


def test_a_model_that_is_not_listed_may_still_work_and_near_names_are_shown() -> None:
    facts = probe(listing("qwen2.5-7b-instruct", *(f"other-{number}" for number in range(50))), "qwen2.5-7b")
    assert facts.listed is False
    assert facts.advice is not None
    assert "qwen2.5-7b-instruct and 50 more" in facts.advice


@pytest.mark.parametrize("status", [404, 405, 501])
def test_an_endpoint_without_a_listing_is_fine(status: int) -> None:
    facts = probe(answer({"detail": "Not Found"}, status), "m")
    assert facts == EndpointFacts("m", None)
    assert facts.listed is None
    assert facts.advice is None


@pytest.mark.parametrize(
    ("behaviour", "kind", "said"),
    [
        (answer({"error": {"message": f"bad key {KEY}"}}, 401), AuthenticationError, "401"),
        (answer(b"<html><title>Welcome to nginx!</title></html>"), ServerFailedError, "Welcome to nginx!"),
        (answer({"data": "none"}), ServerFailedError, "no list of models"),
        (answer(b"<html>bad gateway</html>", 502), ServerFailedError, "502"),
    ],
)
def test_what_is_wrong_with_an_endpoint_is_told(
    behaviour: Behaviour, kind: type[LLMError], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        probe(behaviour, "m")
    assert KEY not in str(caught.value)


def test_a_refused_connection_and_an_unknown_host_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    with pytest.raises(ConnectionFailedError, match="connection refused"):
        asyncio.run(probe_endpoint(Endpoint(f"http://127.0.0.1:{port}/v1")))

    async def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def play() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        await probe_endpoint(Endpoint("http://nowhere.example/v1"))

    with pytest.raises(ConnectionFailedError, match="cannot be resolved"):
        asyncio.run(play())


def test_tool_calls_are_probed_with_the_tool_and_the_key() -> None:
    with MisbehavingServer(answer()) as server:
        assert server.look(lambda endpoint: probe_tool_calls(endpoint, "m"))
        body, headers = server.received[0]
    assert json.loads(body)["tools"][0]["function"]["name"] == "get_time"
    assert headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"message": '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser'}),
        (400, {"error": {"message": "registry.ollama.ai/library/gemma does not support tools"}}),
        (404, {"error": {"message": "No endpoints found that support tool use"}}),
        (422, {"detail": [{"loc": ["body", "tools"], "msg": "Extra inputs are not permitted"}]}),
        (500, {"error": {"message": "tools param requires --jinja flag"}}),
        (501, b"function calling is not implemented"),
    ],
)
def test_an_endpoint_that_refuses_tools_is_recognised(status: int, body: Any) -> None:
    assert can_call_tools(body, status) is False


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, {"error": {"message": "The model `tool-m` does not exist"}}, ModelNotFoundError),
        (401, {"error": {"message": "no key for tools"}}, AuthenticationError),
        (500, {"error": {"message": "out of memory"}}, ServerFailedError),
    ],
)
def test_a_failure_that_is_not_about_tools_is_an_error(status: int, body: Any, kind: type[LLMError]) -> None:
    with pytest.raises(kind):
        can_call_tools(body, status)
