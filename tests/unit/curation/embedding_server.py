"""A real embedding server on loopback, in a thread of its own, that answers as it is told."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from toolflow.llm.endpoint import Endpoint

KEY = "sk-very-secret-0123456789"

Answer = Callable[[Sequence[str]], tuple[int, Any]]
"""Status and body (JSON, or bytes as they are) for a batch of texts."""


def vector(text: str) -> list[float]:
    """Four numbers that belong to the text, not of unit length."""
    return [float(byte) + 1 for byte in hashlib.blake2b(text.encode(), digest_size=4).digest()]


def good(texts: Sequence[str]) -> tuple[int, Any]:
    """What a well-behaved server answers, last text first."""
    rows = [
        {"object": "embedding", "index": place, "embedding": vector(text)} for place, text in enumerate(texts)
    ]
    return 200, {"object": "list", "data": rows[::-1], "model": "m", "usage": {"prompt_tokens": 1}}


class EmbeddingServer:
    """Use as a context manager.

    Attributes:
        answer: Decides what is answered; may be changed at any time.
        asked: The batches so far.
        headers: The headers of the last request.
        most_in_flight: The most requests that were there at once.
    """

    def __init__(self, answer: Answer = good) -> None:
        self.answer = answer
        self.asked: list[list[str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.most_in_flight = 0
        self._in_flight = 0
        self._lock = threading.Lock()

    def __enter__(self) -> EmbeddingServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer._handle(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
                """Tests print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.endpoint = Endpoint(f"http://127.0.0.1:{self._server.server_port}/v1", KEY)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def asked_texts(self) -> list[str]:
        """All texts that were asked for, repeats included."""
        return [text for batch in self.asked for text in batch]

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        with self._lock:
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
            self.asked.append(body["input"])
            self.bodies.append(body)
            self.headers = dict(request.headers)
        status, answer = (404, {}) if request.path != "/v1/embeddings" else self.answer(body["input"])
        raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        with self._lock:
            self._in_flight -= 1
        request.send_response(status)
        request.send_header("Content-Length", str(len(raw)))
        request.end_headers()
        request.wfile.write(raw)
