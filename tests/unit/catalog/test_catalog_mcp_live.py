"""Real MCP servers, each in a process of its own; skipped without the extra ``mcp``."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.invoking import run
from toolflow.catalog.load import load_catalogue
from toolflow.catalog.mcp_client import http_source, stdio_source
from toolflow.errors import CatalogueError, UsageError

pytest.importorskip("mcp", reason="the extra toolflow-synth[mcp] is not installed")

SCRIPT = Path(__file__).with_name("mcp_server_process.py")


def command(*words: str) -> str:
    return shlex.join([sys.executable, *words])


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def address() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "pages", "http"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/mcp"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def test_all_pages_of_a_server_over_stdio() -> None:
    report = load_catalogue([stdio_source(command(str(SCRIPT), "pages"))])
    assert [(tool.name, tool.source) for tool in report.catalogue] == [
        ("tool_0", "pages"),
        ("tool_1", "pages"),
        ("tool_2", "pages"),
    ]
    assert report.formats == {"mcp": 3}
    assert report.files == ("mcp:pages",)


def test_all_pages_of_a_server_over_http(address: str) -> None:
    assert len(load_catalogue([http_source(address)]).catalogue) == 3


def test_the_command_takes_servers_beside_files(tmp_path: Path) -> None:
    output = tmp_path / "tools.jsonl"
    result = run("tools", "import", "--mcp-stdio", command(str(SCRIPT), "pages"), "-o", output)
    assert "mcp 3" in result.stdout
    assert len(load_catalogue([output]).catalogue) == 3


def test_a_server_that_dies_is_told_with_its_last_words() -> None:
    with pytest.raises(CatalogueError, match="its last words: the disk is full"):
        stdio_source(command(str(SCRIPT), "dies"))


def test_pages_that_lead_in_a_circle_are_refused() -> None:
    with pytest.raises(CatalogueError, match="leads back to itself"):
        stdio_source(command(str(SCRIPT), "loop"))


def test_a_server_that_never_answers_runs_out_of_time() -> None:
    silent = command("-c", "import sys; sys.stdin.read()", "--key=secret")
    with pytest.raises(CatalogueError, match=r"gave no list of tools within 0\.3 s") as caught:
        stdio_source(silent, timeout_seconds=0.3)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("words", [("-c", "print('hello')"), ("-c", "raise SystemExit(2)")])
def test_a_command_that_is_no_server(words: tuple[str, ...]) -> None:
    with pytest.raises(CatalogueError, match="Connection closed"):
        stdio_source(command(*words))


def test_a_command_that_does_not_exist() -> None:
    with pytest.raises(CatalogueError, match="cannot be started: No such file"):
        stdio_source("toolflow-no-such-command --flag")


def test_an_address_where_nobody_listens() -> None:
    with pytest.raises(CatalogueError, match=r"http://127\.0\.0\.1:9/mcp"):
        http_source("http://user:secret@127.0.0.1:9/mcp?key=secret")


@pytest.mark.parametrize("text", ["", "  ", "server 'unclosed"])
def test_a_command_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="the command of the MCP server"):
        stdio_source(text)


def test_an_address_that_is_none() -> None:
    with pytest.raises(UsageError, match="must begin with http"):
        http_source("localhost:8000/mcp")
