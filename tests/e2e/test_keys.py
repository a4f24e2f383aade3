"""A live run on a terminal of its own, steered by keys."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from pathlib import Path

from tests.e2e.commands import COMMAND, Start, environment
from tests.e2e.runs import serve

SECONDS = 60


class Terminal:
    """A pseudo terminal that a command runs on, in its foreground."""

    def __init__(self, *arguments: object) -> None:
        self.main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.side = side
        self.before = termios.tcgetattr(side)
        self.seen = ""
        self.process = subprocess.Popen(
            [COMMAND, *map(str, arguments)],
            stdin=side,
            stdout=side,
            stderr=side,
            env=environment() | {"TERM": "xterm-256color"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  before any thread
        )

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + SECONDS
        while text not in self.seen:
            assert self.read(deadline - time.monotonic()), f"{text!r} was never shown:\n{self.seen[-3000:]}"

    def read(self, seconds: float) -> bool:
        if not select.select([self.main], [], [], max(seconds, 0))[0]:
            return False
        self.seen += os.read(self.main, 65_536).decode("utf-8", "replace")
        return True

    def press(self, keys: str) -> None:
        os.write(self.main, keys.encode())

    def ends(self) -> int:
        deadline = time.monotonic() + SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            self.read(0.1)
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.main)
        os.close(self.side)


def test_keys_change_the_limit_pause_and_stop(start: Start, tmp_path: Path) -> None:
    server = serve(start, "--latency", 0.1)
    terminal = Terminal(
        *(
            "synth",
            "--base-url",
            server.url,
            "-n",
            500,
            "-o",
            tmp_path / "run",
            "--max-concurrency",
            8,
            "--stream",
        )
    )
    try:
        terminal.wait_for("q stop")
        assert termios.tcgetattr(terminal.side) != terminal.before
        terminal.wait_for("goal 1 of")
        terminal.press("+")
        terminal.wait_for("limit 10 by hand")
        terminal.press("p")
        terminal.wait_for("PAUSED")
        terminal.press("\x1b[C")
        terminal.press("q")
        terminal.wait_for("in flight finish first. Once more to stop at once")
        assert terminal.ends() == 130
        assert termios.tcgetattr(terminal.side) == terminal.before
    finally:
        terminal.close()
