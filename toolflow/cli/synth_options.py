"""What ``toolflow synth`` makes, how it draws tool sets, and how the run is carried out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from toolflow.cli.options.draws import SamplerKind
from toolflow.cli.options.graphs import EncoderName, Threshold
from toolflow.cli.options.panels import CONTINUE, GRAPH, HOW, WHAT


class DisplayKind(StrEnum):
    """What is shown while the run goes on."""

    live = "live"
    plain = "plain"
    none = "none"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What data set is wanted."""

    n: Annotated[
        int | None,
        typer.Option(
            "-n",
            min=1,
            metavar="N",
            help="Accepted dialogues wanted.",
            show_default="100",
            rich_help_panel=WHAT,
        ),
    ] = None
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Seed of every draw: the same one and the same replies make the same data set.",
            show_default="0",
            rich_help_panel=WHAT,
        ),
    ] = None
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Your own planner.j2, user.j2, assistant.j2 and tool.j2.",
            show_default="the shipped ones",
            rich_help_panel=WHAT,
        ),
    ] = None
    mistakes: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="SHARE",
            help="Share of the rehearsal model's replies that hold a mistake such as models make.",
            show_default="0.03",
            rich_help_panel=WHAT,
        ),
    ] = None

    def flags(self) -> dict[str, Any]:
        """These options as flags of :func:`toolflow.config.load_config`."""
        return {
            "n": self.n,
            "seed": self.seed,
            "prompts": str(self.prompts) if self.prompts else None,
            "mistakes": self.mistakes,
        }


@dataclass(frozen=True, slots=True)
class Drawing:
    """How tool sets are drawn."""

    sampler: Annotated[
        SamplerKind | None,
        typer.Option(
            help="Draw tools that belong together, or any at random.",
            show_default="graph",
            rich_help_panel=GRAPH,
        ),
    ] = None
    graph: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='A graph that "toolflow graph build" wrote: of the same --tools, or without --tools, whose '
            "tools are then its own.",
            show_default="built, or taken from the cache",
            rich_help_panel=GRAPH,
        ),
    ] = None
    encoder: EncoderName = None
    threshold: Threshold = None

    def flags(self) -> dict[str, Any]:
        """These options as flags of :func:`toolflow.config.load_config`."""
        return {
            "sampler.kind": self.sampler.value if self.sampler else None,
            "sampler.graph": str(self.graph) if self.graph else None,
            "sampler.encoder": self.encoder,
            "sampler.threshold": self.threshold,
        }


@dataclass(frozen=True, slots=True)
class Carrying:
    """How the run is carried out and shown."""

    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Try the dialogues again that failed while they were played. They go on where they failed; "
            "what the checks rejected stays rejected.",
            rich_help_panel=CONTINUE,
        ),
    ] = False
    fork: Annotated[
        Path | None,
        typer.Option(
            metavar="NEW_RUN",
            help="Play in NEW_RUN with what is given here, taking over from the run in -o every call whose "
            "request stays the same, at no cost; the first one that differs in a dialogue, and what follows "
            "from it, is paid. The run in -o is left as it is.",
            rich_help_panel=CONTINUE,
        ),
    ] = None
    display: Annotated[
        DisplayKind | None,
        typer.Option(
            help="A picture that moves, lines for a log, or nothing but the end.",
            show_default="live on a terminal, else plain",
            rich_help_panel=HOW,
        ),
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Read catalogue and prompts, build the graph, say what would be done, and stop: no model is "
            "asked, nothing is written to RUN.",
            rich_help_panel=HOW,
        ),
    ] = False
