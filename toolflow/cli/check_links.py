"""``toolflow graph check-links``: a model judges a sample of a graph's links."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolflow.cli.model_work import Work, run_job
from toolflow.cli.options.draws import Seed
from toolflow.cli.options.output import AsJson, check_output, print_json
from toolflow.cli.options.panels import examples
from toolflow.cli.options.spread import spread
from toolflow.cli.telling import note, print_failures, progress
from toolflow.errors import UsageError
from toolflow.exit_codes import PARTIAL

if TYPE_CHECKING:
    from toolflow.curation.link_checking import LinkCheck
    from toolflow.graph.graph import ToolGraph
    from toolflow.graph.link import Link

_REFUSED_SHOWN = 10


EXAMPLES = examples(
    "toolflow graph check-links tools.graph -n 500 --model gpt-4.1-mini",
    "toolflow graph check-links tools.graph -o checked.graph --model gpt-4.1-mini --max-calls 200",
)


@spread
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
    n: Annotated[
        int, typer.Option("-n", min=1, metavar="N", help="How many links to judge, from all weights.")
    ] = 200,
    batch: Annotated[int, typer.Option(min=1, max=50, metavar="N", help="Links in one call.")] = 10,
    seed: Seed = 0,
    verdicts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where verdicts are kept, so that each is asked for once.",
            show_default="GRAPH.verdicts.jsonl",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Drop links even by verdicts of the rehearsal model.")
    ] = False,
    work: Work,
    as_json: AsJson = False,
) -> None:
    """Ask a model whether links make sense, tell how many do at each weight, and drop those that do not.

    Links are sampled evenly from five bands of weight. Verdicts are kept beside the graph, so the same
    command again asks for what is missing only. Those of the rehearsal model mean nothing and drop nothing.

    Exit codes: 0 all judged, 1 failure, 2 wrong usage, 3 verdicts missing (budget or failures), 130 Ctrl-C.
    """
    from toolflow.curation.link_checking import without_refused
    from toolflow.graph.graph import ToolGraph
    from toolflow.graph.link_check import sample_links

    if output is not None:
        check_output(output)
    graph = ToolGraph.load(graph_file)
    links = sample_links(graph, n, seed)
    if not links:
        raise UsageError(
            f"{graph_file}: no two tools are linked, so there is nothing to judge",
            hint="Name a graph of tools that have return schemas, or build one with a lower --threshold.",
        )
    verdicts = verdicts or graph_file.with_name(f"{graph_file.name}.verdicts.jsonl")
    rehearsal_allowed = output is None or force
    check = run_job(
        _check(work, graph, links, verdicts, batch=batch, seed=seed, rehearsal_allowed=rehearsal_allowed)
    )
    if output is not None:
        without_refused(graph, check, force=force).save(output)
    if as_json:
        print_json(_summary(check, len(links), output, verdicts))
    else:
        _print(check, len(links), output, verdicts)
    if len(check.verdicts) < len(links):
        raise typer.Exit(PARTIAL)


async def _check(
    work: Work,
    graph: ToolGraph,
    links: Sequence[Link],
    verdicts: Path,
    *,
    batch: int,
    seed: int,
    rehearsal_allowed: bool,
) -> LinkCheck:
    from toolflow.curation.link_checking import check_links as ask_about_links
    from toolflow.curation.link_checking import rehearsal_refusal

    async with work.session(seed) as session:
        if session.rehearsal and not rehearsal_allowed:
            raise rehearsal_refusal()
        if session.rehearsal:
            note("The rehearsal model judges: its verdicts mean nothing.")
        with progress(lines=True) as tell:
            return await ask_about_links(session, graph, links, verdicts, batch=batch, progress=tell)


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
