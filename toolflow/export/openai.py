"""The chat-completions fine-tuning format: one ``{"messages", "tools"}`` a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from toolflow.errors import RunDirectoryError, UsageError
from toolflow.journal.lines import encode_line, replace_file, scan_accepted
from toolflow.journal.run_record import require_record

Line = dict[str, Any]


def openai_line(dialogue: Mapping[str, Any]) -> Line:
    """What a trainer needs of a line of dialogues.jsonl, and nothing of how it came about."""
    return {"messages": dialogue["messages"], "tools": dialogue["tools"]}


FORMATS: Final = {"openai": openai_line}
"""Export formats by name."""


def export(run: Path, format_name: str, output: Path) -> int:
    """Write a run's data set in the order of dialogue indices; equal runs give equal files.

    Memory does not grow with the dialogues' length: the file is read twice, once for the order.

    Returns:
        Number of dialogues written.

    Raises:
        UsageError: The format is unknown.
        RunDirectoryError: The folder holds no run, or one without an accepted dialogue; a line cannot be
            read; or the output cannot be written.
    """
    convert = FORMATS.get(format_name)
    if convert is None:
        raise UsageError(f"unknown format {format_name!r}", hint=f"Formats: {', '.join(FORMATS)}.")
    source = run / "dialogues.jsonl"
    if not source.exists():
        require_record(run)
        raise RunDirectoryError(
            f"{run}: no dialogue of this run is accepted yet",
            hint="The toolflow synth command that began the run goes on with it.",
        )
    if output.exists() and output.samefile(source):
        raise UsageError(f"{output} is the run's own data set", hint="Give another file after -o.")
    scan = scan_accepted(source)
    wrong = scan.damaged[: len(scan.damaged) - scan.torn]
    if wrong:
        raise RunDirectoryError(
            f"{source}:{wrong[0]}: not a dialogue, or one that stands there twice"
            + (f", and {len(wrong) - 1:,} more" if len(wrong) > 1 else ""),
            hint="toolflow check RUN --apply makes the file anew from the journal, at no cost.",
        )

    def converted() -> Iterator[bytes]:
        with source.open("rb") as file:
            for line in sorted(scan.lines, key=lambda line: line.index):
                file.seek(line.offset)
                yield encode_line(convert(msgspec.json.decode(file.read(line.length))))

    replace_file(output, converted())
    return len(scan.lines)
