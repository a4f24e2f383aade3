"""What ``toolflow graph`` prints; imported inside its commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from rich.text import Text

from toolflow.catalog.tool import Tool
from toolflow.cli.options.output import open_console
from toolflow.graph.graph import ToolGraph
from toolflow.graph.link import Link, ToolSet
from toolflow.graph.scoring import Gold, Kept, Score
from toolflow.text import one_line


def facts(graph: ToolGraph) -> dict[str, Any]:
    """What a graph was built from and with, for JSON."""
    return {"content_hash": graph.content_hash, "encoder": graph.encoder, "threshold": graph.threshold}


def print_statistics(graph: ToolGraph) -> None:
    """A graph in figures."""
    statistics = graph.statistics()
    typer.echo(f"{statistics.tools:,} tools; encoder {graph.encoder}, threshold {graph.threshold:g}")
    for kind, count in statistics.links.items():
        typer.echo(f"  {kind} links: {count:,}")
    if not any(statistics.links.values()):
        typer.echo("  no two tools are linked: tool sets are drawn uniformly")
        return
    typer.echo(
        f"  degree: mean {statistics.degree_mean:g}, median {statistics.degree_median:g}, "
        f"90 % at most {statistics.degree_p90:g}, largest {statistics.degree_max:,}"
    )
    typer.echo(
        f"  components: {statistics.components:,}, the largest of {statistics.largest_component:,} tools; "
        f"{statistics.isolated:,} isolated tools"
    )
    typer.echo("  most linked:")
    for hub in statistics.hubs:
        typer.echo(f"    {hub.degree:>6,}  {_shown(hub.tool)}")


def print_scores(graph: ToolGraph, gold: Gold, scores: Sequence[Score]) -> None:
    """Recall and precision of a graph and of the baselines."""
    kinds = ", ".join(f"{count:,} {_shown(kind)}" for kind, count in gold.kinds.items())
    typer.echo(f"{len(graph):,} tools; {len(gold.pairs):,} pairs of gold links ({kinds})")
    if gold.missing:
        examples = ", ".join(map(_shown, gold.missing_examples))
        typer.echo(
            f"  {gold.missing:,} gold links are not between two tools of the catalogue: {examples} ..."
        )
    typer.echo("  strongest links kept     recall  precision")
    for place, kept in enumerate(scores[0].densities):
        for score in scores:
            figures = score.densities[place]
            row = f"{figures.recall:>7.3f}{figures.precision:>11.3f}"
            typer.echo(f"    density {kept.density:.2f} {score.method:<11}{row}")
    typer.echo("  weight from   density   recall  precision     F1")
    for kept in scores[0].sweep:
        typer.echo(
            f"         {kept.threshold:.2f}{kept.density:>10.3f}{kept.recall:>9.3f}"
            f"{kept.precision:>11.3f}{kept.f1:>7.3f}"
        )


def print_calibrated(graph: ToolGraph, weight: Kept, threshold: float | None) -> None:
    """The threshold that suits the encoder, and the weight from which its links are to be taken."""
    if threshold is None:
        typer.echo(f"calibrated: no cosine of {graph.encoder} finds a gold link; keep its threshold")
    else:
        typer.echo(f"calibrated: τ = {threshold:g} for {graph.encoder}; this graph has {graph.threshold:g}")
        typer.echo(f"  use it: toolflow graph build --threshold {threshold:g} (synth takes it too)")
    typer.echo(
        f"  links of this graph from weight {weight.threshold:g} on: recall {weight.recall:.3f}, "
        f"precision {weight.precision:.3f}, density {weight.density:.3f}"
    )


def print_links(tool: Tool, links: Sequence[Link], *, most: int) -> None:
    """A tool's links, at most ``most`` of each kind and direction."""
    console = open_console()
    console.print(Text.assemble((_shown(tool.name), "bold"), "  ", _shown(tool.description)))
    flows = [link for link in links if link.kind == "return-parameter"]
    shared = [link for link in links if link.kind == "parameter-parameter"]
    for title, arrow, shown in (
        ("takes results of", "←", [link for link in flows if link.to_tool == tool.name]),
        ("gives results to", "→", [link for link in flows if link.from_tool == tool.name]),
        ("shares parameters with", "–", shared),
    ):
        typer.echo(f"{title}: {len(shown):,}" if shown else f"{title}: none")
        for link in shown[:most]:
            own, other, field = link.from_field, link.to_tool, link.to_field
            if link.from_tool != tool.name:
                own, other, field = link.to_field, link.from_tool, link.from_field
            fields = f"{_shown(own)} {arrow} {_shown(field)}"
            console.print(Text(f"  {link.weight:.2f}  {_shown(other)}  {fields}"), soft_wrap=True)
        if len(shown) > most:
            typer.echo(f"  … and {len(shown) - most:,} more (--all shows them)")


def print_tool_set(index: int, tool_set: ToolSet) -> None:
    """One drawn tool set and its links."""
    console = open_console()
    names = ", ".join(_shown(tool.name) for tool in tool_set.tools)
    shape = f"  ({tool_set.shape})" if tool_set.shape is not None else ""
    console.print(Text.assemble((f"{index + 1}. {names}", "bold"), shape), soft_wrap=True)
    if not tool_set.links:
        typer.echo("   no links")
    for link in tool_set.links:
        arrow = "→" if link.kind == "return-parameter" else "–"
        from_end = f"{_shown(link.from_tool)}.{_shown(link.from_field)}"
        to_end = f"{_shown(link.to_tool)}.{_shown(link.to_field)}"
        console.print(Text(f"   {link.weight:.2f}  {from_end} {arrow} {to_end}"), soft_wrap=True)
    if tool_set.distractors:
        names = ", ".join(_shown(tool.name) for tool in tool_set.distractors)
        console.print(Text(f"   beside it: {names}"), soft_wrap=True)


def _shown(text: str) -> str:
    return one_line(text, 200)
