"""``toolflow synth``: the main job."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from toolflow.cli.endpoint_options import Api, CaBundle, Header, Insecure, Stream, endpoint_flags


class SamplerKind(StrEnum):
    """How tool sets are drawn."""

    graph = "graph"
    random = "random"


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


_WHAT = "What to make"
_CONTINUE = "Going on with a run"
_MODEL = "Models"
_HOW = "How to run"
_LIMITS = "Limits and budgets"


def synth(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="RUN",
            help="Run directory; an existing run is continued.",
            rich_help_panel=_WHAT,
        ),
    ] = Path("toolflow-run"),
    tools: Annotated[
        list[str] | None,
        typer.Option(
            "--tools",
            "-t",
            metavar="PATH",
            rich_help_panel=_WHAT,
            help="Catalogue: file, folder or URL; may be repeated.",
            show_default="the shipped sample",
        ),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option(
            "-n", min=1, help="Accepted dialogues wanted.", show_default="100", rich_help_panel=_WHAT
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of every draw.", show_default="0", rich_help_panel=_WHAT)
    ] = None,
    sampler: Annotated[
        SamplerKind | None,
        typer.Option(help="Draw related tools, or any.", show_default="graph", rich_help_panel=_WHAT),
    ] = None,
    graph: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='A graph that "toolflow graph build" wrote of these tools; its own without --tools.',
            show_default="built",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What finds related tools: wordllama, st:MODEL, or the URL#MODEL of an OpenAI-compatible "
            "endpoint.",
            show_default="wordllama",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="COSINE",
            help="Cosine from which texts mean the same.",
            show_default="the encoder's",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    limit_tools: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Read only the first N tools.", rich_help_panel=_WHAT),
    ] = None,
    skip_invalid: Annotated[
        bool | None,
        typer.Option("--skip-invalid", help="Leave wrong catalogue entries out.", rich_help_panel=_WHAT),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Your own planner.j2, user.j2, assistant.j2 and tool.j2.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML with any of these settings, and a model per role.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            rich_help_panel=_CONTINUE,
            help="Try the dialogues again that failed while they were played. They go on where they failed; "
            "what the checks rejected stays rejected.",
        ),
    ] = False,
    fork: Annotated[
        Path | None,
        typer.Option(
            metavar="NEW_RUN",
            rich_help_panel=_CONTINUE,
            help="Play in NEW_RUN with what is given here, taking over from the run in -o every call whose "
            "request stays the same, at no cost; the first one that differs in a dialogue, and what follows "
            "from it, is paid. The run in -o is left as it is.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_MODEL,
            help="Model at the endpoint, a path to a GGUF file, or 'rehearsal'.",
        ),
    ] = None,
    base_url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            rich_help_panel=_MODEL,
            help="Endpoint; may be repeated for replicas of one model. OPENAI_BASE_URL and OPENAI_API_KEY "
            "are heeded, ANTHROPIC_… likewise.",
        ),
    ] = None,
    api: Api = None,
    stream: Stream = None,
    header: Header = None,
    ca_bundle: CaBundle = None,
    insecure: Insecure = None,
    fallback_model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_MODEL,
            help="Asked where a model has given a call up; may be repeated.",
        ),
    ] = None,
    tool_calls: Annotated[
        ToolCalls | None,
        typer.Option(
            help="Native tool calls, or through JSON; auto asks the endpoint.",
            show_default="auto",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    mistakes: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="RATE",
            help="Rate of mistakes that the rehearsal model makes.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    max_concurrency: Annotated[
        str | None,
        typer.Option(
            metavar="auto|N",
            help="LLM calls in flight; auto finds what the endpoint bears, and follows it.",
            show_default="auto",
            rich_help_panel=_HOW,
        ),
    ] = None,
    hedge: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Send late calls a second time, at most this share of all: 0.02. The first answer counts.",
            show_default="never",
            rich_help_panel=_HOW,
        ),
    ] = None,
    cut_stalled: Annotated[
        bool | None,
        typer.Option(
            "--cut-stalled/--wait-for-stalled",
            help="Send a call again that takes twice as long as any of the last thousand, while others are "
            "answered; or wait for each until --attempt-timeout.",
            show_default="--cut-stalled",
            rich_help_panel=_HOW,
        ),
    ] = None,
    rpm: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=_LIMITS,
            help="Requests a minute that an endpoint allows a model.",
        ),
    ] = None,
    tpm: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", rich_help_panel=_LIMITS, help="LLM tokens a minute, likewise."),
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="USD", rich_help_panel=_LIMITS, help="Most that the run may cost."),
    ] = None,
    max_calls: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", rich_help_panel=_LIMITS, help="Most attempts of LLM calls."),
    ] = None,
    max_tokens_total: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", rich_help_panel=_LIMITS, help="Most LLM tokens, prompts and completions."
        ),
    ] = None,
    max_time: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="SECONDS", rich_help_panel=_LIMITS, help="Longest time."),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", rich_help_panel=_LIMITS, help="YAML with prices of models, over the shipped ones."
        ),
    ] = None,
    max_candidates: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Most dialogues begun.", show_default="3 n + 20", rich_help_panel=_HOW
        ),
    ] = None,
    attempt_timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Longest wait for one answer.", show_default="300", rich_help_panel=_HOW
        ),
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Further attempts after a transient failure.",
            show_default="7",
            rich_help_panel=_HOW,
        ),
    ] = None,
    display: Annotated[
        DisplayKind | None,
        typer.Option(
            help="What to show.", show_default="live on a terminal, else plain", rich_help_panel=_HOW
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and stop.", rich_help_panel=_HOW)
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON.", rich_help_panel=_HOW)
    ] = False,
) -> None:
    """Make a data set of tool-calling dialogues from a catalogue of tools.

    The same command again continues a run that was stopped, however it was stopped: no call is paid twice
    but those that were in flight. How it runs may change (concurrency, limits, budgets, endpoints, display),
    and so may -n: a larger one extends the run, a smaller one keeps the first dialogues. What determines the
    data set (seed, catalogue, prompts, models, sampler) may not; --fork makes a new run with it.

    The first Ctrl-C lets the calls in flight finish, a second one stops at once; neither loses finished work.

    Exit codes: 0 target met, 1 failure, 2 wrong usage or configuration, 3 candidates or a budget used up,
    130 Ctrl-C.
    """
    from toolflow.cli.synth_run import run_synthesis
    from toolflow.config import load_config

    flags: dict[str, Any] = {
        "tools": tuple(tools) if tools else None,
        "n": n,
        "seed": seed,
        "sampler.kind": sampler.value if sampler else None,
        "sampler.graph": str(graph) if graph else None,
        "sampler.encoder": encoder,
        "sampler.threshold": threshold,
        "limit_tools": limit_tools,
        "skip_invalid": skip_invalid,
        "prompts": str(prompts) if prompts else None,
        "model": model,
        "base_url": tuple(base_url) if base_url else None,
        **endpoint_flags(api, header, ca_bundle, insecure),
        "stream": stream,
        "fallback_models": tuple(fallback_model) if fallback_model else None,
        "tool_calls": tool_calls.value if tool_calls else None,
        "mistakes": mistakes,
        "max_concurrency": max_concurrency,
        "hedge": hedge,
        "cut_stalled": cut_stalled,
        "rpm": rpm,
        "tpm": tpm,
        "max_cost": max_cost,
        "max_calls": max_calls,
        "max_tokens_total": max_tokens_total,
        "max_time": max_time,
        "prices": str(prices) if prices else None,
        "max_candidates": max_candidates,
        "attempt_timeout": attempt_timeout,
        "retries": retries,
    }
    code = run_synthesis(
        load_config(config, flags),
        output,
        fork=fork,
        retry_failed=retry_failed,
        display=display.value if display else None,
        dry_run=dry_run,
        as_json=as_json,
    )
    raise typer.Exit(code)
