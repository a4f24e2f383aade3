"""Whole runs of the installed command in each protocol, streamed and not: the data set is the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.commands import Command, Start
from tests.e2e.runs import Server, serve

KEY = "sk-ant-very-secret-0123456789"
TOKEN = "team-token-9876543210"


@pytest.fixture(scope="module")
def server(start_for_all: Start) -> Server:
    return serve(start_for_all, "--mistakes", 0.1)


def lines(run: Path, name: str = "dialogues.jsonl") -> list[str]:
    """Dialogues are written as they end; in order of their index they are what they are."""
    return sorted((run / name).read_text().splitlines())


WAYS = [
    ("openai",),
    ("openai", "--stream"),
    ("anthropic",),
    ("anthropic", "--stream"),
]


def test_every_protocol_gives_the_same_data_set(command: Command, server: Server, tmp_path: Path) -> None:
    made: list[list[str]] = []
    for way in WAYS:
        run = tmp_path / "-".join(way)
        done = command(
            *("synth", "--base-url", server.url, "--api", *way, "-n", 4, "-o", run, "--display", "none"),
            *("--header", f"X-Team: {TOKEN}"),
            ANTHROPIC_API_KEY=KEY,
            OPENAI_API_KEY=KEY,
        )
        assert done.returncode == 0, done.stderr
        assert KEY not in done.stdout + done.stderr
        assert TOKEN not in done.stdout + done.stderr
        for file in filter(Path.is_file, run.rglob("*")):
            content = file.read_bytes()
            assert KEY.encode() not in content, file
            assert TOKEN.encode() not in content, file
        made.append([*lines(run), *lines(run, "rejected.jsonl")])
    assert made[1:] == made[:1] * 3
    assert len(made[0]) >= 4


def test_calls_through_json_are_the_same_too(command: Command, server: Server, tmp_path: Path) -> None:
    made: list[list[str]] = []
    for way in (WAYS[0], WAYS[3]):
        run = tmp_path / "-".join(way)
        done = command(
            *("synth", "--base-url", server.url, "--api", *way, "-n", 3, "-o", run, "--display", "none"),
            *("--tool-calls", "json"),
        )
        assert done.returncode == 0, done.stderr
        made.append(lines(run))
    assert made[0] == made[1]


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_streams_that_break_cost_attempts_and_nothing_else(
    command: Command, start: Start, server: Server, tmp_path: Path, api: str
) -> None:
    faults = "cut=0.03,truncate=0.03,overloaded=0.03,reset=0.01"
    broken = serve(start, "--mistakes", 0.1, "--faults", faults)
    made: list[list[str]] = []
    for one in (server, broken):
        run = tmp_path / f"{len(made)}"
        done = command(
            *("synth", "--base-url", one.url, "--api", api, "--stream", "-n", 3, "-o", run),
            *("--display", "none"),
        )
        assert done.returncode == 0, done.stderr
        made.append(lines(run))
    assert made[0] == made[1]
    assert sum(broken.counters()["faults"].values()) > 0


def test_limits_are_learned_from_anthropics_headers(command: Command, start: Start, tmp_path: Path) -> None:
    """Output tokens run out first; nobody told, the headers do, and hardly a call is refused."""
    limited = serve(start, "--input-tpm", 2_000_000, "--output-tpm", 20_000, "--window", "bucket")
    done = command(
        *("synth", "--base-url", limited.url, "--api", "anthropic", "-n", 4, "-o", tmp_path / "run"),
        *("--display", "none", "--json"),
    )
    assert done.returncode == 0, done.stderr
    counted = limited.counters()
    assert counted["rate_limited"] <= 0.02 * counted["requests"]


def test_a_claude_model_goes_to_anthropic(command: Command, server: Server, tmp_path: Path) -> None:
    done = command(
        *("synth", "--model", "claude-haiku-4-5", "-n", 1, "-o", tmp_path / "run", "--display", "none"),
        ANTHROPIC_API_KEY=KEY,
        ANTHROPIC_BASE_URL=server.url.removesuffix("/v1"),
    )
    assert done.returncode == 0, done.stderr
    assert "does not list the model 'claude-haiku-4-5'" in done.stderr


@pytest.mark.parametrize("line", ["no colon secret", ": secret", "a b: secret"])
def test_a_header_that_is_none_is_refused_unshown(command: Command, line: str) -> None:
    done = command("synth", "--header", line, "--dry-run")
    assert done.returncode == 2
    assert "is no header" in done.stderr
    assert "secret" not in done.stderr
