"""``toolflow graph check-links``: a model judges a sample of a graph's links."""

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
    from toolflow.config import RunConfig
    from toolflow.curation.link_checking import LinkCheck
    from toolflow.graph.graph import ToolGraph
    from toolflow.graph.link import Link

_REFUSED_SHOWN = 10


def check_links(
    graph_file: Annotated[
        Path, typer.Argument(metavar="GRAPH", help='A graph that "toolflow graph build" wrote.')
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="GRAPH",
            help="Write the graph without the refused links here; may be the same file.",
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many links to judge, from all weights.")] = 200,
    batch: Annotated[int, typer.Option(min=1, max=50, metavar="N", help="Links in one call.")] = 10,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    verdicts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where verdicts are kept, to be asked for once.  [default: GRAPH.verdicts.jsonl]",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Drop links even by verdicts of the rehearsal model.")
    ] = False,
    model: Model = None,
    base_url: BaseUrl = None,
    api: Api = None,
    header: Header = None,
    ca_bundle: CaBundle = None,
    insecure: Insecure = None,
    max_concurrency: MaxConcurrency = 64,
    max_calls: MaxCalls = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Ask a model whether links make sense, tell how many do at each weight, and drop those that do not.

    Links are sampled evenly from five bands of weight. Verdicts are kept beside the graph, so the same
    command again asks for what is missing only. Those of the rehearsal model mean nothing and drop nothing.

    Exit codes: 0 all judged, 1 failure, 2 wrong usage, 3 verdicts missing (budget or failures), 130 Ctrl-C.
    """
    from toolflow.config import load_config
    from toolflow.curation.link_checking import without_refused
    from toolflow.graph.graph import ToolGraph
    from toolflow.graph.link_check import sample_links

    flags = {"model": model, "base_url": base_url, "max_concurrency": max_concurrency, "seed": seed}
    flags |= endpoint_flags(api, header, ca_bundle, insecure)
    config = load_config(None, flags)
    graph = ToolGraph.load(graph_file)
    links = sample_links(graph, n, seed)
    if not links:
        raise UsageError(f"{graph_file}: no two tools are linked, so there is nothing to judge")
    verdicts = verdicts or graph_file.with_name(f"{graph_file.name}.verdicts.jsonl")
    rehearsal_allowed = output is None or force
    check = run_job(
        _check(
            config,
            graph,
            links,
            verdicts,
            batch=batch,
            max_calls=max_calls,
            rehearsal_allowed=rehearsal_allowed,
        )
    )
    if output is not None:
        without_refused(graph, check, force=force).save(output)
    if as_json:
        from toolflow.catalog.tool import encode_json

        typer.echo(encode_json(_summary(check, len(links), output, verdicts)))
    else:
        _print(check, len(links), output, verdicts)
    if len(check.verdicts) < len(links):
        raise typer.Exit(PARTIAL)


async def _check(
    config: RunConfig,
    graph: ToolGraph,
    links: Sequence[Link],
    verdicts: Path,
    *,
    batch: int,
    max_calls: int | None,
    rehearsal_allowed: bool,
) -> LinkCheck:
    import os

    from toolflow.curation.link_checking import check_links as ask_about_links
    from toolflow.curation.link_checking import rehearsal_refusal
    from toolflow.curation.session import open_session

    async with open_session(config, os.environ, max_calls) as session:
        if session.rehearsal and not rehearsal_allowed:
            raise rehearsal_refusal()
        print_notices(session.notices)
        if session.rehearsal:
            print_notices(("The rehearsal model judges: its verdicts mean nothing.",))
        with job_progress() as progress:
            return await ask_about_links(session, graph, links, verdicts, batch=batch, progress=progress)


def _summary(check: LinkCheck, links: int, output: Path | None, verdicts: Path) -> dict[str, Any]:
    from dataclasses import asdict

    from toolflow.graph.link_check import figures_by_band

    return {
        "links": links,
        "judged": len(check.verdicts),
        "known_before": check.known,
        "refused": [
            link.to_json() | {"reason": verdict.reason}
            for link, verdict in check.verdicts
            if not verdict.makes_sense
        ],
        "bands": [asdict(band) for band in figures_by_band(check.verdicts)],
        "failed": check.tally.failed,
        "calls": check.calls,
        "rehearsal": check.rehearsal,
        "verdicts": str(verdicts),
        "output": None if output is None else str(output),
    }


def _print(check: LinkCheck, links: int, output: Path | None, verdicts: Path) -> None:
    from toolflow.graph.link_check import figures_by_band
    from toolflow.text import one_line

    refused = [(link, verdict) for link, verdict in check.verdicts if not verdict.makes_sense]
    typer.echo(
        f"{len(check.verdicts):,} of {links:,} links judged, {len(refused):,} refused "
        f"({check.calls:,} LLM calls, {check.known:,} verdicts known before)"
    )
    if check.rehearsal:
        typer.echo("  by the rehearsal model: these verdicts mean nothing")
    for band in figures_by_band(check.verdicts):
        sound = band.judged - band.refused
        typer.echo(
            f"  weight {band.above:.1f} to {band.most:.1f}: {sound:,} of {band.judged:,} make sense "
            f"({sound / band.judged:.0%})"
        )
    for link, verdict in refused[:_REFUSED_SHOWN]:
        arrow = "→" if link.kind == "return-parameter" else "–"
        ends = f"{link.from_tool}.{link.from_field} {arrow} {link.to_tool}.{link.to_field}"
        typer.echo(f"  refused: {one_line(ends, 160)}: {one_line(verdict.reason, 160)}")
    if len(refused) > _REFUSED_SHOWN:
        typer.echo(f"  … and {len(refused) - _REFUSED_SHOWN:,} more, in {verdicts}")
    print_failures(check.tally.failed, check.tally.examples)
    if output is not None:
        typer.echo(f"the graph without them is in {output}")
