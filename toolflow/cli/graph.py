"""``toolflow graph``: the tool graph on the command line."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolflow.errors import UsageError

if TYPE_CHECKING:
    from toolflow.catalog.tool import Tool
    from toolflow.graph.encoder import Encoder
    from toolflow.graph.graph import ToolGraph
    from toolflow.graph.links import Progress

_LINKS_SHOWN = 40

app = typer.Typer(help="Find which tools belong together, and look at what was found.", no_args_is_help=True)


class SamplerKind(StrEnum):
    """How tool sets are drawn."""

    graph = "graph"
    random = "random"


class ExportFormat(StrEnum):
    """How a graph is written for other programs."""

    edges = "edges"
    graphml = "graphml"
    node_link = "node-link"


class ShapeKind(StrEnum):
    """How the tools of a set hang together."""

    walk = "walk"
    chain = "chain"
    fan_out = "fan-out"
    merge = "merge"


Tools = Annotated[
    list[str] | None,
    typer.Option(
        "--tools",
        "-t",
        metavar="PATH",
        help="Catalogue: file, folder or URL; may be repeated.  [default: the shipped sample]",
    ),
]
GraphFile = Annotated[
    Path | None,
    typer.Argument(metavar="GRAPH", help='A graph that "toolflow graph build" wrote.', show_default=False),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        metavar="COSINE",
        help="Cosine from which texts mean the same; higher: fewer, surer links.  [default: the encoder's]",
    ),
]
EncoderName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What encodes the fields: wordllama; st:MODEL of sentence-transformers; or the URL of an "
        "OpenAI-compatible endpoint, URL#MODEL. Give all but wordllama a --threshold of their own.  "
        "[default: wordllama]",
    ),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Neither read nor keep embeddings and graphs in the cache folder.")
]
LimitTools = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Stop reading after this many tools.")
]
SkipInvalid = Annotated[
    bool, typer.Option("--skip-invalid", help="Leave out entries that are refused instead of stopping.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command()
def build(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="GRAPH", help="File to write; replaced if it exists.")
    ],
    *,
    tools: Tools = None,
    threshold: Threshold = None,
    encoder: EncoderName = None,
    limit_tools: LimitTools = None,
    skip_invalid: SkipInvalid = False,
    no_cache: NoCache = False,
    as_json: AsJson = False,
) -> None:
    """Build the tool graph of catalogues and write it to a file."""
    from toolflow.cli.graph_print import print_json

    graph = _Origin(None, tools, threshold, limit_tools, skip_invalid, encoder, no_cache).graph()
    graph.save(output)
    statistics = graph.statistics()
    if as_json:
        print_json({"output": str(output)} | _facts(graph) | statistics.to_json())
        return
    links = ", ".join(f"{count:,} {kind}" for kind, count in statistics.links.items())
    typer.echo(f"{statistics.tools:,} tools with {links} links written to {output}")


@app.command()
def stats(
    graph_file: GraphFile = None,
    *,
    tools: Tools = None,
    threshold: Threshold = None,
    encoder: EncoderName = None,
    limit_tools: LimitTools = None,
    skip_invalid: SkipInvalid = False,
    no_cache: NoCache = False,
    as_json: AsJson = False,
) -> None:
    """Tell what a tool graph looks like in figures."""
    from toolflow.cli.graph_print import print_json, print_statistics

    graph = _Origin(graph_file, tools, threshold, limit_tools, skip_invalid, encoder, no_cache).graph()
    if as_json:
        print_json(_facts(graph) | graph.statistics().to_json())
    else:
        print_statistics(graph)


@app.command()
def show(
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="Name of the tool.", show_default=False)],
    graph_file: GraphFile = None,
    *,
    tools: Tools = None,
    threshold: Threshold = None,
    encoder: EncoderName = None,
    limit_tools: LimitTools = None,
    skip_invalid: SkipInvalid = False,
    no_cache: NoCache = False,
    show_all: Annotated[bool, typer.Option("--all", help="Print all links, however many.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a tool's links: which fields join it to which tools."""
    from toolflow.cli.graph_print import print_json, print_links

    graph = _Origin(graph_file, tools, threshold, limit_tools, skip_invalid, encoder, no_cache).graph()
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


@app.command()
def sample(
    graph_file: GraphFile = None,
    *,
    tools: Tools = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many tool sets.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    sampler: Annotated[SamplerKind, typer.Option(help="Draw related tools, or any.")] = SamplerKind.graph,
    fewest: Annotated[int, typer.Option(min=1, metavar="N", help="Fewest tools in a set.")] = 3,
    most: Annotated[int, typer.Option(min=1, metavar="N", help="Most tools in a set.")] = 7,
    shape: Annotated[
        ShapeKind | None,
        typer.Option(
            help="Draw sets in one shape only, as far as the links give it.  [default: all, mixed]",
            show_default=False,
        ),
    ] = None,
    distractors: Annotated[
        int, typer.Option(min=0, metavar="N", help="Unrelated tools to offer beside each set.")
    ] = 0,
    threshold: Threshold = None,
    encoder: EncoderName = None,
    limit_tools: LimitTools = None,
    skip_invalid: SkipInvalid = False,
    no_cache: NoCache = False,
    as_json: AsJson = False,
) -> None:
    """Draw tool sets, as a run would for its dialogues.

    With --json, one object a line: its number, shape, tools, the links that join them, and distractors.
    """
    from toolflow.cli.graph_print import print_json, print_tool_set
    from toolflow.graph.sampling import GraphSampler, Sampler, SizeRange, UniformSampler
    from toolflow.graph.shapes import ShapeWeights

    if shape is not None and sampler is SamplerKind.random:
        raise UsageError("random tool sets have no shape", hint="Leave out --shape or --sampler random.")
    sizes, beside = SizeRange(fewest, most), SizeRange(distractors, distractors)
    graph = _Origin(graph_file, tools, threshold, limit_tools, skip_invalid, encoder, no_cache).graph()
    drawer: Sampler
    if sampler is SamplerKind.random:
        drawer = UniformSampler(graph.tools, seed, sizes=sizes, distractors=beside, graph=graph)
    else:
        shapes = ShapeWeights() if shape is None else ShapeWeights.only(shape.value)
        drawer = GraphSampler(graph, seed, sizes=sizes, shapes=shapes, distractors=beside)
    for index in range(n):
        tool_set = drawer.sample(index)
        if as_json:
            print_json({"index": index, **tool_set.to_json()})
        else:
            print_tool_set(index, tool_set)


@app.command()
def plot(
    tool: Annotated[
        str | None,
        typer.Argument(
            metavar="[TOOL]",
            help="Name of the tool in the middle; leave it out to draw a tool set.",
            show_default=False,
        ),
    ] = None,
    graph_file: GraphFile = None,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="HTML page to write.")
    ] = Path("graph.html"),
    seed: Annotated[
        int | None, typer.Option(help="Draw the first tool set of a run of this seed instead of a tool.")
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="How many links away from the tool to go.")] = 1,
    most: Annotated[int, typer.Option(min=2, max=200, metavar="N", help="Most tools in the picture.")] = 40,
    tools: Tools = None,
    threshold: Threshold = None,
    encoder: EncoderName = None,
    limit_tools: LimitTools = None,
    skip_invalid: SkipInvalid = False,
    no_cache: NoCache = False,
) -> None:
    """Draw a tool and what it is linked to, or a tool set, as a page that any browser shows.

    The page needs no network. Point at a line to see which fields it joins.
    """
    from toolflow.graph.plot import neighbourhood, picture_of_set
    from toolflow.graph.plot_page import write_page
    from toolflow.graph.sampling import GraphSampler

    if seed is not None and tool is not None:
        if graph_file is not None:
            raise UsageError("a tool and a seed were both given", hint="Leave out one of them.")
        graph_file, tool = Path(tool), None
    graph = _Origin(graph_file, tools, threshold, limit_tools, skip_invalid, encoder, no_cache).graph()
    if tool is not None:
        picture = neighbourhood(graph, tool, depth=depth, most=most)
    else:
        drawn = GraphSampler(graph, seed or 0).sample(0)
        picture = picture_of_set(drawn, f"The first tool set of seed {seed or 0}")
    write_page(picture, output)
    typer.echo(f"{len(picture.tools):,} tools drawn to {output}")


@app.command()
def export(
    graph_file: GraphFile = None,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="File to write, or - for standard output.")
    ] = "-",
    export_format: Annotated[
        ExportFormat, typer.Option("--format", help="One link a line as JSON, GraphML, or node-link JSON.")
    ] = ExportFormat.edges,
    tools: Tools = None,
    threshold: Threshold = None,
    encoder: EncoderName = None,
    limit_tools: LimitTools = None,
    skip_invalid: SkipInvalid = False,
    no_cache: NoCache = False,
) -> None:
    """Write a tool graph for other programs.

    A line of "edges" holds from_tool, to_tool, kind, from_field, to_field and weight; strongest first.
    """
    import sys

    from toolflow.graph.edges import edge_lines, graphml, node_link

    graph = _Origin(graph_file, tools, threshold, limit_tools, skip_invalid, encoder, no_cache).graph()
    if export_format is ExportFormat.edges:
        content = edge_lines(graph)
    else:
        content = iter([graphml(graph) if export_format is ExportFormat.graphml else node_link(graph)])
    if output == "-":
        for part in content:
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
        return
    try:
        with Path(output).open("wb") as file:
            file.writelines(content)
    except OSError as error:
        raise UsageError(
            f"{output}: cannot be written: {error.strerror or error}",
            hint="Check that the folder exists and is writable.",
        ) from error


@app.command()
def score(
    graph_file: GraphFile = None,
    *,
    gold: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Known links: JSON lines with from_tool and to_tool, names or source_ids."
        ),
    ],
    tools: Tools = None,
    among_gold: Annotated[
        bool, typer.Option("--among-gold", help="Score a graph of those tools alone that gold links name.")
    ] = False,
    calibrated: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Pick the encoder's threshold, and the weight from which links are to be taken.",
        ),
    ] = False,
    threshold: Threshold = None,
    encoder: EncoderName = None,
    limit_tools: LimitTools = None,
    skip_invalid: SkipInvalid = False,
    no_cache: NoCache = False,
    as_json: AsJson = False,
) -> None:
    """Measure how well a graph finds known links, beside exact names and plain cosine."""
    import os

    from toolflow.cli.graph_print import print_calibrated, print_json, print_scores
    from toolflow.curation.encoders import make_encoder
    from toolflow.graph.scoring import calibrate, read_gold, score_graph, tools_of

    origin = _Origin(graph_file, tools, threshold, limit_tools, skip_invalid, encoder, no_cache)
    coder = make_encoder(encoder, os.environ)
    if among_gold and graph_file is None:
        graph = origin.built(tools_of(gold, origin.catalogue()), coder)
    else:
        graph = origin.graph()
        if among_gold:
            graph = origin.built(tools_of(gold, graph.tools), coder)
    known = read_gold(gold, graph.tools)
    scores = score_graph(graph, known, coder)
    weight, cosine = (calibrate(score, known) for score in scores[:2])
    if as_json:
        facts = {"tools": len(graph), "gold_pairs": len(known.pairs), "gold_kinds": known.kinds}
        facts |= {"gold_missing": known.missing, "missing_examples": known.missing_examples}
        facts |= {"scores": [score.to_json() for score in scores]}
        picked = (
            {"calibrated": {"threshold": cosine.threshold, "weight": asdict(weight)}} if calibrated else {}
        )
        print_json(_facts(graph) | facts | picked)
        return
    print_scores(graph, known, scores)
    if calibrated:
        print_calibrated(graph, weight, cosine)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a graph comes from: a file, or catalogues to build it of."""

    file: Path | None
    tools: Sequence[str] | None
    threshold: float | None
    limit_tools: int | None
    skip_invalid: bool
    encoder: str | None = None
    no_cache: bool = False

    def graph(self) -> ToolGraph:
        import os

        from toolflow.curation.encoders import make_encoder
        from toolflow.graph.graph import ToolGraph

        if self.file is None:
            return self.built(self.catalogue(), make_encoder(self.encoder, os.environ))
        options = (self.tools, self.encoder, self.skip_invalid)
        if any(options) or self.threshold is not None or self.limit_tools is not None:
            raise UsageError(
                "a graph file and options of building one were both given",
                hint="Leave out --tools, --encoder, --threshold, --limit-tools and --skip-invalid, "
                "or the graph file.",
            )
        return ToolGraph.load(self.file)

    def built(self, catalogue: Sequence[Tool], encoder: Encoder) -> ToolGraph:
        from toolflow.folders import cache_folder
        from toolflow.graph.cache import cached_graph

        folder = None if self.no_cache else cache_folder()
        with _progress() as progress:
            return cached_graph(catalogue, encoder, folder, threshold=self.threshold, progress=progress)

    def catalogue(self) -> Sequence[Tool]:
        from toolflow.catalog.load import load_catalogue, load_sample

        if not self.tools:
            sample_tools = load_sample().tools[: self.limit_tools]
            _note(f"no --tools given: using the {len(sample_tools):,} tools of the sample catalogue")
            return sample_tools
        report = load_catalogue(self.tools, skip_invalid=self.skip_invalid, limit=self.limit_tools)
        if report.skipped:
            _note(f"{len(report.skipped):,} wrong catalogue entries were left out")
        return report.catalogue.tools


def _note(text: str) -> None:
    typer.echo(f"note: {text}", err=True)


@contextmanager
def _progress() -> Generator[Progress | None]:
    """A progress bar on standard error; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with Bar(console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total)


def _facts(graph: ToolGraph) -> dict[str, Any]:
    return {"content_hash": graph.content_hash, "encoder": graph.encoder, "threshold": graph.threshold}
