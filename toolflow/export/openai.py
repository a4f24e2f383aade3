"""The chat-completions fine-tuning format: one ``{"messages", "tools"}`` a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from toolflow.errors import RunDirectoryError, UsageError

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
        UsageError: The format is unknown, or the output cannot be written.
        RunDirectoryError: The folder holds no run, or a line cannot be read.
    """
    convert = FORMATS.get(format_name)
    if convert is None:
        raise UsageError(f"unknown format {format_name!r}", hint=f"Formats: {', '.join(FORMATS)}.")
    source = run / "dialogues.jsonl"
    if not source.exists():
        raise RunDirectoryError(f"{run} holds no run: dialogues.jsonl is missing")
    offsets = sorted(_offsets(source))
    beside = output.with_name(output.name + ".tmp")
    try:
        with source.open("rb") as lines, beside.open("wb") as target:
            for _, offset in offsets:
                lines.seek(offset)
                target.write(msgspec.json.encode(convert(msgspec.json.decode(lines.readline()))) + b"\n")
        beside.replace(output)
    except OSError as error:
        raise UsageError(f"{output}: {error.strerror or error}") from error
    return len(offsets)


class _Metadata(msgspec.Struct):
    index: int


class _Indexed(msgspec.Struct):
    metadata: _Metadata


def _offsets(path: Path) -> Iterator[tuple[int, int]]:
    """Dialogue index and place in the file of each line; a torn last line is left out."""
    decoder = msgspec.json.Decoder(_Indexed)
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield decoder.decode(line).metadata.index, offset
            except msgspec.MsgspecError as error:
                raise RunDirectoryError(
                    f"{path}:{number}: not a dialogue: {error}",
                    hint="toolflow check RUN --apply makes the file anew from the journal, at no cost.",
                ) from error
            offset += len(line)
