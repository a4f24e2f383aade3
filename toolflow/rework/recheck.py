"""Judges all dialogues of a run again, with the checks of today and without an LLM call."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from toolflow.dialogue.dialogue import dialogue_id
from toolflow.journal.calls import SqliteJournal
from toolflow.journal.lines import Line, scan_accepted, scan_thrown_out
from toolflow.journal.run_directory import PLAYED, RunDirectory
from toolflow.rework.judging import Judged, Standing, digest_of, judge_all, standing_of, worthwhile_processes
from toolflow.rework.replay import Rework

_AT_A_TIME: Final = 32
"""Dialogues that a process judges before it reports."""

_JUDGED: Final = frozenset({"accepted", "rejected"})
"""Where the checks put a dialogue that was played to its end."""


@dataclass(frozen=True, slots=True)
class Change:
    """A dialogue that stands elsewhere than its line says.

    Attributes:
        index: The dialogue's.
        before: By the files.
        after: By the checks of today.
        detail: What they found.
    """

    index: int
    before: Standing
    after: Standing
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": dialogue_id(self.index),
            "before": self.before._asdict(),
            "after": self.after._asdict(),
            "detail": self.detail,
        }


@dataclass(slots=True)
class Recheck:
    """What a check of a whole run found.

    Attributes:
        checked: Dialogues that were played again to their end.
        standings: How many dialogues stand where.
        reasons: How often each reason threw a dialogue out.
        spare: Accepted dialogues beyond the run's target; they are not in dialogues.jsonl.
        changes: Dialogues that stand elsewhere than before, by index.
        reworded: Dialogues that stand where they did and whose line reads otherwise.
        stuck: Dialogues that the journal holds and that cannot be played again, with why.
        damaged: Lines of the two files that cannot be read, or stand there twice.
        accepted: What dialogues.jsonl should hold, by index: lines of it, or new ones.
        thrown_out: What rejected.jsonl should hold, likewise.
    """

    checked: int = 0
    standings: Counter[str] = field(default_factory=Counter[str])
    reasons: Counter[str] = field(default_factory=Counter[str])
    spare: int = 0
    changes: list[Change] = field(default_factory=list[Change])
    reworded: int = 0
    stuck: dict[int, str] = field(default_factory=dict[int, str])
    damaged: int = 0
    accepted: dict[int, Line | bytes] = field(default_factory=dict[int, Line | bytes])
    thrown_out: dict[int, Line | bytes] = field(default_factory=dict[int, Line | bytes])

    @property
    def agrees(self) -> bool:
        """Whether the files say what the checks say."""
        return not (self.changes or self.reworded or self.damaged)

    def to_json(self) -> dict[str, Any]:
        return {
            "checked": self.checked,
            "dialogues": dict(self.standings),
            "spare": self.spare,
            "reasons": dict(self.reasons.most_common()),
            "changes": [change.to_json() for change in self.changes],
            "reworded": self.reworded,
            "stuck": {dialogue_id(index): why for index, why in self.stuck.items()},
            "damaged_lines": self.damaged,
        }

    async def apply(self, run: RunDirectory) -> None:
        """Write dialogues.jsonl, rejected.jsonl and the counts of summary.json anew.

        Args:
            run: The run that was checked, held since before the check.

        Raises:
            RunDirectoryError: A file cannot be written.
        """
        run.rewrite(
            _contents(run.dialogues, self.accepted.values()),
            _contents(run.rejected, self.thrown_out.values()),
        )
        with SqliteJournal(run.journal) as journal:
            for change in self.changes:
                match change.after:
                    case Standing("accepted"):
                        journal.mark(change.index, "accepted")
                    case Standing("rejected", reason):
                        journal.mark(change.index, "rejected", "checks", reason)
                    case Standing("failed", reason):
                        journal.mark(change.index, "failed", PLAYED, reason)
                    case _:
                        pass
            journal.note("checked", changes=len(self.changes), accepted=len(self.accepted))
        summary = run.read_summary()
        if isinstance(summary.get("dialogues"), dict):
            figures = {name: self.standings[name] for name in ("rejected", "failed")}
            summary["dialogues"] |= {"accepted": len(self.accepted), **figures}
            summary["reasons"] = dict(self.reasons.most_common())
            run.write_summary(summary)


def recheck(run: Path, *, progress: Callable[[int, int], object], processes: int | None = None) -> Recheck:
    """Judge every dialogue of a run again.

    Args:
        run: The run directory.
        progress: Told how many dialogues are done, and of how many.
        processes: How many share the work; None: as many as there are processors, if that pays.

    Raises:
        RunDirectoryError: There is no run that can be read.
    """
    lines, damaged = _read(run)
    with Rework(run) as rework:
        target = rework.config.n
        indices = sorted({*rework.journal.dialogues(), *lines})
        found = Recheck(damaged=damaged)
        digests = _digests(run, lines.values())
        tasks = [
            [(index, digests.get(index, b"")) for index in indices[at : at + _AT_A_TIME]]
            for at in range(0, len(indices), _AT_A_TIME)
        ]
        without_line: list[Judged] = []
        done = 0
        progress(0, len(indices))
        for judged in judge_all(rework, tasks, processes or worthwhile_processes(len(indices))):
            for one in judged:
                if one.index in lines:
                    _sort_in(found, one, lines[one.index])
                else:
                    without_line.append(one)
            done += len(judged)
            progress(done, len(indices))
    if without_line:
        lines |= _sort_in_late(found, run, without_line)
    _set_spare_aside(found, target, {index for index, line in lines.items() if not line.stage})
    found.changes.sort(key=lambda change: change.index)
    found.thrown_out = dict(sorted(found.thrown_out.items()))
    return found


def _read(run: Path) -> tuple[dict[int, Line], int]:
    """A line for each dialogue, the accepted one if it has two; and how many are damaged or doubled."""
    accepted, thrown_out = scan_accepted(run / "dialogues.jsonl"), scan_thrown_out(run / "rejected.jsonl")
    lines = {line.index: line for line in (*thrown_out.lines, *accepted.lines)}
    in_both = len(accepted.lines) + len(thrown_out.lines) - len(lines)
    return lines, len(accepted.damaged) + len(thrown_out.damaged) + in_both


def _digests(run: Path, lines: Collection[Line]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for name, thrown_out in (("dialogues.jsonl", False), ("rejected.jsonl", True)):
        own = [line for line in lines if bool(line.stage) == thrown_out]
        contents = _contents(run / name, own)
        found |= {line.index: digest_of(content) for line, content in zip(own, contents, strict=True)}
    return found


def _sort_in_late(found: Recheck, run: Path, judged: Sequence[Judged]) -> dict[int, Line]:
    """Sort in dialogues that had no line; where the run goes on it may have been written since.

    Returns:
        The lines that have been written.
    """
    now, found.damaged = _read(run)
    lines = {one.index: now[one.index] for one in judged if one.standing is not None and one.index in now}
    digests = _digests(run, lines.values())
    for one in judged:
        same = one.line is not None and digest_of(one.line) == digests.get(one.index)
        _sort_in(found, replace(one, line=None) if same else one, lines.get(one.index))
    return lines


def _sort_in(found: Recheck, judged: Judged, line: Line | None) -> None:
    """Put a dialogue where it stands now; one that cannot be judged stays where it is."""
    index = judged.index
    before = _standing(line)
    after = judged.standing
    if judged.whole in {"differs", "damaged"} or (judged.whole == "unfinished" and before.state in _JUDGED):
        found.stuck[index] = judged.detail
    found.checked += judged.whole == "whole"
    if after is None:
        after = before if line is not None else Standing("unfinished")
    elif after.state != before.state or after.reason != before.reason:
        found.changes.append(Change(index, before, after, judged.detail))
    elif judged.line is not None:
        found.reworded += 1
    found.standings[after.state] += 1
    if after.reason:
        found.reasons[after.reason] += 1
    content = judged.line if judged.line is not None else line
    if content is not None:
        (found.accepted if after.state == "accepted" else found.thrown_out)[index] = content


def _set_spare_aside(found: Recheck, target: int, known: set[int]) -> None:
    """The data set is the first ``target`` in index order: others have no line, and need none."""
    first = sorted(found.accepted)[:target]
    spare = found.accepted.keys() - set(first)
    found.spare = len(spare)
    found.standings["accepted"] -= len(spare)
    found.changes = [
        change for change in found.changes if not (change.index in spare and change.before.state == "missing")
    ]
    for index in spare & known:
        found.changes.append(Change(index, Standing("accepted"), Standing("spare")))
    found.accepted = {index: found.accepted[index] for index in first}


def _standing(line: Line | None) -> Standing:
    if line is None:
        return Standing("missing")
    return standing_of(line.stage, line.reason) if line.stage else Standing("accepted")


def _contents(path: Path, lines: Iterable[Line | bytes]) -> Iterator[bytes]:
    if not path.exists():
        path = Path(os.devnull)
    with path.open("rb") as file:
        for line in lines:
            if isinstance(line, bytes):
                yield line
            else:
                file.seek(line.offset)
                yield file.read(line.length)
