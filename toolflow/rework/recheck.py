"""Judges all dialogues of a run again, with the checks of today and without an LLM call."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
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
        if "dialogues" in summary:
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
    accepted, thrown_out = scan_accepted(run / "dialogues.jsonl"), scan_thrown_out(run / "rejected.jsonl")
    before = {line.index: line for line in thrown_out.lines} | {line.index: line for line in accepted.lines}
    in_both = len(accepted.lines) + len(thrown_out.lines) - len(before)
    known = {line.index for line in accepted.lines}
    with Rework(run) as rework:
        target = rework.config.n
        indices = sorted({*rework.journal.dialogues(), *before})
        found = Recheck(damaged=len(accepted.damaged) + len(thrown_out.damaged) + in_both)
        files = ((run / "dialogues.jsonl", accepted.lines), (run / "rejected.jsonl", thrown_out.lines))
        digests = {
            line.index: digest_of(content)
            for path, lines in files
            for line, content in zip(lines, _contents(path, lines), strict=True)
            if before[line.index] is line
        }
        tasks = [
            [(index, digests.get(index, b"")) for index in indices[at : at + _AT_A_TIME]]
            for at in range(0, len(indices), _AT_A_TIME)
        ]
        done = 0
        progress(0, len(indices))
        for judged in judge_all(rework, tasks, processes or worthwhile_processes(len(indices))):
            for one in judged:
                _sort_in(found, one, before.get(one.index), was_accepted=one.index in known)
            done += len(judged)
            progress(done, len(indices))
    _set_spare_aside(found, target, known)
    found.changes.sort(key=lambda change: change.index)
    return found


def _sort_in(found: Recheck, judged: Judged, line: Line | None, *, was_accepted: bool) -> None:
    """Put a dialogue where it stands now; one that cannot be judged stays where it is."""
    index = judged.index
    before = _standing(line, accepted=was_accepted)
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


def _standing(line: Line | None, *, accepted: bool) -> Standing:
    if line is None:
        return Standing("missing")
    if accepted:
        return Standing("accepted")
    return standing_of(line.stage, line.reason)


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
