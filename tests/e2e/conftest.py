"""The installed command in a subprocess, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

COMMAND = Path(sys.executable).with_name("toolflow")

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def environment() -> dict[str, str]:
    """The caller's, without what would point at an endpoint or a proxy."""
    unwanted = {"OPENAI_API_KEY", "OPENAI_BASE_URL"}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in unwanted and not name.lower().endswith("_proxy")
    } | {"COLUMNS": "200"}


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


@pytest.fixture(scope="session")
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``toolflow`` in the background; killed at the end at the latest."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: object, **options: Any) -> subprocess.Popen[str]:
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [COMMAND, *map(str, arguments)],
            text=True,
            env=environment(),
            **streams | options,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
