"""Where the graph of a command comes from: a file, or catalogues to build it of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolflow.cli.options.catalogues import Catalogues
from toolflow.cli.options.endpoints import Entry
from toolflow.cli.options.panels import GRAPH
from toolflow.errors import UsageError

if TYPE_CHECKING:
    from toolflow.catalog.tool import Tool
    from toolflow.graph.encoder import Encoder
    from toolflow.graph.graph import ToolGraph

GraphFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="GRAPH",
        help='A graph that "toolflow graph build" wrote.',
        show_default="built of --tools, or taken from the cache",
    ),
]
EncoderName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What encodes the fields: wordllama; st:MODEL of sentence-transformers; or the URL of an "
        "OpenAI-compatible endpoint, URL#MODEL, which wants a --threshold of its own.",
        show_default="wordllama",
        rich_help_panel=GRAPH,
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        metavar="COSINE",
        help="Cosine from which texts mean the same; higher: fewer, surer links.",
        show_default="the encoder's",
        rich_help_panel=GRAPH,
    ),
]


def check_order(tool: str, graph_file: Path | None) -> None:
    """The name of a tool stands before the graph.

    Raises:
        UsageError: The first argument is a file, or would be, and the second is none.
    """
    if graph_file is None and Path(tool).suffix == ".graph" and not Path(tool).exists():
        raise UsageError(f"there is no graph file {tool}", hint='"toolflow graph build -o FILE" writes one.')
    if Path(tool).is_file() and (graph_file is None or not graph_file.exists()):
        raise UsageError(
            f"TOOL is a file: {tool}",
            hint=f"TOOL comes first, then GRAPH: {graph_file or 'TOOL'} {tool}",
        )


@dataclass(frozen=True, slots=True)
class Origin:
    """How a graph is built."""

    catalogues: Catalogues
    encoder: EncoderName = None
    threshold: Threshold = None
    with_tool: Annotated[
        bool,
        typer.Option(
            "--with-tool",
            help="Encode each field with the name of its tool: fields of unlike tools are then less alike.",
            rich_help_panel=GRAPH,
        ),
    ] = False
    no_cache: Annotated[
        bool,
        typer.Option(
            "--no-cache",
            help="Neither read nor keep embeddings and graphs in the cache folder.",
            rich_help_panel=GRAPH,
        ),
    ] = False
    entry: Entry = field(default_factory=Entry)

    def graph(self, file: Path | None = None) -> ToolGraph:
        """The graph of a file, or the one that is built.

        Raises:
            UsageError: A file and options of building were both given, or an option has no effect.
            GraphError: The graph cannot be read or built.
            CatalogueError: A catalogue cannot be read.
            LLMError: The encoder's endpoint failed.
        """
        from toolflow.graph.graph import ToolGraph

        if file is None:
            encoder = self.make_encoder()
            return self.built(self.catalogues.read(), encoder)
        building = (self.catalogues != Catalogues(), self.encoder, self.with_tool, self.entry.given)
        if any(building) or self.threshold is not None:
            raise UsageError(
                "a graph file and options of building one were both given",
                hint="Leave out --tools, --encoder, --threshold, --with-tool, --limit-tools, --skip-invalid "
                "and what goes with an encoder's endpoint, or the graph file.",
            )
        return ToolGraph.load(file)

    def ranked(self, file: Path | None = None) -> ToolGraph:
        """The graph of a file, or the one that is built, with pairs beyond its links where it can have some.

        Raises:
            As :meth:`graph` does.
        """
        if file is not None:
            return with_candidates(self.graph(file), self.make_encoder())
        encoder = self.make_encoder()
        return with_candidates(self.built(self.catalogues.read(), encoder), encoder)

    def make_encoder(self) -> Encoder:
        """The encoder of that name.

        Raises:
            UsageError: There is none, or it is no endpoint and options for one were given.
            LLMError: The endpoint was asked which model it serves and did not answer.
        """
        import os

        from toolflow.cli.telling import note
        from toolflow.curation.encoders import is_remote, make_encoder
        from toolflow.llm.endpoint import UNCHECKED

        if self.entry.given and not is_remote(self.encoder):
            raise UsageError(
                "--api-key-env, --header, --ca-bundle and --insecure are for an encoder at an endpoint",
                hint="Name it with --encoder URL#MODEL, or leave them out.",
            )
        if self.entry.insecure:
            note(UNCHECKED)
        return make_encoder(self.encoder, os.environ, self.entry.access())

    def built(self, catalogue: Sequence[Tool], encoder: Encoder) -> ToolGraph:
        """The graph of these tools, with progress on a terminal.

        Raises:
            GraphError: It cannot be built.
            LLMError: The encoder's endpoint failed.
        """
        from toolflow.cli.telling import note, progress
        from toolflow.curation.encoders import uncalibrated
        from toolflow.folders import cache_folder
        from toolflow.graph.cache import cached_graph

        guessed = uncalibrated(self.encoder, encoder) if self.threshold is None else None
        if guessed is not None:
            note(guessed)
        folder = None if self.no_cache else cache_folder()
        with progress() as tell:
            return cached_graph(
                catalogue,
                encoder,
                folder,
                threshold=self.threshold,
                with_tool=self.with_tool,
                progress=tell,
            )


def with_candidates(graph: ToolGraph, encoder: Encoder) -> ToolGraph:
    """The graph with pairs beyond its links; without, where another encoder than its own is at hand."""
    from toolflow.cli.telling import note, progress
    from toolflow.graph import graph as tool_graph

    if graph.lacks_candidates and not graph.was_built_with(encoder):
        note(f"Pairs beyond the links need the encoder {graph.encoder}: give --tools and --encoder for them.")
        return graph
    with progress() as tell:
        return tool_graph.with_candidates(graph, encoder, tell)
