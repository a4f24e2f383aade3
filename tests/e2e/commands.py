"""The installed command, and where it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

COMMAND = Path(sys.executable).with_name("toolflow")

Command = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs ``toolflow`` with arguments to its end."""

Start = Callable[..., "subprocess.Popen[str]"]
"""Starts ``toolflow`` with arguments in the background."""


def environment() -> dict[str, str]:
    """That of the tests, without proxies, and wide enough for whole lines."""
    rest = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return rest | {"COLUMNS": "200"}
