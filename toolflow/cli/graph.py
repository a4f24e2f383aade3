"""``toolflow graph``: the tool graph on the command line."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolflow.errors import UsageError

if TYPE_CHECKING:
    from toolflow.catalog.tool import Tool
    from toolflow.graph.graph import ToolGraph
    from toolflow.graph.links import Progress

_LINKS_SHOWN = 40

app = typer.Typer(help="Find which tools belong together, and look at what was found.", no_args_is_help=True)


class SamplerKind(StrEnum):
    """How tool sets are drawn."""

    graph = "graph"
    random = "random"


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
    limit_tools: LimitTools = None,
    skip_invalid: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Build the tool graph of catalogues and write it to a file."""
    from toolflow.cli.graph_print import print_json

    graph = _Origin(None, tools, threshold, limit_tools, skip_invalid).graph()
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
    limit_tools: LimitTools = None,
    skip_invalid: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Tell what a tool graph looks like in figures."""
    from toolflow.cli.graph_print import print_json, print_statistics

    graph = _Origin(graph_file, tools, threshold, limit_tools, skip_invalid).graph()
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
    limit_tools: LimitTools = None,
    skip_invalid: SkipInvalid = False,
    show_all: Annotated[bool, typer.Option("--all", help="Print all links, however many.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a tool's links: which fields join it to which tools."""
    from toolflow.cli.graph_print import print_json, print_links

    graph = _Origin(graph_file, tools, threshold, limit_tools, skip_invalid).graph()
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
    threshold: Threshold = None,
    limit_tools: LimitTools = None,
    skip_invalid: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Draw tool sets, as a run would for its dialogues.

    With --json, one object a line: the seed of the set, its tools and the links that join them.
    """
    from toolflow.cli.graph_print import print_json, print_tool_set
    from toolflow.clock import derive_seed
    from toolflow.graph.sampling import GraphSampler, SizeRange, UniformSampler

    sizes = SizeRange(fewest, most)
    graph = _Origin(graph_file, tools, threshold, limit_tools, skip_invalid).graph()
    drawer = (
        GraphSampler(graph, sizes)
        if sampler is SamplerKind.graph
        else UniformSampler(graph.tools, sizes, graph)
    )
    for index in range(n):
        set_seed = derive_seed(seed, index, "tools")
        tool_set = drawer.sample(set_seed)
        names = [tool.name for tool in tool_set.tools]
        if as_json:
            links = [link.to_json() for link in tool_set.links]
            print_json({"seed": set_seed, "tools": names, "links": links})
        else:
            print_tool_set(index, names, tool_set.links)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a graph comes from: a file, or catalogues to build it of."""

    file: Path | None
    tools: Sequence[str] | None
    threshold: float | None
    limit_tools: int | None
    skip_invalid: bool

    def graph(self) -> ToolGraph:
        from toolflow.graph.encoder import WordLlamaEncoder
        from toolflow.graph.graph import ToolGraph, build_graph

        if self.file is None:
            catalogue = self._catalogue()
            with _progress() as progress:
                return build_graph(catalogue, WordLlamaEncoder(), threshold=self.threshold, progress=progress)
        if self.tools or self.threshold is not None or self.limit_tools is not None or self.skip_invalid:
            raise UsageError(
                "a graph file and options of building one were both given",
                hint="Leave out --tools, --threshold, --limit-tools and --skip-invalid, or the graph file.",
            )
        return ToolGraph.load(self.file)

    def _catalogue(self) -> Sequence[Tool]:
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
