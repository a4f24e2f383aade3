"""Judges dialogues from their journal, by several processes where that pays."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from toolflow.journal.lines import encode_line
from toolflow.journal.replay import state_of
from toolflow.rework.replay import Replayed, Rework, Whole
from toolflow.runtime.loop import run

_WORTH_A_PROCESS: Final = 400
"""Dialogues that take longer than a process needs to get ready."""


class Standing(NamedTuple):
    """Where a dialogue stands.

    Attributes:
        state: ``accepted``, ``rejected``, ``failed``, ``unfinished`` or ``missing``: in no file.
        reason: Why it was thrown out; empty where it was not.
    """

    state: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.state} ({self.reason})" if self.reason else self.state


@dataclass(frozen=True, slots=True)
class Judged:
    """What a process reports of a dialogue; its line only where it is another one than before."""

    index: int
    whole: Whole
    detail: str
    standing: Standing | None
    line: bytes | None


Task = Sequence[tuple[int, bytes]]
"""Indices of dialogues, each with the digest of its line."""


def digest_of(line: bytes) -> bytes:
    """Stands for a line, so that only lines that change travel between processes."""
    return hashlib.blake2b(line, digest_size=16).digest()


def standing_of(stage: str, reason: str) -> Standing:
    """Where a dialogue stands that was thrown out."""
    return Standing(state_of(stage), reason)


def judge_all(rework: Rework, tasks: Sequence[Task], processes: int) -> Generator[list[Judged]]:
    """Judge dialogues, and report in the order of the tasks.

    Args:
        rework: The run; used as it is where one process does the work.
        tasks: What to judge.
        processes: How many share the work.
    """
    if processes <= 1:
        for task in tasks:
            yield run(_judge(rework, task))
        return
    # Fresh processes: forked ones would share the journal's connection.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(rework.run,)) as pool:
        yield from pool.map(_judge_here, tasks)


def worthwhile_processes(dialogues: int) -> int:
    """How many processes should share the work."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(available, dialogues // _WORTH_A_PROCESS))


_here: dict[str, Rework] = {}
"""A worker process's own."""


def _begin(run: Path) -> None:
    _here["rework"] = Rework(run)


def _judge_here(task: Task) -> list[Judged]:
    return run(_judge(_here["rework"], task))


async def _judge(rework: Rework, task: Task) -> list[Judged]:
    return [_judged(await rework.play(index), digest) for index, digest in task]


def _judged(replayed: Replayed, digest: bytes) -> Judged:
    outcome = replayed.outcome
    if outcome is None:
        return Judged(replayed.index, replayed.whole, replayed.detail, None, None)
    content = outcome.line
    line = encode_line(content)
    changed = line if digest_of(line) != digest else None
    if outcome.accepted:
        return Judged(replayed.index, replayed.whole, "", Standing("accepted"), changed)
    standing = standing_of(content["stage"], content["reason"])
    return Judged(replayed.index, replayed.whole, str(content.get("detail", "")), standing, changed)
