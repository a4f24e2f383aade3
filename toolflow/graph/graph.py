"""The tool graph: tools and the links between them, frozen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolflow.catalog.catalogue import Catalogue
from toolflow.catalog.tool import Tool
from toolflow.errors import GraphError
from toolflow.graph.adjacency import Adjacency, make_adjacency
from toolflow.graph.encoder import Encoder
from toolflow.graph.link import Link
from toolflow.graph.linking.fields import Progress
from toolflow.graph.linking.link_table import KINDS, PARAMETER_PARAMETER, LinkTable, join_tables, no_links
from toolflow.graph.linking.links import find_links
from toolflow.graph.linking.ranking import MOST_TOOLS, SMALL, find_candidates
from toolflow.graph.statistics import GraphStatistics, measure
from toolflow.graph.storage import StoredGraph, encode_graph, read_graph, write_graph
from toolflow.spelling import hint_of_names

if TYPE_CHECKING:
    import networkx as nx


_WITH_TOOLS = ", with tools"
_LINKS_AT_ONCE = 1 << 14


@dataclass(frozen=True, eq=False)  # without slots: the cached properties live in the instance's dict
class ToolGraph:
    """Tools and the links that say which of them belong together.

    Attributes:
        tools: The tools, in the order of their catalogue; their names are distinct.
        table: The links as arrays over the indices of ``tools``.
        content_hash: Hash of the catalogue the graph was built from.
        encoder: Name of the encoder it was built with.
        threshold: The encoder's cosine from which texts meant the same.
        candidates: Pairs too weak to count as links: all in a small catalogue, so that none that may be true
            is lost; in a larger one there are none until :func:`with_candidates` finds them. All else here
            is about the links alone.
    """

    tools: tuple[Tool, ...]
    table: LinkTable
    content_hash: str
    encoder: str
    threshold: float
    candidates: LinkTable = dataclasses.field(default_factory=no_links)

    def __len__(self) -> int:
        return len(self.tools)

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def index(self, name: str) -> int:
        """The index of a tool.

        Raises:
            GraphError: There is no tool of that name; the hint lists names that it may have meant.
        """
        index = self._index.get(name)
        if index is None:
            hint = hint_of_names(name, self._index)
            raise GraphError(f"the graph has no tool named {name!r}", hint=hint)
        return index

    def tool(self, name: str) -> Tool:
        """The tool of that name.

        Raises:
            GraphError: There is none.
        """
        return self.tools[self.index(name)]

    @property
    def lacks_candidates(self) -> bool:
        """Whether :func:`with_candidates` would find pairs beyond its links."""
        return SMALL < len(self) <= MOST_TOOLS and not len(self.candidates)

    def was_built_with(self, encoder: Encoder) -> bool:
        """Whether that encoder encoded its fields."""
        return self.encoder.removesuffix(_WITH_TOOLS) == encoder.name

    def links(self) -> Iterator[Link]:
        """All links, strongest first."""
        return map(self._link, range(len(self.table)))

    def all_pairs(self) -> Iterator[Link]:
        """All links, and after them all candidates, strongest first."""
        for table in (self.table, self.candidates):
            for low in range(0, len(table), _LINKS_AT_ONCE):
                yield from self._all_named(table.where(slice(low, low + _LINKS_AT_ONCE)))

    def links_of(self, name: str) -> tuple[Link, ...]:
        """The links of a tool, strongest first.

        Raises:
            GraphError: There is no tool of that name.
        """
        return tuple(map(self._link, self.adjacency.links_of(self.index(name)).tolist()))

    def links_among(self, names: Iterable[str]) -> tuple[Link, ...]:
        """The links whose ends are both among these tools, strongest first.

        Raises:
            GraphError: There is no tool of one of the names.
        """
        indices = np.unique([self.index(name) for name in names]).astype(np.int32)
        links = [
            self.adjacency.links_of(tool)[np.isin(self.adjacency.others_of(tool), indices)]
            for tool in indices
        ]
        return tuple(map(self._link, np.unique(np.concatenate(links)).tolist())) if links else ()

    def neighbours(self, name: str) -> Mapping[str, float]:
        """The tools that a tool is linked to, each with the weight of its strongest link, strongest first.

        Raises:
            GraphError: There is no tool of that name.
        """
        index = self.index(name)
        strongest: dict[str, float] = {}
        others = self.adjacency.others_of(index).tolist()
        for other, link in zip(others, self.adjacency.links_of(index).tolist(), strict=True):
            strongest.setdefault(self.tools[other].name, self._weight(link))
        return strongest

    def statistics(self) -> GraphStatistics:
        """The graph in figures."""
        return measure(tuple(tool.name for tool in self.tools), self.table, self.adjacency)

    def to_networkx(self) -> nx.MultiDiGraph[str]:
        """The graph for networkx.

        Nodes are tool names with ``description`` and ``category``. Edges have ``kind``, ``from_field``,
        ``to_field``, ``weight`` and ``directed``; a link between parameters is one edge that is not directed.
        """
        import networkx as nx  # noqa: PLC0415  only needed here

        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(
            content_hash=self.content_hash, encoder=self.encoder, threshold=self.threshold
        )
        for tool in self.tools:
            graph.add_node(tool.name, description=tool.description, category=tool.category)
        for link in self.links():
            attributes: dict[str, Any] = link.to_json()
            ends = attributes.pop("from_tool"), attributes.pop("to_tool")
            graph.add_edge(*ends, **attributes, directed=link.kind != KINDS[PARAMETER_PARAMETER])
        return graph

    def encode(self) -> bytes:
        """The graph, tools included, as the content of a file: see :mod:`toolflow.graph.storage`."""
        table = join_tables(self.table, self.candidates)
        return encode_graph(StoredGraph(self.tools, table, self.content_hash, self.encoder, self.threshold))

    def save(self, path: Path | str) -> None:
        """Write the graph to a file.

        Raises:
            GraphError: The file cannot be written.
        """
        write_graph(Path(path), self.encode())

    @classmethod
    def load(cls, path: Path | str, known: Catalogue | None = None) -> ToolGraph:
        """Read a graph that :meth:`save` wrote.

        Args:
            path: The file.
            known: Tools at hand; where the graph was built from just these, it takes them and is read in less
                than half the time.

        Raises:
            GraphError: The file cannot be read, is no tool graph, is damaged, or is of another version.
        """
        stored = read_graph(Path(path), known)
        table, candidates = stored.table.split()
        return cls(stored.tools, table, stored.content_hash, stored.encoder, stored.threshold, candidates)

    @cached_property
    def links_hash(self) -> str:
        """SHA-256, in hexadecimal, of the tools and the links: graphs of one hash give the same tool sets."""
        return self.table.hashed(self.content_hash)

    @cached_property
    def adjacency(self) -> Adjacency:
        """Which links each tool has."""
        return make_adjacency(self.table, len(self.tools))

    @cached_property
    def _index(self) -> dict[str, int]:
        return {tool.name: index for index, tool in enumerate(self.tools)}

    def _link(self, link: int) -> Link:
        return next(self._all_named(self.table.where(slice(link, link + 1))))

    def _all_named(self, table: LinkTable) -> Iterator[Link]:
        tools, paths = self.tools, table.paths
        columns = (table.from_tool, table.to_tool, table.kind, table.from_path, table.to_path, table.weight)
        for start, end, kind, from_path, to_path, weight in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            ends = tools[start].name, tools[end].name
            yield Link(*ends, KINDS[kind], paths[from_path], paths[to_path], round(weight, 4))

    def _weight(self, link: int) -> float:
        return round(float(self.table.weight[link]), 4)


def build_graph(
    catalogue: Iterable[Tool],
    encoder: Encoder,
    *,
    threshold: float | None = None,
    with_tool: bool = False,
    progress: Progress | None = None,
) -> ToolGraph:
    """Find which tools of a catalogue belong together.

    Args:
        catalogue: Tools with distinct names.
        encoder: Says how alike texts are.
        threshold: Cosine from which texts mean the same, in [0, 1); the encoder's own if None. A higher one
            gives fewer and surer links.
        with_tool: Encode each field with the name of its tool.
        progress: Called with the stage of the work, how much of it is done, and of how much.

    Raises:
        CatalogueError: Two tools have the same name.
        GraphError: The threshold is out of range.
        EncoderFailedError: The encoder broke its contract.
    """
    if threshold is None:
        threshold = encoder.threshold
    if not 0 <= threshold < 1:
        raise GraphError(
            f"the threshold is {threshold}, but a cosine from 0 up to, not including, 1 is needed",
            hint=f"Leave it out to take the one calibrated for {encoder.name}: {encoder.threshold}.",
        )
    tools = tuple(catalogue)
    content_hash = Catalogue(tools).content_hash
    links = find_links(tools, encoder, threshold, progress or _silent, with_tool=with_tool)
    table, candidates = links.split()
    name = encoder.name + _WITH_TOOLS if with_tool else encoder.name
    return ToolGraph(tools, table, content_hash, name, threshold, candidates)


def with_candidates(graph: ToolGraph, encoder: Encoder, progress: Progress | None = None) -> ToolGraph:
    """The graph with pairs beyond its links, so that a ranking of all pairs can be read far down.

    A catalogue of up to 1,500 tools has them from the start. In one of up to 10,000 every ordered pair is
    weighed now, which takes from seconds to minutes, and the likeliest are kept: with the links a tenth of
    all, and no fewer than a catalogue of 1,500 tools has. A larger graph comes back as it is.

    Args:
        graph: A graph that was just built, or read from a file.
        encoder: What it was built with.
        progress: Called as the work goes on.

    Raises:
        GraphError: The graph was built with another encoder.
        EncoderFailedError: This one broke its contract.
    """
    if not graph.lacks_candidates:
        return graph
    if not graph.was_built_with(encoder):
        raise GraphError(
            f"the graph was built with the encoder {graph.encoder}, not {encoder.name}",
            hint="Pairs beyond its links can be found with the same encoder only.",
        )
    table, candidates = find_candidates(
        graph.tools,
        graph.table,
        encoder,
        graph.threshold,
        progress or _silent,
        with_tool=graph.encoder.endswith(_WITH_TOOLS),
    )
    return dataclasses.replace(graph, table=table, candidates=candidates)


def _silent(_stage: str, _done: int, _total: int) -> None:
    return None
