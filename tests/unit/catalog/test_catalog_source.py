from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from toolflow.catalog.load import load_catalogue
from toolflow.catalog.source import Source, find_sources
from toolflow.errors import CatalogueError

TOOL = {
    "name": "ping",
    "description": "Pings.",
    "parameters": {"type": "object", "properties": {}},
    "returns": None,
}
LINE = json.dumps(TOOL).encode() + b"\n"


def names(path: Path | str) -> list[str]:
    return [tool.name for tool in load_catalogue([path]).catalogue]


def test_gzip_is_told_by_content(tmp_path: Path) -> None:
    (tmp_path / "tools.jsonl").write_bytes(gzip.compress(LINE))
    (tmp_path / "tools.gz").write_bytes(LINE)
    assert names(tmp_path / "tools.jsonl") == names(tmp_path / "tools.gz") == ["ping"]


def test_a_named_file_may_have_any_ending(tmp_path: Path) -> None:
    (tmp_path / "tools.txt").write_bytes(b"\xef\xbb\xbf" + LINE)
    assert names(str(tmp_path / "tools.txt")) == ["ping"]


def test_a_folder_gives_its_files_sorted(tmp_path: Path) -> None:
    for name in ("b.json", "a/z.jsonl", "c.jsonl.gz", "a.txt", ".hidden.json", ".git/x.json", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"{}")
    sources = list(find_sources([tmp_path]))
    assert [str(Path(source.label).relative_to(tmp_path)) for source in sources] == [
        "a/z.jsonl",
        "b.json",
        "c.jsonl.gz",
    ]
    assert all(source.in_folder for source in sources)


def test_files_of_a_folder_that_are_no_catalogue_are_told(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"name": "x", "version": "1.0"}')
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "tools.jsonl").write_bytes(LINE)
    report = load_catalogue([tmp_path])
    assert report.files == (str(tmp_path / "tools.jsonl"),)
    assert report.ignored == (str(tmp_path / "empty.json"), str(tmp_path / "package.json"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(LINE * 50)[:-12], "gzip data is cut off"),
        (b"\x1f\x8bnonsense", "gzip data is cut off or damaged"),
        (LINE + b'{"name": "caf\xe9"}\n', r"tools.jsonl:2: not UTF-8"),
        (LINE.decode().encode("utf-16"), "looks like UTF-16"),
        (b"", "no tool in .*tools.jsonl"),
        (b"[]", "no tool in .*tools.jsonl"),
        (b'{"foo": 1}', r"tools.jsonl:1: not in a known catalogue format \(an object with 'foo'\)"),
        (b"[1, 2]", r"tools.jsonl:1: must be a JSON object"),
        (b"<html>", r"tools.jsonl:1: not valid JSON"),
    ],
)
def test_a_file_that_is_no_catalogue(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "tools.jsonl"
    path.write_bytes(content)
    with pytest.raises(CatalogueError, match=message) as caught:
        load_catalogue([path], skip_invalid=True)
    assert caught.value.hint


def test_the_unknown_format_hint_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"foo": 1}')
    with pytest.raises(CatalogueError) as caught:
        load_catalogue([tmp_path / "x.json"])
    assert caught.value.hint is not None
    for title in ("canonical JSONL", "OpenAI", "BFCL", "RapidAPI"):
        assert title in caught.value.hint


@pytest.mark.parametrize("path", ["gone.json", "file.json/below.json", "n" * 5000])
def test_a_path_that_is_not_there(tmp_path: Path, path: str) -> None:
    (tmp_path / "file.json").write_text("{}")
    with pytest.raises(CatalogueError, match=r"no such file|cannot be read"):
        load_catalogue([tmp_path / path])


def test_a_folder_without_a_catalogue(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(CatalogueError, match="holds no catalogue"):
        load_catalogue([tmp_path])


def test_no_path_at_all() -> None:
    with pytest.raises(CatalogueError, match="no tool"):
        load_catalogue([])


def test_an_address_is_shown_without_its_secrets() -> None:
    source = Source("https://user:password@host.example:8443/Category/tools.v2.json?key=secret#part")
    assert source.label == "https://host.example:8443/Category/tools.v2.json"
    assert (source.folder, source.stem) == ("Category", "tools")


class _Site(BaseHTTPRequestHandler):
    pages: ClassVar[dict[str, tuple[int, str, bytes]]] = {
        "/tools.jsonl": (200, "application/octet-stream", LINE),
        "/tools.jsonl.gz": (200, "application/gzip", gzip.compress(LINE)),
        "/pets.yaml": (200, "text/yaml", b"openapi: 3.0.0\npaths: {/ping: {get: {operationId: ping}}}\n"),
        "/page": (200, "text/html; charset=utf-8", b"<!doctype html><p>Sign in"),
        "/plain-page": (200, "text/plain", b"\n<html>"),
        "/broken": (500, "text/plain", b"oops"),
    }

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/tools.jsonl")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        status, kind, body = self.pages.get(self.path, (404, "text/plain", b"not here"))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("page", ["/tools.jsonl", "/tools.jsonl.gz", "/moved", "/pets.yaml"])
def test_an_address_is_fetched(site: str, page: str) -> None:
    assert names(f"{site}{page}") == ["ping"]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("/gone?key=secret", r"/gone: cannot be fetched: HTTP 404"),
        ("/broken", "HTTP 500"),
        ("/page", "is a web page"),
        ("/plain-page", "is a web page"),
    ],
)
def test_an_address_that_gives_no_catalogue(site: str, page: str, message: str) -> None:
    with pytest.raises(CatalogueError, match=message) as caught:
        load_catalogue([f"{site}{page}"])
    assert caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/tools.json", "http://[::bad/tools.json", "http:///x"]
)
def test_an_address_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(CatalogueError, match=r"cannot be fetched|not a valid address"):
        load_catalogue([address])
