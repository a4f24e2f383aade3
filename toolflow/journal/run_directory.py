"""The run directory: the data set of a run, and what was thrown out, in the hands of one process."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import msgspec

from toolflow.errors import RunDirectoryError
from toolflow.journal.lines import (
    Line,
    append_line,
    keep_lines,
    open_appending,
    replace_file,
    replace_json,
    scan_accepted,
    scan_thrown_out,
    unusable,
)
from toolflow.journal.lock import locked
from toolflow.journal.run_record import (
    InputsReader,
    RunRecord,
    differences,
    read_record,
    write_inputs,
    write_record,
)

PLAYED = "dialogue"
"""The stage of a dialogue that failed while it was played; what the checks reject has another."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What earlier processes have left of a run.

    Attributes:
        accepted: Indices of the accepted dialogues, ascending.
        thrown_out: Where the lines of rejected.jsonl stand, with stage and reason.
        spare: Accepted dialogues beyond the target, which left dialogues.jsonl; the journal keeps them.
        damaged: Lines that could not be read, or stood there twice; the journal replaces them.
        retried: Failed dialogues that are tried again.
        journal_lost: There are lines, and no journal.
    """

    accepted: Sequence[int] = ()
    thrown_out: Sequence[Line] = ()
    spare: int = 0
    damaged: int = 0
    retried: int = 0
    journal_lost: bool = False

    def notices(self) -> Iterator[str]:
        """What the user should know, a sentence or two each."""
        if self.journal_lost:
            finished = len(self.accepted) + len(self.thrown_out)
            yield (
                f"journal.sqlite is gone. The {finished:,} finished dialogues stay as they are; all "
                "others are paid for again. What was spent so far is no longer known: "
                "calls, LLM tokens, cost and budgets are counted from here."
            )
        if self.damaged:
            replayed = (
                "" if self.journal_lost else "; those dialogues are replayed from the journal, at no cost"
            )
            yield f"{self.damaged} damaged or doubled lines were taken out of the run's files{replayed}."
        if self.spare:
            yield (
                f"{self.spare} accepted dialogues are more than the {len(self.accepted)} wanted: the first "
                "ones stay, the others leave dialogues.jsonl. The journal keeps them: a larger -n brings "
                "them back at no cost."
            )
        if self.retried:
            yield f"{self.retried} failed dialogues are tried again."

    def accepted_after(self, index: int) -> int:
        """How many accepted dialogues come after one."""
        return len(self.accepted) - bisect_right(self.accepted, index)


class RunDirectory:
    """An open run directory; one process at a time. Use as a context manager.

    Args:
        path: The folder; made if it is not there.

    Attributes:
        processes: How many have claimed the folder, this one included.

    Raises:
        RunDirectoryError: The folder cannot be used, or another process is using it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open = contextlib.ExitStack()
        self._files: dict[Path, BinaryIO] = {}
        self.processes = 0

    @property
    def journal(self) -> Path:
        return self.path / "journal.sqlite"

    @property
    def dialogues(self) -> Path:
        return self.path / "dialogues.jsonl"

    @property
    def rejected(self) -> Path:
        return self.path / "rejected.jsonl"

    def __enter__(self) -> RunDirectory:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._open.enter_context(locked(self.path))
        except OSError as error:
            self._open.close()
            raise unusable(self.path, error) from error
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close_files()
        self._open.close()

    def claim(
        self, fingerprint: Mapping[str, Any], facts: Mapping[str, Any], inputs: InputsReader = dict
    ) -> bool:
        """Write run.json, or check that it was written by an equal run.

        Args:
            fingerprint: Everything that determines the data set; must be equal to continue the run.
            facts: How the run is carried out; kept for the reader and free to change.
            inputs: What the run is made from; asked for when a run begins, or to tell how it differs.

        Returns:
            Whether the run was begun before.

        Raises:
            RunDirectoryError: The folder holds a run with another fingerprint, or something else.
        """
        wanted = msgspec.json.decode(msgspec.json.encode(fingerprint))
        known = read_record(self.path)
        if known is None:
            self.require_new()
            write_inputs(self.path, inputs())
        elif known.fingerprint != wanted:
            lines = "\n".join(f"  {line}" for line in self._told(known, wanted, inputs))
            raise RunDirectoryError(
                f"{self.path} holds a run with another configuration (there → here):\n{lines}",
                hint="Give the earlier configuration to continue that run. For a run with this one, give "
                "--fork NEW_RUN, which takes over every call that stays the same, or another -o RUN.",
            )
        earlier = {} if known is None else known.facts
        counted = earlier.get("processes")
        self.processes = 1 + (counted if isinstance(counted, int) else 0)
        origin = {"forked_from": earlier["forked_from"]} if earlier.get("forked_from") else {}
        write_record(self.path, RunRecord(wanted, {**facts, **origin, "processes": self.processes}))
        return known is not None

    def require_new(self) -> None:
        """Refuse a folder that holds something of a run, for one that is to begin.

        Raises:
            RunDirectoryError: It does.
        """
        for path in (self.dialogues, self.rejected, self.journal):
            if _has_content(path):
                raise RunDirectoryError(
                    f"{self.path} holds a {path.name} but no run.json",
                    hint="Choose another folder with -o RUN.",
                )

    def _told(self, known: RunRecord, wanted: Mapping[str, Any], inputs: InputsReader) -> list[str]:
        return differences(self.path, known.fingerprint, wanted, inputs())

    def take_up(self, *, target: int, retry_failed: bool = False) -> Earlier:
        """Bring the files of earlier processes into order, and tell what they hold.

        Afterwards each dialogue has one line at most, and the accepted ones are the first ``target`` in index
        order. A dialogue that loses its line is replayed from the journal as soon as it is wanted again.

        Args:
            target: Accepted dialogues wanted.
            retry_failed: Take out the lines of dialogues that failed while they were played.

        Raises:
            RunDirectoryError: A file cannot be read or rewritten.
        """
        self._close_files()
        accepted, thrown_out = scan_accepted(self.dialogues), scan_thrown_out(self.rejected)
        first = set(sorted(line.index for line in accepted.lines)[:target])
        kept = [line for line in accepted.lines if line.index in first]
        known = {line.index for line in accepted.lines}
        left = [line for line in thrown_out.lines if line.index not in known]
        in_both = len(thrown_out.lines) - len(left)
        staying = [line for line in left if not (retry_failed and line.stage == PLAYED)]
        if accepted.damaged or len(kept) < len(accepted.lines):
            keep_lines(self.dialogues, kept)
        if thrown_out.damaged or len(staying) < len(thrown_out.lines):
            keep_lines(self.rejected, staying)
        for path in (self.dialogues, self.rejected):
            self._file(path)  # is there from the start, if empty
        return Earlier(
            sorted(first),
            staying,
            spare=len(accepted.lines) - len(kept),
            damaged=len(accepted.damaged) + len(thrown_out.damaged) + in_both,
            retried=len(left) - len(staying),
            journal_lost=bool(accepted.lines or left) and not _has_content(self.journal),
        )

    def keep_first(self, target: int) -> int:
        """Take accepted dialogues beyond the first ``target`` in index order out of dialogues.jsonl.

        Returns:
            How many. The journal keeps them: they come back at no cost when more are wanted.

        Raises:
            RunDirectoryError: The file cannot be read or rewritten.
        """
        return self.take_up(target=target).spare

    def rewrite(self, accepted: Iterable[bytes], thrown_out: Iterable[bytes]) -> None:
        """Write both files anew, each at once.

        Args:
            accepted: The lines of dialogues.jsonl; may come from the old file.
            thrown_out: The lines of rejected.jsonl; likewise.

        Raises:
            RunDirectoryError: A file cannot be written.
        """
        self._close_files()
        # In this order: a dialogue that had to leave dialogues.jsonl is never without its reason.
        replace_file(self.rejected, thrown_out)
        replace_file(self.dialogues, accepted)

    def accept(self, line: Mapping[str, Any]) -> None:
        """Append one accepted dialogue."""
        append_line(self._file(self.dialogues), line)

    def reject(self, line: Mapping[str, Any]) -> None:
        """Append one dialogue that was rejected or failed."""
        append_line(self._file(self.rejected), line)

    def read_summary(self) -> dict[str, Any]:
        """The summary that an earlier process left; empty where there is none that can be read."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode((self.path / "summary.json").read_bytes(), type=dict[str, Any])
        return {}

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json anew."""
        replace_json(self.path / "summary.json", summary)

    def _file(self, path: Path) -> BinaryIO:
        file = self._files.get(path)
        if file is None:
            try:
                file = self._files[path] = open_appending(path)
            except OSError as error:
                raise unusable(path, error) from error
        return file

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
