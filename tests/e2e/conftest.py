"""The installed command in a subprocess, as a user runs it, and runs that many tests look at."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import pytest

from tests.e2e.commands import COMMAND, Command, Start, environment
from tests.e2e.runs import FEW, Reference, Run, play_uninterrupted, serve, until


@pytest.fixture(scope="session")
def command() -> Command:
    """Run ``toolflow`` with arguments; never raises for its exit code."""

    def run(*arguments: object, seconds: float = 100, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=environment() | changes,
            timeout=seconds,
            check=False,
        )

    return run


@contextmanager
def starting() -> Generator[Start]:
    """A way to start ``toolflow`` in the background; what still runs at the end is killed."""
    with ExitStack() as ends:

        def end(process: subprocess.Popen[str]) -> None:
            if process.poll() is None:
                process.kill()
            process.communicate()

        def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
            streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            process = subprocess.Popen(
                [COMMAND, *map(str, arguments)], text=True, env=environment(), **streams | options
            )
            ends.callback(end, process)
            return process

        yield start


@pytest.fixture
def start() -> Iterator[Start]:
    """Start ``toolflow`` in the background, until the end of the test at most."""
    with starting() as start:
        yield start


@pytest.fixture(scope="session")
def start_for_all() -> Iterator[Start]:
    """Start ``toolflow`` in the background, for fixtures that many tests share."""
    with starting() as start:
        yield start


@pytest.fixture(scope="session")
def uninterrupted(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Reference]:
    """Runs of so many dialogues that nothing happened to; each number is played once."""

    @cache
    def played(dialogues: int) -> Reference:
        return play_uninterrupted(command, tmp_path_factory.mktemp("uninterrupted") / "run", dialogues)

    return played


@pytest.fixture(scope="session")
def killed(start_for_all: Start, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of few dialogues, killed in the middle with calls in its log; to be copied, not continued."""
    run = Run(tmp_path_factory.mktemp("killed") / "run", FEW, serve(start_for_all, "--latency", 0.01))
    process = start_for_all(*run.arguments)
    assert until(process, lambda: run.line_count() >= 4)
    process.kill()
    process.wait(20)
    assert (run.folder / "journal.sqlite-wal").stat().st_size > 40_000
    return run
