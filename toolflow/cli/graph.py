"""``toolflow graph``: the tool graph on the command line."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from toolflow.cli.graph_sets import plot, sample
from toolflow.cli.options.graphs import GraphFile, Origin, check_order, with_candidates
from toolflow.cli.options.output import AsJson, ShowAll, check_output, print_json
from toolflow.cli.options.panels import examples
from toolflow.cli.options.spread import spread
from toolflow.errors import UsageError
from toolflow.files import write_whole

_LINKS_SHOWN = 40

app = typer.Typer(help="Find which tools belong together, and look at what was found.", no_args_is_help=True)


class ExportFormat(StrEnum):
    """How a graph is written for other programs."""

    edges = "edges"
    graphml = "graphml"
    node_link = "node-link"


@app.command(
    epilog=examples(
        "toolflow graph build --tools tools.jsonl -o tools.graph",
        "toolflow graph build --encoder http://gpu:8001/v1#bge-m3 --threshold 0.7 -o sample.graph",
    )
)
@spread
def build(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="GRAPH", help="File to write; replaced if it exists.")
    ],
    *,
    origin: Origin,
    as_json: AsJson = False,
) -> None:
    """Build the tool graph of catalogues and write it to a file."""
    from toolflow.cli.graph_print import facts

    check_output(output)
    graph = origin.graph()
    graph.save(output)
    statistics = graph.statistics()
    if as_json:
        print_json({"output": str(output)} | facts(graph) | statistics.to_json())
        return
    links = ", ".join(f"{count:,} {kind}" for kind, count in statistics.links.items())
    typer.echo(f"{statistics.tools:,} tools with {links} links written to {output}")


@app.command(
    epilog=examples(
        "toolflow graph stats tools.graph",
    )
)
@spread
def stats(
    graph_file: GraphFile = None,
    *,
    origin: Origin,
    as_json: AsJson = False,
) -> None:
    """Tell what a tool graph looks like in figures."""
    from toolflow.cli.graph_print import facts, print_statistics

    graph = origin.graph(graph_file)
    if as_json:
        print_json(facts(graph) | graph.statistics().to_json())
    else:
        print_statistics(graph)


@app.command(
    epilog=examples(
        "toolflow graph show search_flights",
        "toolflow graph show search_flights tools.graph --all",
    )
)
@spread
def show(
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="Name of the tool.", show_default=False)],
    graph_file: GraphFile = None,
    *,
    origin: Origin,
    show_all: ShowAll = False,
    as_json: AsJson = False,
) -> None:
    """Show a tool's links: which fields join it to which tools."""
    from toolflow.cli.graph_print import print_links

    check_order(tool, graph_file)
    graph = origin.graph(graph_file)
    links = graph.links_of(tool)
    if as_json:
        flows = [link for link in links if link.kind == "return-parameter"]
        print_json(
            {
                "tool": graph.tool(tool).to_canonical(),
                "in": [link.to_json() for link in flows if link.to_tool == tool],
                "out": [link.to_json() for link in flows if link.from_tool == tool],
                "shared": [link.to_json() for link in links if link not in flows],
            }
        )
    else:
        print_links(graph.tool(tool), links, most=len(links) if show_all else _LINKS_SHOWN)


@app.command(
    epilog=examples(
        "toolflow graph export tools.graph -o edges.jsonl",
        "toolflow graph export tools.graph --format graphml -o tools.graphml",
    )
)
@spread
def export(
    graph_file: GraphFile = None,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="File to write, or - for standard output.")
    ] = "-",
    export_format: Annotated[
        ExportFormat, typer.Option("--format", help="One link a line as JSON, GraphML, or node-link JSON.")
    ] = ExportFormat.edges,
    origin: Origin,
) -> None:
    """Write a tool graph for other programs.

    A line of "edges" holds from_tool, to_tool, kind, from_field, to_field and weight; strongest first. Up to
    10,000 tools weaker pairs than links follow: all in a small catalogue, else down to a tenth of all pairs.
    """
    import sys

    from toolflow.graph.edges import edge_lines, graphml, node_link

    if output != "-":
        check_output(Path(output))
    if export_format is ExportFormat.edges:
        content = edge_lines(origin.ranked(graph_file))
    else:
        graph = origin.graph(graph_file)
        content = iter([graphml(graph) if export_format is ExportFormat.graphml else node_link(graph)])
    if output == "-":
        for part in content:
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
        return
    try:
        write_whole(Path(output), content)
    except OSError as error:
        raise UsageError(
            f"{output}: cannot be written: {error.strerror or error}",
            hint="Check that the folder exists and is writable.",
        ) from error


@app.command(
    epilog=examples(
        "toolflow graph score tools.graph --gold gold.jsonl",
        "toolflow graph score -t tools.jsonl --gold gold.jsonl --among-gold --calibrate",
    )
)
@spread
def score(
    graph_file: GraphFile = None,
    *,
    gold: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Known links: JSON lines with from_tool and to_tool, names or source_ids."
        ),
    ],
    among_gold: Annotated[
        bool, typer.Option("--among-gold", help="Score a graph of those tools alone that gold links name.")
    ] = False,
    calibrated: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Pick the encoder's threshold τ, for --threshold of build and synth, and the weight from "
            "which links are to be taken: of best F1 where gold is complete, else for a density of 0.10.",
        ),
    ] = False,
    origin: Origin,
    as_json: AsJson = False,
) -> None:
    """Measure how well a graph finds known links, beside exact names and plain cosine."""
    from toolflow.cli.graph_print import facts, print_calibrated, print_scores
    from toolflow.graph.scoring import calibrate, calibrate_threshold, read_gold, score_graph, tools_of

    coder = origin.make_encoder()
    if among_gold and graph_file is None:
        graph = origin.built(tools_of(gold, origin.catalogues.read()), coder)
    else:
        graph = origin.graph(graph_file)
        if among_gold:
            graph = origin.built(tools_of(gold, graph.tools), coder)
    graph = with_candidates(graph, coder)
    known = read_gold(gold, graph.tools)
    scores = score_graph(graph, known, coder)
    weight, tau = calibrate(scores[0], known), calibrate_threshold(scores[1], known)
    if as_json:
        found = {"tools": len(graph), "gold_pairs": len(known.pairs), "gold_kinds": known.kinds}
        found |= {"gold_missing": known.missing, "missing_examples": known.missing_examples}
        found |= {"scores": [score.to_json() for score in scores]}
        picked = {"calibrated": {"threshold": tau, "weight": asdict(weight)}} if calibrated else {}
        print_json(facts(graph) | found | picked)
        return
    print_scores(graph, known, scores)
    if calibrated:
        print_calibrated(graph, weight, tau)


app.command(
    epilog=examples(
        "toolflow graph sample tools.graph -n 3 --seed 1 --json",
        "toolflow graph sample tools.graph --shape chain --fewest 4 --most 4",
    )
)(sample)
app.command(
    epilog=examples(
        "toolflow graph plot search_flights tools.graph -o graph.html",
        "toolflow graph plot tools.graph --seed 7",
    )
)(plot)
