"""``toolflow tools enrich``: a model fills in what a catalogue lacks, and invents tools beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolflow.cli.endpoint_options import Api, CaBundle, Header, Insecure, endpoint_flags
from toolflow.cli.model_work import (
    PARTIAL,
    BaseUrl,
    MaxCalls,
    MaxConcurrency,
    Model,
    job_progress,
    print_failures,
    print_notices,
    run_job,
)
from toolflow.errors import UsageError

if TYPE_CHECKING:
    from toolflow.catalog.tool import Tool
    from toolflow.config import RunConfig
    from toolflow.curation.enrichment import Enrichment
    from toolflow.curation.filling import Fill


def enrich(
    paths: Annotated[
        list[str],
        typer.Argument(help="Files, folders or http(s) addresses, in any known format.", metavar="PATH"),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File to write; what an earlier run put there is kept."
        ),
    ],
    *,
    fill: Annotated[
        str, typer.Option(metavar="WHAT", help="What to fill in: descriptions, returns, both, or none.")
    ] = "descriptions,returns",
    evolve: Annotated[
        int, typer.Option(min=0, metavar="N", help="Evolved tools wanted in FILE: siblings and consumers.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave out entries that are refused instead of stopping.")
    ] = False,
    limit_tools: Annotated[
        int | None, typer.Option(min=1, help="Stop reading after this many tools.", metavar="N")
    ] = None,
    model: Model = None,
    base_url: BaseUrl = None,
    api: Api = None,
    header: Header = None,
    ca_bundle: CaBundle = None,
    insecure: Insecure = None,
    max_concurrency: MaxConcurrency = 64,
    max_calls: MaxCalls = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Have a model fill in missing descriptions and return schemas, and evolve new tools.

    What was invented is marked in each tool's "provenance". The same command again goes on where the last one
    stopped; nothing is paid for twice. Without --model or --base-url the rehearsal model answers: what it
    invents is good for trying out only, is marked "rehearsal", and a real model replaces it.

    Exit codes: 0 all done, 1 failure, 2 wrong usage, 3 something is missing (budget or failures), 130 Ctrl-C.
    """
    from toolflow.catalog.load import load_catalogue
    from toolflow.config import load_config

    fills = _fills(fill)
    flags = {"model": model, "base_url": base_url, "max_concurrency": max_concurrency, "seed": seed}
    flags |= endpoint_flags(api, header, ca_bundle, insecure)
    config = load_config(None, flags)
    tools = load_catalogue(paths, skip_invalid=skip_invalid, limit=limit_tools).catalogue.tools
    enrichment, rehearsal = run_job(_enrich(config, tools, output, fills, evolve=evolve, max_calls=max_calls))
    if as_json:
        from toolflow.catalog.tool import encode_json

        typer.echo(encode_json(_summary(enrichment, output, rehearsal=rehearsal)))
    else:
        _print(enrichment, output)
    if enrichment.missing:
        raise typer.Exit(PARTIAL)


async def _enrich(
    config: RunConfig,
    tools: Sequence[Tool],
    output: Path,
    fills: Sequence[Fill],
    *,
    evolve: int,
    max_calls: int | None,
) -> tuple[Enrichment, bool]:
    import os

    from toolflow.curation.enrichment import enrich as enrich_tools
    from toolflow.curation.session import open_session
    from toolflow.graph.encoder import WordLlamaEncoder

    async with open_session(config, os.environ, max_calls) as session:
        print_notices(session.notices)
        with job_progress() as progress:
            enrichment = await enrich_tools(
                session,
                tools,
                output,
                fills=fills,
                evolve=evolve,
                encoder=WordLlamaEncoder(),
                progress=progress,
            )
        return enrichment, session.rehearsal


def _fills(text: str) -> list[Fill]:
    from toolflow.curation.filling import FILLS

    wanted = [word for word in text.replace(" ", "").split(",") if word not in {"", "none"}]
    unknown = [word for word in wanted if word not in FILLS]
    if unknown:
        raise UsageError(
            f"--fill {unknown[0]!r} is not known",
            hint=f"Give {','.join(FILLS)}, one of them, or none.",
        )
    return [fill for fill in FILLS if fill in wanted]


def _summary(enrichment: Enrichment, output: Path, *, rehearsal: bool) -> dict[str, Any]:
    return {
        "output": str(output),
        "tools": len(enrichment.tools),
        "kept": enrichment.kept,
        "filled": enrichment.filled,
        "evolved": enrichment.evolved,
        "missing": enrichment.missing,
        "failed": enrichment.failed,
        "calls": enrichment.calls,
        "rehearsal": rehearsal,
    }


def _print(enrichment: Enrichment, output: Path) -> None:
    typer.echo(f"{len(enrichment.tools):,} tools written to {output} ({enrichment.calls:,} LLM calls)")
    for what, count in (
        ("descriptions filled in", enrichment.filled.get("description", 0)),
        ("tools whose parameters' descriptions were filled in", enrichment.filled.get("parameters", 0)),
        ("return schemas filled in", enrichment.filled.get("returns", 0)),
        ("tools evolved", enrichment.evolved),
        ("tools kept from an earlier run", enrichment.kept),
    ):
        if count:
            typer.echo(f"  {what}: {count:,}")
    print_failures(enrichment.failed, enrichment.examples)
    if enrichment.missing:
        typer.echo(f"  still missing: {enrichment.missing:,}; the same command again goes on")
