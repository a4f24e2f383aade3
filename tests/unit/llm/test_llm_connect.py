"""The way to the models: what is spoken at each endpoint, and what the user is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from toolflow.config import load_config
from toolflow.dialogue.message import Message
from toolflow.errors import UsageError
from toolflow.llm.chat import CallKey, Completion, Request
from toolflow.llm.connect import Connection, connect
from toolflow.llm.providers.anthropic import AnthropicProvider
from toolflow.llm.providers.openai import OpenAIProvider
from toolflow.llm.server import create_app
from toolflow.llm.testing import ScriptedProvider


def connected(flags: Callable[[int], dict[str, Any]], look: Callable[[Connection], Any]) -> Any:
    async def play() -> Any:
        answers = ScriptedProvider(lambda _: Completion(Message("assistant", "OK"), model="served"))
        async with TestServer(create_app(answers, model="served")) as server:
            assert server.port is not None
            async with connect(load_config(None, flags(server.port)), {}) as connection:
                found = look(connection)
                for replica in connection.replicas:
                    request = Request(CallKey(0, "user", 0), "served", (Message("user", "hi"),))
                    assert (await replica.provider.send(request)).message.content == "OK"
                return found

    return asyncio.run(play())


def test_endpoints_of_both_kinds_serve_one_run() -> None:
    def flags(port: int) -> dict[str, Any]:
        both = [
            {"base_url": f"http://127.0.0.1:{port}/v1"},
            {"base_url": f"http://localhost:{port}", "api": "anthropic"},
        ]
        return {"endpoints": both}

    kinds = connected(flags, lambda there: [type(replica.provider) for replica in there.replicas])
    assert kinds == [OpenAIProvider, AnthropicProvider]


@pytest.mark.parametrize(("path", "kind"), [("/v1", OpenAIProvider), ("/v1/messages", AnthropicProvider)])
def test_what_the_url_tells_is_spoken(path: str, kind: type) -> None:
    kinds = connected(
        lambda port: {"base_url": f"http://127.0.0.1:{port}{path}"},
        lambda there: [type(replica.provider) for replica in there.replicas],
    )
    assert kinds == [kind]


@pytest.mark.parametrize("insecure", [True, False])
def test_unchecked_certificates_are_a_loud_notice(insecure: bool) -> None:
    notices = connected(
        lambda port: {"base_url": f"http://127.0.0.1:{port}/v1", "insecure": insecure},
        lambda there: there.notices,
    )
    assert any(notice.startswith("WARNING: certificates are not checked") for notice in notices) == insecure


def refused(flags: dict[str, Any]) -> UsageError:
    async def play() -> None:
        async with connect(load_config(None, flags), {}):
            pytest.fail("there is no way to all of its models")

    with pytest.raises(UsageError) as caught:
        asyncio.run(play())
    return caught.value


@pytest.mark.parametrize("model", [None, "rehearsal"])
def test_a_fallback_model_needs_an_endpoint_as_any_other_does(model: str | None) -> None:
    error = refused({"model": model, "fallback_models": ["gpt-4.1"]})
    assert error.message == "no endpoint is configured for gpt-4.1"


@pytest.mark.parametrize("others", [{"fallback_models": ["m"]}, {"roles": {"user": {"model": "m"}}}])
def test_a_model_of_this_machine_does_not_answer_for_others(others: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "little.gguf").write_bytes(b"GGUF")
    error = refused({"model": str(tmp_path / "little.gguf")} | others)
    assert error.message.endswith("answers for itself alone, not for m")
