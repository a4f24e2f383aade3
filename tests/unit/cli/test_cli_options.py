"""Options that commands share reach the endpoint, and what turns up on the way is told."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from tests.unit.curation.embedding_server import good
from tests.unit.invoking import fail, invoke, run
from toolflow.config import RunConfig
from toolflow.errors import ConnectionFailedError, LLMError, UsageError
from toolflow.llm.providers.rehearsal.provider import DEFAULT_MISTAKES

KEY = "sk-of-the-encoder-0123456789"
TEAM = "team-token-9876543210"


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOOLFLOW_CACHE", str(tmp_path / "cache"))


@dataclass
class Served:
    """A server on loopback that embeds, and that refuses a temperature where it is to chat."""

    url: str = ""
    headers: list[Mapping[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def embed(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        _, answer = good((await request.json())["input"])
        return web.json_response(answer)

    async def chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        if "temperature" in body:
            error = {
                "message": "`temperature` is deprecated for this model.",
                "type": "invalid_request_error",
            }
            return web.json_response({"error": error}, status=400)
        return web.json_response({"choices": [{"message": {"content": "no JSON"}, "finish_reason": "stop"}]})

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m"}]})


@contextmanager
def served(tls: ssl.SSLContext | None = None) -> Generator[Served]:
    server, loop, ready = Served(), asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/embeddings", server.embed)
        app.router.add_post("/v1/chat/completions", server.chat)
        app.router.add_get("/v1/models", server.models)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        server.url = f"{'https' if tls else 'http'}://localhost:{runner.addresses[0][1]}/v1"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def test_an_encoder_is_reached_as_other_endpoints_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(bundle)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    monkeypatch.setenv("ENCODER_KEY", KEY)
    with served(context) as server:
        encoder = ("--encoder", f"{server.url}#m", "--limit-tools", 3, "--threshold", 0.5)
        entry = ("--api-key-env", "ENCODER_KEY", "--header", f"X-Team: {TEAM}", "--ca-bundle", bundle)
        run("graph", "build", *encoder, *entry, "-o", tmp_path / "g")
        assert server.headers[-1]["Authorization"] == f"Bearer {KEY}"
        assert server.headers[-1]["X-Team"] == TEAM
        # A run takes them for its encoder, too; what was fetched is kept, so this is another folder.
        monkeypatch.setenv("TOOLFLOW_CACHE", str(tmp_path / "other"))
        before = len(server.headers)
        synth = ("synth", "-n", 1, "--model", "rehearsal", "--display", "none", "-o", tmp_path / "run")
        run(*synth, *encoder, *entry)
        assert len(server.headers) > before
        assert server.headers[-1]["X-Team"] == TEAM
    for file in filter(Path.is_file, (tmp_path / "run").rglob("*")):
        assert TEAM.encode() not in file.read_bytes()


def test_an_encoder_behind_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with served(context) as server:
        build = ("graph", "build", "--encoder", f"{server.url}", "--limit-tools", 3, "-o", tmp_path / "g")
        assert "certificate" in fail(ConnectionFailedError, *build).message
        result = run(*build, "--insecure")
        assert "certificates are not checked" in result.stderr


def test_what_is_for_endpoints_alone_is_refused_elsewhere(tmp_path: Path) -> None:
    error = fail(UsageError, "graph", "build", "--header", "X: y", "-o", tmp_path / "g")
    assert "are for an encoder at an endpoint" in error.message
    gone = ("--encoder", "http://localhost:9/v1#m", "--api-key-env", "NOT_SET")
    error = fail(UsageError, "graph", "build", *gone, "-o", tmp_path / "g")
    assert error.message.startswith("the environment variable NOT_SET is not set")


def test_what_a_model_refuses_is_told_by_every_command_that_asks_it(tmp_path: Path) -> None:
    told = "note: m takes no temperature there: it is left out for this model."
    run("graph", "build", "--limit-tools", 20, "-o", tmp_path / "g")
    tools = tmp_path / "tools.jsonl"
    tools.write_text('{"name": "f", "description": "", "parameters": {"type": "object"}}\n')
    tune = ("--levels", "1", "--max-calls", 20, "--seconds", 0.1)
    with served() as server:
        endpoint = ("--base-url", server.url, "--model", "m")
        for command in (
            ("graph", "check-links", tmp_path / "g", "-n", 1),
            ("tools", "enrich", tools, "-o", tmp_path / "out.jsonl"),
            ("tune", *tune),
        ):
            assert invoke(*command, *endpoint).stderr.count(told) == 1
        assert any("temperature" not in body for body in server.bodies)


def test_the_defaults_that_help_texts_tell_are_those_that_hold() -> None:
    config = RunConfig()
    shown = " ".join(re.sub(r"[│\s]+", " ", run("synth", "--help").stdout).split())
    for option, value in {
        "-n": config.n,
        "--seed": config.seed,
        "--mistakes": DEFAULT_MISTAKES,
        "--attempt-timeout": config.attempt_timeout,
        "--stream-silence": config.stream_silence,
        "--retries": config.retries,
        "--max-concurrency": config.max_concurrency,
        "--tool-calls": config.tool_calls,
        "--sampler": config.sampler.kind,
    }.items():
        _, _, rest = shown.partition(f" {option} ")
        told = re.search(r"\[default: \(([^)]*)\)\]", rest)
        assert told is not None, option
        assert told[1] == (f"{value:g}" if isinstance(value, float) else str(value)), option


def test_how_long_a_stream_may_be_silent_can_be_set(tmp_path: Path) -> None:
    """A server that begins an answer and stops: the run gives the attempt up after that time."""
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    port = 0

    async def begin(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'data: {"choices": [{"delta": {"content": "Well"}}]}\n\n')
        await stop.wait()
        return response

    async def serve() -> None:
        nonlocal port
        app = web.Application()
        app.router.add_post("/v1/chat/completions", begin)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(30)
    try:
        options = ("--stream", "--stream-silence", 0.05, "--retries", 0, "--max-candidates", 1)
        endpoint = ("--base-url", f"http://127.0.0.1:{port}/v1", "--model", "m", "--tool-calls", "native")
        output = ("-o", tmp_path / "run", "--display", "none")
        result = invoke("synth", "-n", 1, *options, *endpoint, *output)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
    assert result.exit_code == 3
    thrown_out = json.loads((tmp_path / "run" / "rejected.jsonl").read_text())
    assert thrown_out["reason"] == "llm_error"
    assert "0.05 s" in thrown_out["detail"]


def test_an_encoder_that_cannot_be_reached_says_so(tmp_path: Path) -> None:
    options = ("--encoder", "http://127.0.0.1:9/v1", "--limit-tools", 3, "-o", tmp_path / "g")
    error = fail(LLMError, "graph", "build", *options)
    assert "cannot be reached" in error.message
    assert (error.hint or "").startswith("Check the URL")
