"""The options of ``toolflow synth`` that no other command has, a group a matter."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from toolflow.cli.options.draws import SamplerKind
from toolflow.cli.options.graphs import EncoderName, Threshold
from toolflow.cli.options.panels import CONTINUE, GRAPH, HOW, LIMITS, MODELS, WHAT


class ToolCalls(StrEnum):
    """How the assistant calls tools."""

    auto = "auto"
    native = "native"
    json = "json"


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
class Asking:
    """How models are asked, beyond which they are."""

    fallback_model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Asked where a model has given a call up; may be repeated, asked in this order.",
            rich_help_panel=MODELS,
        ),
    ] = None
    tool_calls: Annotated[
        ToolCalls | None,
        typer.Option(
            help="Tool calls as the endpoint has them, or through JSON replies; auto tries what it takes.",
            show_default="auto",
            rich_help_panel=MODELS,
        ),
    ] = None
    stream: Annotated[
        bool,
        typer.Option(
            "--stream",
            help="Have answers sent in pieces: the live view shows them grow.",
            rich_help_panel=MODELS,
        ),
    ] = False
    stream_silence: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            metavar="SECONDS",
            help="Longest pause within a streamed answer; then the call is sent again.",
            show_default="60",
            rich_help_panel=MODELS,
        ),
    ] = None
    attempt_timeout: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            metavar="SECONDS",
            help="Longest wait for one answer; then the call is sent again.",
            show_default="300",
            rich_help_panel=HOW,
        ),
    ] = None
    retries: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Further attempts of a call after failures that may pass; with pauses that grow.",
            show_default="7",
            rich_help_panel=HOW,
        ),
    ] = None
    hedge: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="SHARE",
            help="Send calls that are late a second time, at most this share of all, such as 0.02; the first "
            "answer counts. Both may be billed.",
            show_default="0: never",
            rich_help_panel=HOW,
        ),
    ] = None

    def flags(self) -> dict[str, Any]:
        """These options as flags of :func:`toolflow.config.load_config`."""
        return {
            "fallback_models": tuple(self.fallback_model) if self.fallback_model else None,
            "tool_calls": self.tool_calls.value if self.tool_calls else None,
            "stream": self.stream or None,
            "stream_silence": self.stream_silence,
            "attempt_timeout": self.attempt_timeout,
            "retries": self.retries,
            "hedge": self.hedge,
        }


@dataclass(frozen=True, slots=True)
class Bounds:
    """How fast and how far a run may go."""

    max_concurrency: Annotated[
        str | None,
        typer.Option(
            metavar="auto|N",
            help="LLM calls in flight at each endpoint; auto finds what it bears, and follows it.",
            show_default="auto",
            rich_help_panel=LIMITS,
        ),
    ] = None
    rpm: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Requests a minute that each endpoint allows a model.",
            show_default="what its answers tell",
            rich_help_panel=LIMITS,
        ),
    ] = None
    tpm: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="LLM tokens a minute, prompts and completions together, likewise.",
            show_default="what its answers tell",
            rich_help_panel=LIMITS,
        ),
    ] = None
    max_cost: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            metavar="USD",
            help="Most that the run may cost, in US dollars, earlier parts of it included.",
            rich_help_panel=LIMITS,
        ),
    ] = None
    max_calls: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Most attempts of LLM calls, likewise.", rich_help_panel=LIMITS
        ),
    ] = None
    max_tokens_total: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Most LLM tokens, prompts and completions together, likewise.",
            rich_help_panel=LIMITS,
        ),
    ] = None
    max_time: Annotated[
        float | None,
        typer.Option(
            min=0.001, metavar="SECONDS", help="Longest time, from this start on.", rich_help_panel=LIMITS
        ),
    ] = None
    max_candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Most dialogues begun, however few of them are accepted.",
            show_default="3 n + 20",
            rich_help_panel=LIMITS,
        ),
    ] = None
    prices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML with prices of models, in US dollars a million LLM tokens, before the shipped ones.",
            rich_help_panel=LIMITS,
        ),
    ] = None

    def flags(self) -> dict[str, Any]:
        """These options as flags of :func:`toolflow.config.load_config`."""
        return {
            "max_concurrency": self.max_concurrency,
            "rpm": self.rpm,
            "tpm": self.tpm,
            "max_cost": self.max_cost,
            "max_calls": self.max_calls,
            "max_tokens_total": self.max_tokens_total,
            "max_time": self.max_time,
            "max_candidates": self.max_candidates,
            "prices": str(self.prices) if self.prices else None,
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
