"""Bad input: a clear message, the documented exit code, never a traceback, nothing finished lost."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.e2e.commands import Command
from tests.e2e.validation import lines

TOOL = {"name": "get_weather", "description": "Weather.", "parameters": {"type": "object", "properties": {}}}


def jsonl(*tools: object) -> bytes:
    return "".join(json.dumps(tool) + "\n" for tool in tools).encode()


CATALOGUES: dict[str, tuple[bytes, str]] = {
    "truncated.jsonl.gz": (gzip.compress(jsonl(TOOL) * 500)[:-20], "truncated.jsonl.gz"),
    "broken.jsonl": (jsonl(TOOL) + b'{"name": "x", \n', "broken.jsonl:2"),
    "not_json.txt": (b"hello there\n", "not_json.txt"),
    "duplicates.jsonl": (jsonl(TOOL, TOOL), "get_weather"),
    "empty.jsonl": (b"", "empty.jsonl"),
    "latin1.jsonl": (jsonl(TOOL).replace(b"Weather.", b"caf\xe9"), "latin1.jsonl"),
    "bad_type.jsonl": (jsonl({**TOOL, "parameters": {"type": "string"}}), "bad_type.jsonl:1"),
    "nowhere.jsonl": (
        jsonl({**TOOL, "parameters": {"type": "object", "properties": {"a": {"$ref": "#/$defs/gone"}}}}),
        "nowhere.jsonl:1",
    ),
}


@pytest.mark.parametrize("name", CATALOGUES)
def test_a_wrong_catalogue_is_named(name: str, command: Command, tmp_path: Path) -> None:
    content, expected = CATALOGUES[name]
    (tmp_path / name).write_bytes(content)
    done = command("synth", "--tools", tmp_path / name, "-n", 2, "-o", tmp_path / "run")
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_missing_catalogue_is_named(command: Command, tmp_path: Path) -> None:
    done = command("synth", "--tools", tmp_path / "gone.jsonl", "-o", tmp_path / "run")
    assert done.returncode == 2
    assert "gone.jsonl" in done.stderr
    assert "Traceback" not in done.stderr


CYCLE = {
    "type": "object",
    "properties": {"node": {"$ref": "#/$defs/node"}},
    "$defs": {"node": {"type": "object", "properties": {"child": {"$ref": "#/$defs/node"}}}},
}


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "no_parameters", "description": "Takes nothing."},
        {"name": "cycle", "description": "A tree.", "parameters": CYCLE, "returns": CYCLE},
    ],
    ids=lambda tool: str(tool["name"]),
)
def test_odd_but_right_tools_are_played(tool: dict[str, object], command: Command, tmp_path: Path) -> None:
    (tmp_path / "tools.jsonl").write_bytes(jsonl(tool, {**TOOL, "name": "other"}))
    done = command("synth", "--tools", tmp_path / "tools.jsonl", "-n", 2, "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert len(lines(tmp_path / "run" / "dialogues.jsonl")) == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("n: [", "not valid YAML"),
        ("n: many", "n: Input should be a valid integer"),
        ("colour: red", "colour: there is no such setting"),
        ("dialogue: {fewest_goals: 9}", "fewest_goals is above most_goals"),
        ("- a list", "must hold fields"),
    ],
)
def test_a_wrong_config_is_named(content: str, expected: str, command: Command, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(content)
    done = command("synth", "--config", tmp_path / "config.yaml", "-o", tmp_path / "run")
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextmanager
def endpoint(complete: Handler, *, models: Handler | None = None) -> Generator[str]:
    """A real server on loopback that behaves as told; its base URL."""

    async def listing(_request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})

    ready, loop, address = threading.Event(), asyncio.new_event_loop(), ""

    async def serve() -> None:
        nonlocal address
        app = web.Application(client_max_size=2**26)
        app.router.add_get("/v1/models", models or listing)
        app.router.add_post("/v1/chat/completions", complete)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield address
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def completion(message: dict[str, object]) -> web.Response:
    return web.json_response(
        {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}]}
    )


def error(status: int, message: str, code: str | None = None) -> web.Response:
    return web.json_response({"error": {"message": message, "code": code, "type": "error"}}, status=status)


async def html(_request: web.Request) -> web.Response:
    return web.Response(text="<html><body>Welcome to the portal</body></html>", content_type="text/html")


async def unauthorized(_request: web.Request) -> web.Response:
    return error(401, "Incorrect API key provided", "invalid_api_key")


async def too_long(_request: web.Request) -> web.Response:
    message = "This model's maximum context length is 4096 tokens, however you requested 9000"
    return error(400, message, "context_length_exceeded")


async def no_choice(_request: web.Request) -> web.Response:
    return web.json_response({"choices": []})


async def nonsense(_request: web.Request) -> web.Response:
    return completion({"content": "I would rather talk about the weather."})


def test_an_endpoint_that_refuses_connections(command: Command, tmp_path: Path) -> None:
    done = command("synth", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "-o", tmp_path / "run")
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("handler", "expected"), [(html, "HTML"), (unauthorized, "OPENAI_API_KEY")], ids=["html", "401"]
)
def test_an_endpoint_that_is_none(handler: Handler, expected: str, command: Command, tmp_path: Path) -> None:
    with endpoint(handler, models=handler) as url:
        done = command("synth", "--base-url", url, "--model", "m", "-o", tmp_path / "run")
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("handler", "code", "reason"),
    [
        (too_long, 3, "context_length"),
        (no_choice, 3, "llm_error"),
        (nonsense, 3, "invalid_plan"),
    ],
    ids=["context length", "empty choice", "nonsense"],
)
def test_calls_that_fail_are_counted_by_reason(
    handler: Handler, code: int, reason: str, command: Command, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with endpoint(handler) as url:
        arguments = ("--base-url", url, "--model", "m", "--tool-calls", "native", "--max-candidates", 3)
        done = command("synth", "-n", 3, "-o", run, *arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert {line["reason"] for line in lines(run / "rejected.jsonl")} == {reason}
    assert json.loads((run / "summary.json").read_text())["dialogues"]["failed"] == 3


def test_a_key_that_is_revoked_in_mid_run_loses_nothing(command: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with endpoint(unauthorized) as url:
        arguments = ("--base-url", url, "--model", "rehearsal", "--tool-calls", "native")
        first = command("synth", "-n", 3, "-o", run, "--model", "rehearsal")
        assert first.returncode == 0
        before = (run / "dialogues.jsonl").read_bytes()
        done = command("synth", "-n", 6, "-o", run, *arguments, OPENAI_API_KEY="sk-very-secret-key")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "sk-very-secret-key" not in done.stderr
    assert (run / "dialogues.jsonl").read_bytes() == before
    assert all(b"very-secret" not in path.read_bytes() for path in run.rglob("*") if path.is_file())


def test_malformed_tool_calls_are_mended_or_counted(command: Command, tmp_path: Path) -> None:
    """The rehearsal model, made to err often: what cannot be mended is thrown out, what stays is valid."""
    run = tmp_path / "run"
    done = command("synth", "-n", 10, "-o", run, "--mistakes", 0.2, "--max-candidates", 200)
    assert done.returncode == 0, done.stderr
    dialogues = lines(run / "dialogues.jsonl")
    assert len(dialogues) == 10
    assert sum(line["metadata"]["repairs"] for line in dialogues) > 0
    assert lines(run / "rejected.jsonl")


def test_an_unusable_run_directory_is_named(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = command("synth", "-n", 1, "-o", tmp_path / "file" / "run")
    assert done.returncode == 2
    assert "file/run" in done.stderr
    assert "Traceback" not in done.stderr
