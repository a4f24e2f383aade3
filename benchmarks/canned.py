"""A server of one canned chat completion: the least CPU that an endpoint can take beside its client.

    python -m benchmarks.canned SECONDS

It answers each POST after so many seconds, prints its port, and ends when its standard input is closed; then
it prints how many it has answered. It reads of a request no more than where its body ends.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, cast

import psutil

from toolflow.runtime.loop import run

_BODY: Final = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "rehearsal",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "It is 21 degrees in Oslo, with a clear sky."},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 400, "completion_tokens": 12, "total_tokens": 412},
    }
).encode()
_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
    b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: canned\r\nContent-Length: %d\r\n\r\n"
    % len(_BODY)
    + _BODY
)
_LENGTH: Final = b"\r\nContent-Length: "


class _Counter:
    answered = 0


class _Connection(asyncio.Protocol):
    """One request at a time, as clients without pipelining send them."""

    def __init__(self, seconds: float, counter: _Counter) -> None:
        self._seconds = seconds
        self._counter = counter
        self._read = bytearray()
        self._wanted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._read += data
        if not self._wanted:
            head = self._read.find(b"\r\n\r\n")
            if head < 0:
                return
            length = self._read.index(_LENGTH) + len(_LENGTH)
            self._wanted = head + 4 + int(self._read[length : self._read.index(b"\r", length)])
        if len(self._read) >= self._wanted:
            assert len(self._read) == self._wanted, "a second request came before the first was answered"
            self._read.clear()
            self._wanted = 0
            self._loop.call_later(self._seconds, self._answer)

    def _answer(self) -> None:
        self._counter.answered += 1
        self._transport.write(_ANSWER)


async def _serve(seconds: float) -> None:
    counter = _Counter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(seconds, counter), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
    print(counter.answered, flush=True)


class CannedServer:
    """A running server. ``url`` is its base URL."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._process = process
        self.url = f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        self._started = self._cpu_seconds()

    def cpu_seconds(self) -> float:
        """What it has taken so far, its start aside."""
        return self._cpu_seconds() - self._started

    def _cpu_seconds(self) -> float:
        used = psutil.Process(self._process.pid).cpu_times()
        return used.user + used.system

    def stop(self) -> int:
        """End it; how many requests it has answered."""
        return int(self._process.communicate(timeout=30)[0])


@contextmanager
def canned_server(seconds: float) -> Generator[CannedServer]:
    """A server in a process of its own, which answers after so many seconds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.canned", str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield CannedServer(process)
    finally:
        process.kill()
        process.wait(30)


if __name__ == "__main__":
    run(_serve(float(sys.argv[1])))
