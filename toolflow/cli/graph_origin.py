"""Where the graph of a command comes from: the options that the commands of ``toolflow graph`` share."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolflow.errors import UsageError

if TYPE_CHECKING:
    from toolflow.catalog.tool import Tool
    from toolflow.graph.encoder import Encoder
    from toolflow.graph.graph import ToolGraph
    from toolflow.graph.linking.fields import Progress

Tools = Annotated[
    list[str] | None,
    typer.Option(
        "--tools",
        "-t",
        metavar="PATH",
        help="Catalogue: file, folder or URL; may be repeated.",
        show_default="the shipped sample",
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
        help="Cosine from which texts mean the same; higher: fewer, surer links.",
        show_default="the encoder's",
    ),
]
EncoderName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What encodes the fields: wordllama; st:MODEL of sentence-transformers; or the URL of an "
        "OpenAI-compatible endpoint, URL#MODEL, which wants a --threshold of its own.",
        show_default="wordllama",
    ),
]
WithTool = Annotated[
    bool,
    typer.Option(
        "--with-tool",
        help="Encode each field with the name of its tool: fields of unlike tools are then less alike.",
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


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a graph comes from: a file, or catalogues to build it of."""

    file: Path | None
    tools: Sequence[str] | None
    threshold: float | None
    limit_tools: int | None
    skip_invalid: bool
    encoder: str | None = None
    no_cache: bool = False
    with_tool: bool = False

    def graph(self) -> ToolGraph:
        import os

        from toolflow.curation.encoders import make_encoder
        from toolflow.graph.graph import ToolGraph

        if self.file is None:
            return self.built(self.catalogue(), make_encoder(self.encoder, os.environ))
        options = (self.tools, self.encoder, self.skip_invalid, self.with_tool)
        if any(options) or self.threshold is not None or self.limit_tools is not None:
            raise UsageError(
                "a graph file and options of building one were both given",
                hint="Leave out --tools, --encoder, --threshold, --with-tool, --limit-tools and "
                "--skip-invalid, or the graph file.",
            )
        return ToolGraph.load(self.file)

    def ranked(self) -> ToolGraph:
        """The graph with pairs beyond its links, where there can be such."""
        import os

        from toolflow.curation.encoders import make_encoder

        return with_candidates(self.graph(), make_encoder(self.encoder, os.environ))

    def built(self, catalogue: Sequence[Tool], encoder: Encoder) -> ToolGraph:
        from toolflow.folders import cache_folder
        from toolflow.graph.cache import cached_graph

        folder = None if self.no_cache else cache_folder()
        with graph_progress() as progress:
            return cached_graph(
                catalogue,
                encoder,
                folder,
                threshold=self.threshold,
                with_tool=self.with_tool,
                progress=progress,
            )

    def catalogue(self) -> Sequence[Tool]:
        from toolflow.catalog.load import load_catalogue, load_sample

        if not self.tools:
            sample_tools = load_sample().tools[: self.limit_tools]
            note(f"no --tools given: using the {len(sample_tools):,} tools of the sample catalogue")
            return sample_tools
        report = load_catalogue(self.tools, skip_invalid=self.skip_invalid, limit=self.limit_tools)
        if report.skipped:
            note(f"{len(report.skipped):,} wrong catalogue entries were left out")
        return report.catalogue.tools


def with_candidates(graph: ToolGraph, encoder: Encoder) -> ToolGraph:
    """The graph with pairs beyond its links; without, where another encoder than its own is at hand."""
    from toolflow.graph import graph as tool_graph

    if not graph.was_built_with(encoder):
        note(f"pairs beyond the links need the encoder {graph.encoder}: give --tools and --encoder for them")
        return graph
    with graph_progress() as progress:
        return tool_graph.with_candidates(graph, encoder, progress)


def note(text: str) -> None:
    """A line for the user beside the output."""
    typer.echo(f"note: {text}", err=True)


@contextmanager
def graph_progress() -> Generator[Progress | None]:
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


def facts(graph: ToolGraph) -> dict[str, Any]:
    """What a graph was built from and with."""
    return {"content_hash": graph.content_hash, "encoder": graph.encoder, "threshold": graph.threshold}
