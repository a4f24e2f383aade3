"""``toolflow tools enrich``: a model fills in what a catalogue lacks, and invents tools beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolflow.cli.model_work import Work, run_job
from toolflow.cli.options.catalogues import LimitTools, Paths, SkipInvalid
from toolflow.cli.options.draws import Seed
from toolflow.cli.options.output import AsJson, check_output, print_json
from toolflow.cli.options.panels import examples
from toolflow.cli.options.spread import spread
from toolflow.cli.telling import print_failures, progress
from toolflow.errors import UsageError
from toolflow.exit_codes import PARTIAL

if TYPE_CHECKING:
    from toolflow.catalog.tool import Tool
    from toolflow.curation.enrichment import Enrichment
    from toolflow.curation.filling import Fill


EXAMPLES = examples(
    "toolflow tools enrich tools.jsonl -o enriched.jsonl --model gpt-4.1-mini --max-calls 500",
    "toolflow tools enrich tools.jsonl -o enriched.jsonl --fill returns --evolve 50 --base-url http://gpu:8000/v1",
)


@spread
def enrich(
    paths: Paths,
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
    seed: Seed = 0,
    limit_tools: LimitTools = None,
    skip_invalid: SkipInvalid = False,
    work: Work,
    as_json: AsJson = False,
) -> None:
    """Have a model fill in missing descriptions and return schemas, and evolve new tools.

    What was invented is marked in each tool's "provenance". The same command again goes on where the last one
    stopped; nothing is paid for twice. With no model configured the rehearsal model answers: what it
    invents is good for trying out only, is marked "rehearsal", and a real model replaces it.

    Exit codes: 0 all done, 1 failure, 2 wrong usage, 3 something is missing (budget or failures), 130 Ctrl-C.
    """
    from toolflow.catalog.load import load_catalogue

    fills = _fills(fill)
    check_output(output)
    tools = load_catalogue(paths, skip_invalid=skip_invalid, limit=limit_tools).catalogue.tools
    enrichment, rehearsal = run_job(_enrich(work, tools, output, fills, evolve=evolve, seed=seed))
    if as_json:
        print_json(_summary(enrichment, output, rehearsal=rehearsal))
    else:
        _print(enrichment, output)
    if enrichment.missing:
        raise typer.Exit(PARTIAL)


async def _enrich(
    work: Work,
    tools: Sequence[Tool],
    output: Path,
    fills: Sequence[Fill],
    *,
    evolve: int,
    seed: int,
) -> tuple[Enrichment, bool]:
    from toolflow.curation.enrichment import enrich as enrich_tools
    from toolflow.graph.encoder import WordLlamaEncoder

    async with work.session(seed) as session:
        with progress(lines=True) as tell:
            enrichment = await enrich_tools(
                session,
                tools,
                output,
                fills=fills,
                evolve=evolve,
                encoder=WordLlamaEncoder(),
                progress=tell,
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
