"""How tool sets are drawn."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

Seed = Annotated[
    int, typer.Option(metavar="N", help="Seed of every draw: the same one draws the same again.")
]


class SamplerKind(StrEnum):
    """How tool sets are drawn."""

    graph = "graph"
    random = "random"
