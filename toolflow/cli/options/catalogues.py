"""Which tools a command reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolflow.cli.options.panels import CATALOGUE

if TYPE_CHECKING:
    from toolflow.catalog.tool import Tool

Paths = Annotated[
    list[str],
    typer.Argument(help="Files, folders or http(s) addresses, in any known format.", metavar="PATH"),
]
Tools = Annotated[
    list[str] | None,
    typer.Option(
        "--tools",
        "-t",
        metavar="PATH",
        help="Catalogue: file, folder or http(s) address, in any known format; may be repeated.",
        show_default="the shipped sample",
        rich_help_panel=CATALOGUE,
    ),
]
LimitTools = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Stop reading after N tools.",
        show_default="read all",
        rich_help_panel=CATALOGUE,
    ),
]
SkipInvalid = Annotated[
    bool,
    typer.Option(
        "--skip-invalid",
        help="Leave out entries that are wrong, instead of stopping at the first.",
        rich_help_panel=CATALOGUE,
    ),
]


@dataclass(frozen=True, slots=True)
class Catalogues:
    """The catalogues of a command."""

    tools: Tools = None
    limit_tools: LimitTools = None
    skip_invalid: SkipInvalid = False

    def flags(self) -> dict[str, Any]:
        """These options as flags of :func:`toolflow.config.load_config`."""
        return {
            "tools": tuple(self.tools) if self.tools else None,
            "limit_tools": self.limit_tools,
            "skip_invalid": self.skip_invalid or None,
        }

    def read(self) -> Sequence[Tool]:
        """Their tools; those of the sample where none is named.

        Raises:
            CatalogueError: A catalogue cannot be read.
        """
        from toolflow.catalog.load import load_wanted
        from toolflow.cli.telling import note

        catalogue, notices = load_wanted(
            self.tools or (), skip_invalid=self.skip_invalid, limit=self.limit_tools
        )
        for notice in notices:
            note(notice)
        return catalogue.tools
