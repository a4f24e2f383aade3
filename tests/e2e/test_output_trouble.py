"""Output that takes nothing, is closed, or has another encoding; paths that no system takes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.commands import COMMAND, environment
from toolflow.catalog.load import load_sample
from toolflow.catalog.tool import Tool
from toolflow.catalog.write import write_canonical

FULL = Path("/dev/full")


def shell(line: str, **changes: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line in a shell, in which ``toolflow`` is the installed command."""
    path = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        env=environment() | {"PATH": path} | changes,
        timeout=100,
        check=False,
    )


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", ["tools list", "tools list --json", "graph export", "--help"])
def test_a_full_disk_is_told(arguments: str) -> None:
    done = shell(f"toolflow {arguments} > {FULL}")
    assert done.returncode == 1
    assert b"the output cannot be written: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    done = shell(f"toolflow synth -n 2 -o {folder}")
    assert done.returncode == 0, done.stderr
    return folder


def test_devices_are_written_to_and_stay_devices(run: Path, tmp_path: Path) -> None:
    lines = (run / "dialogues.jsonl").read_bytes().count(b"\n")
    for name in ("/dev/stdout", "-"):
        piped = shell(f"toolflow export {run} -o {name} | cat")
        assert [*json.loads(piped.stdout.splitlines()[0])] == ["messages", "tools"]
        assert piped.stdout.count(b"\n") == lines
        assert b"2 dialogues written to" in piped.stderr
    assert b"rror" not in shell(f"toolflow export {run} -o - | head -c 1").stderr
    appended = tmp_path / "appended"
    shell(f"for i in 1 2; do toolflow export {run} -o /dev/stdout >> {appended}; done")
    assert appended.read_bytes().count(b'"messages"') == 2 * lines
    if FULL.exists():
        full = shell(f"toolflow export {run} -o {FULL}")
        assert full.returncode != 0
        assert b"No space left on device" in full.stderr
        assert FULL.is_char_device()


def test_the_data_set_of_a_run_is_not_written_over(run: Path) -> None:
    before = (run / "dialogues.jsonl").read_bytes()
    done = shell(f"toolflow export {run} -o {run}/dialogues.jsonl")
    assert done.returncode == 2
    assert b"is the run's own data set" in done.stderr
    assert (run / "dialogues.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ('synth -n 2 -o ""', "what follows -o"),
        ("synth -n 2 --output=", "--output"),
        ('tools list ""', "what follows list"),
    ],
)
def test_an_empty_argument_is_no_folder(arguments: str, place: str, tmp_path: Path) -> None:
    done = shell(f"cd {tmp_path} && toolflow {arguments}")
    assert done.returncode == 2
    assert f"error: {place} is empty".encode() in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", ["tools list", "graph export"])
def test_nobody_has_to_listen(arguments: str) -> None:
    done = shell(f"toolflow {arguments} >&-")
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_characters_that_an_encoding_lacks_are_spelt_out(encoding: str, tmp_path: Path) -> None:
    catalogue = tmp_path / "tools.jsonl"
    described = "Gibt Züge → Köln 🚆."
    write_canonical([*load_sample().tools[:2], Tool("züge", described, {"type": "object"})], catalogue)
    said = shell(f"toolflow tools list {catalogue}", PYTHONIOENCODING=encoding)
    assert said.returncode == 0, said.stderr
    assert rb"\u2192" in said.stdout
    # JSON is UTF-8 everywhere.
    said = shell(f"toolflow tools list --json {catalogue}", PYTHONIOENCODING=encoding)
    assert json.loads(said.stdout.decode())[-1]["description"] == described


@pytest.mark.parametrize("arguments", ["synth -o", "graph stats", "explain", "tools list"])
def test_a_name_that_is_too_long_is_told(arguments: str) -> None:
    done = shell(f"toolflow {arguments} {'x' * 300}")
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert b"File name too long" in done.stderr
