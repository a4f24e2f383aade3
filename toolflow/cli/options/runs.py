"""Which run, and which dialogue of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunFolder = Annotated[
    Path, typer.Argument(help='A run directory, as "toolflow synth" wrote it.', metavar="RUN")
]
DialogueName = Annotated[
    str | None,
    typer.Argument(
        help="Its id (d0000012) or index (12).", metavar="ID", show_default="the first accepted one"
    ),
]
