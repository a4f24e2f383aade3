"""Forks."""

from __future__ import annotations

from pathlib import Path

from toolflow.journal.run_directory import RunDirectory


def begin_fork(run: RunDirectory, origin: Path) -> None:
    """Not yet."""
    del run, origin
