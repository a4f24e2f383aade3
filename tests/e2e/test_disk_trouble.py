"""Disks that are full, and folders that cannot be written."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.commands import Command, Start
from tests.e2e.runs import Reference, Run, assert_each_index_once, exported, finish, serve

DIALOGUES = 20
FAILURE = 1
USAGE = 2


@pytest.fixture(scope="module")
def reference(uninterrupted: Callable[[int], Reference]) -> bytes:
    """The exported file of a run that nothing happened to."""
    return uninterrupted(DIALOGUES).exported


@pytest.mark.parametrize("most", [30_000, pytest.param(150_000, marks=pytest.mark.slow)])
def test_files_that_cannot_grow(
    command: Command, start: Start, tmp_path: Path, reference: bytes, most: int
) -> None:
    """Python ignores SIGXFSZ, so that a write beyond the limit fails as on a full disk, with EFBIG."""
    run = Run(tmp_path / "run", DIALOGUES, serve(start))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    process = start(*run.arguments, preexec_fn=limit)
    _, said = process.communicate(timeout=60)
    assert process.returncode in {FAILURE, USAGE}, said
    assert "Traceback" not in said
    assert "run" in said
    finish(start, run)
    assert exported(command, run.folder) == reference
    assert_each_index_once(run.folder, DIALOGUES)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(command: Command, start: Start, small_disk: Path, reference: bytes) -> None:
    run = Run(small_disk / "run", DIALOGUES, serve(start))
    process = start(*run.arguments)
    _, said = process.communicate(timeout=60)
    assert process.returncode in {FAILURE, USAGE}, said
    assert "Traceback" not in said
    subprocess.run(["mount", "-o", "remount,size=50m", small_disk], check=True)
    finish(start, run)
    assert exported(command, run.folder) == reference


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to a read-only folder")
def test_a_read_only_folder(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    done = command("synth", "-n", 3, "-o", folder / "run")
    assert done.returncode in {FAILURE, USAGE}
    assert "Traceback" not in done.stderr
    assert str(folder) in done.stderr.replace("\n", "")
