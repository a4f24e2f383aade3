"""``toolflow provider``: the rehearsal model as a server that speaks both protocols."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from toolflow.cli.options.panels import examples

_SPEED = "Speed"
_LIMITS = "Limits"
_FAULTS = "Faults"


EXAMPLES = examples(
    "toolflow provider --port 8089",
    "toolflow provider --latency 2 --cap 48 --rpm 3000 --faults 500=0.03,reset=0.02",
    "toolflow provider --latency 1 --knee 48 --cap 48,16@60,96@120",
)


class Window(StrEnum):
    """How limits a minute are counted."""

    sliding = "sliding"
    bucket = "bucket"
    fixed = "fixed"


def provider(
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="TCP port; 0 takes a free one.")
    ] = 8089,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Address to listen on. Anything but loopback lets other machines in."
        ),
    ] = "127.0.0.1",
    mistakes: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="SHARE",
            help="Share of replies that hold a mistake such as models make.",
            show_default="0.03",
        ),
    ] = None,
    fixed_reply: Annotated[
        bool, typer.Option("--fixed-reply", help="Answer everything with the same few words, at little cost.")
    ] = False,
    fixed_usage: Annotated[
        str | None,
        typer.Option(
            metavar="PROMPT,COMPLETION", help="LLM tokens to claim for every call.", show_default="counted"
        ),
    ] = None,
    latency: Annotated[
        float,
        typer.Option(
            min=0.0, metavar="SECONDS", help="Time from a request to its answer.", rich_help_panel=_SPEED
        ),
    ] = 0.0,
    latency_spread: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="SIGMA",
            help="Lognormal spread of --latency: σ of its logarithm; 0: none.",
            rich_help_panel=_SPEED,
        ),
    ] = 0.0,
    time_per_token: Annotated[
        float,
        typer.Option(
            min=0.0, metavar="SECONDS", help="More for each completion token.", rich_help_panel=_SPEED
        ),
    ] = 0.0,
    tokens_per_event: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="LLM tokens in each event of a stream.",
            rich_help_panel=_SPEED,
        ),
    ] = 1,
    knee: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=_SPEED,
            help="Requests in flight above which answers become slower.",
            show_default="none",
        ),
    ] = None,
    knee_exponent: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="POWER",
            rich_help_panel=_SPEED,
            help="Latency grows with (in flight / knee) to this power.",
        ),
    ] = 2.0,
    cap: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N@SECONDS]",
            rich_help_panel=_LIMITS,
            help="429 above so many requests in flight; 48,16@60: 16 from the 60th second on.",
            show_default="none",
        ),
    ] = None,
    retry_after: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            metavar="SECONDS",
            rich_help_panel=_LIMITS,
            help="Retry-After of refusals by the cap.",
            show_default="not sent",
        ),
    ] = None,
    rpm: Annotated[
        int | None, typer.Option(min=1, metavar="N", rich_help_panel=_LIMITS, help="Requests a minute.")
    ] = None,
    tpm: Annotated[
        int | None, typer.Option(min=1, metavar="N", rich_help_panel=_LIMITS, help="LLM tokens a minute.")
    ] = None,
    input_tpm: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", rich_help_panel=_LIMITS, help="LLM tokens a minute of prompts."),
    ] = None,
    output_tpm: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", rich_help_panel=_LIMITS, help="LLM tokens a minute of completions."),
    ] = None,
    window: Annotated[
        Window,
        typer.Option(
            rich_help_panel=_LIMITS,
            help="A minute is the last 60 seconds, a bucket that refills evenly, or one of the clock.",
        ),
    ] = Window.sliding,
    burst: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=_LIMITS,
            help="Requests that a bucket holds.",
            show_default="all of --rpm",
        ),
    ] = None,
    headers: Annotated[
        bool,
        typer.Option(
            "--headers/--no-headers", rich_help_panel=_LIMITS, help="Send rate-limit headers and Retry-After."
        ),
    ] = True,
    faults: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=SHARE,…",
            rich_help_panel=_FAULTS,
            help="Share of requests that meet a fault: 500, reset, overloaded, stall, hang, drip, truncate, "
            "cut, html, html200, badjson, wrongid, empty.",
            show_default="none",
        ),
    ] = None,
    fault_seed: Annotated[
        int,
        typer.Option(
            rich_help_panel=_FAULTS, metavar="N", help="Seed of faults and of the latency's spread."
        ),
    ] = 0,
) -> None:
    """Serve the rehearsal model over HTTP, for trying out a run without a key and without cost.

    The server speaks OpenAI's chat completions and Anthropic's Messages API, streamed or not; point
    --base-url of another command at the printed address, with --api anthropic for the latter. It asks for no
    key. Ctrl-C stops it. GET /rehearsal/counters tells what it has counted.
    """
    from toolflow.llm.providers.rehearsal import RehearsalProvider
    from toolflow.llm.server import serve
    from toolflow.llm.serving.conduct import Conduct, read_cap, read_faults
    from toolflow.runtime.loop import run

    limits = {"requests": rpm, "tokens": tpm, "input-tokens": input_tpm, "output-tokens": output_tpm}
    conduct = Conduct(
        latency=latency,
        spread=latency_spread,
        time_per_token=time_per_token,
        tokens_per_event=tokens_per_event,
        knee=knee,
        exponent=knee_exponent,
        cap=read_cap(cap) if cap is not None else (),
        retry_after=retry_after,
        limits={name: limit for name, limit in limits.items() if limit is not None},
        window=window.value,
        burst=burst,
        headers=headers,
        faults=read_faults(faults) if faults is not None else {},
        seed=fault_seed,
        fixed_usage=_read_usage(fixed_usage),
    )
    rehearsal = (
        None if fixed_reply else RehearsalProvider(**({} if mistakes is None else {"mistakes": mistakes}))
    )
    run(serve(rehearsal, host=host, port=port, conduct=conduct, ready=_announce))


def _read_usage(text: str | None) -> tuple[int, int] | None:
    from toolflow.errors import UsageError

    if text is None:
        return None
    try:
        prompt, completion = (int(part) for part in text.split(","))
    except ValueError:
        prompt = completion = -1
    if prompt < 0 or completion < 0:
        raise UsageError(f"--fixed-usage {text}: no two numbers from 0 on", hint="Write 200,60.")
    return prompt, completion


def _announce(base_url: str) -> None:
    typer.echo(f"Serving the rehearsal model at {base_url} (Ctrl-C stops)")
