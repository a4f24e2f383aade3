"""Ctrl-C in commands other than synth: exit code 130, no traceback, nothing that was paid for is lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e.commands import Command, Start, environment
from tests.e2e.runs import until
from tests.e2e.validation import lines


def test_ctrl_c_while_modules_load(tmp_path: Path) -> None:
    """The first tenths of a second pass with imports; a module that is interrupted stands for them."""
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    done = subprocess.run(
        [sys.executable, "-m", "toolflow", "--help"],
        env=environment() | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130
    assert done.stderr == ""


def test_ctrl_c_while_the_rehearsal_model_evolves_tools(
    command: Command, start: Start, tmp_path: Path
) -> None:
    """It answers without ever waiting: the work must let the loop see the signal all the same."""
    tools, output = tmp_path / "tools.json", tmp_path / "out.jsonl"
    tools.write_text(command("tools", "list", "--json").stdout)
    process = start("tools", "enrich", tools, "-o", output, "--evolve", 20_000)
    assert process.stderr is not None
    process.stderr.readline()  # the notice that the rehearsal model answers
    unfinished = tmp_path / "out.jsonl.part"
    assert until(process, unfinished.exists)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "The same command goes on from here" in told
    assert "Traceback" not in told
    assert 0 < len(lines(unfinished)) < 20_000


def test_ctrl_c_while_tool_sets_are_drawn(start: Start) -> None:
    process = start("graph", "sample", "-n", 10**9, "--json")
    assert process.stdout is not None
    json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in told
