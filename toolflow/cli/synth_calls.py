"""How the LLM calls of ``toolflow synth`` are made, and how many there may be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from toolflow.cli.options.panels import HOW, LIMITS, MODELS


class ToolCalls(StrEnum):
    """How the assistant calls tools."""

    auto = "auto"
    native = "native"
    json = "json"


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
    cut_stalled: Annotated[
        bool | None,
        typer.Option(
            "--cut-stalled/--keep-stalled",
            help="Send a call again that takes twice as long as any of the last thousand, while others are "
            "answered; or wait for each until --attempt-timeout.",
            show_default="--cut-stalled",
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
            "cut_stalled": self.cut_stalled,
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
            min=0.001,
            metavar="SECONDS",
            help="Longest time, from this start on; the calls in flight then finish, or reach "
            "--attempt-timeout.",
            rich_help_panel=LIMITS,
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
