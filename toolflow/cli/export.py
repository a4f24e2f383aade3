"""``toolflow export``: a run's data set in a trainer's format."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from toolflow.cli.options.output import AsJson, check_output, print_json, say_written
from toolflow.cli.options.panels import examples
from toolflow.cli.options.runs import RunFolder


class ExportFormat(StrEnum):
    """How a data set is written for a trainer."""

    openai = "openai"


EXAMPLES = examples(
    "toolflow export runs/paid --format openai -o train.jsonl",
    "toolflow export runs/paid -o - | zstd > train.jsonl.zst",
)

_STDOUT = Path("/dev/stdout")


def export(
    run: RunFolder,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File to write, or - for standard output.", metavar="FILE"),
    ],
    format_name: Annotated[
        ExportFormat, typer.Option("--format", "-f", help="openai: JSON lines with messages and tools.")
    ] = ExportFormat.openai,
    as_json: AsJson = False,
) -> None:
    """Write a run's data set in the order of dialogue indices.

    Two runs with the same seed and the same replies give the same file, byte for byte.
    """
    from toolflow.export.openai import export as write

    output = _STDOUT if str(output) == "-" else output
    check_output(output)
    count = write(run, format_name.value, output)
    if as_json:
        print_json({"format": format_name.value, "dialogues": count, "output": str(output)})
    else:
        say_written(f"{count} dialogues written to {output}", output)
