"""Runs of the installed command against a rehearsal provider that stays up, and what is left of them."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.commands import Command, Start
from tests.e2e.validation import lines

LOOK_EVERY = 0.004  # seconds between two looks at a process
FEW = 12  # dialogues of runs that are damaged


@dataclass(frozen=True, slots=True)
class Server:
    """A rehearsal provider in a process of its own; its counters tell what it was asked."""

    url: str

    def counters(self) -> dict[str, Any]:
        address = self.url.removesuffix("/v1") + "/rehearsal/counters"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=20) as answer:
            counted: dict[str, Any] = json.loads(answer.read())
            return counted

    def count(self, name: str) -> int:
        return int(self.counters()[name])

    def settled(self) -> dict[str, Any]:
        """The counters once the server has noticed that its clients are gone."""
        end = time.monotonic() + 20
        while True:
            counters = self.counters()
            if not counters["in_flight"]:
                return counters
            assert time.monotonic() < end, "the server still works for somebody"
            time.sleep(LOOK_EVERY)


def serve(start: Start, *options: object) -> Server:
    process = start("provider", "--port", 0, *options)
    assert process.stdout is not None
    url = re.search(r"http://\S+", process.stdout.readline())
    assert url is not None
    return Server(url[0])


@dataclass(frozen=True, slots=True)
class Run:
    """One synth command, to be given again and again."""

    folder: Path
    dialogues: int
    server: Server
    concurrency: int = 8

    @property
    def arguments(self) -> tuple[object, ...]:
        return (
            *("synth", "-n", self.dialogues, "-o", self.folder, "--display", "none"),
            *("--model", "rehearsal", "--base-url", self.server.url, "--tool-calls", "native"),
            *("--max-concurrency", self.concurrency),
        )

    def at(self, other: Server) -> tuple[object, ...]:
        """The arguments that send the same run to another server."""
        return tuple(other.url if argument == self.server.url else argument for argument in self.arguments)

    def size(self) -> int:
        """Of dialogues.jsonl."""
        try:
            return (self.folder / "dialogues.jsonl").stat().st_size
        except FileNotFoundError:
            return 0

    def line_count(self) -> int:
        """Of dialogues.jsonl."""
        file = self.folder / "dialogues.jsonl"
        return file.read_bytes().count(b"\n") if file.exists() else 0

    def journalled(self) -> int:
        """Calls in the journal."""
        try:
            with closing(
                sqlite3.connect(f"file:{self.folder / 'journal.sqlite'}?mode=ro", uri=True)
            ) as journal:
                return int(journal.execute("SELECT count(*) FROM calls").fetchone()[0])
        except sqlite3.OperationalError:  # it was killed before it made one
            return 0

    def summary(self) -> dict[str, Any]:
        """What summary.json says; nothing where it is not there."""
        try:
            summary: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        except FileNotFoundError:
            return {}
        return summary

    def copied(self, folder: Path) -> Run:
        """The same run in another folder, as it stands."""
        shutil.copytree(self.folder, folder)
        return Run(folder, self.dialogues, self.server, self.concurrency)


@dataclass(frozen=True, slots=True)
class Reference:
    """A run that nothing happened to.

    Attributes:
        folder: Where it is; to be copied, not changed.
        exported: Its exported file.
        calls: How many it completed.
        size: Of dialogues.jsonl, whatever the order of its lines.
    """

    folder: Path
    exported: bytes
    calls: int
    size: int


def play_uninterrupted(command: Command, folder: Path, dialogues: int) -> Reference:
    done = command("synth", "-n", dialogues, "-o", folder, "--display", "none")
    assert done.returncode == 0, done.stderr
    summary = json.loads((folder / "summary.json").read_text())
    size = (folder / "dialogues.jsonl").stat().st_size
    return Reference(folder, exported(command, folder), int(summary["calls"]["completed"]), size)


def exported(command: Command, folder: Path) -> bytes:
    file = folder.with_name(folder.name + ".exported.jsonl")
    done = command("export", folder, "-o", file)
    assert done.returncode == 0, done.stderr
    return file.read_bytes()


def until(process: subprocess.Popen[str], condition: Callable[[], bool], seconds: float = 90) -> bool:
    """Wait for a condition; False when the process has ended first."""
    end = time.monotonic() + seconds
    while process.poll() is None:
        if condition():
            return True
        assert time.monotonic() < end, "the run came to a halt"
        time.sleep(LOOK_EVERY)
    return False


def finish(start: Start, run: Run, *options: object) -> str:
    """Continue a run to its end; what it said."""
    process = start(*run.arguments, *options)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    return said + errors


def assert_each_index_once(folder: Path, dialogues: int) -> None:
    ids = [line["id"] for line in lines(folder / "dialogues.jsonl")]
    assert len(ids) == len(set(ids)) == dialogues
