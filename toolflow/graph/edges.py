"""Graphs for other programs: edges line by line, GraphML, node-link JSON."""

from __future__ import annotations

import io
from collections.abc import Iterator

import msgspec

from toolflow.graph.graph import ToolGraph


def edge_lines(graph: ToolGraph) -> Iterator[bytes]:
    """Every link, and after them every candidate, as one line of JSON, strongest first."""
    encode = msgspec.json.Encoder().encode
    for link in graph.all_pairs():
        yield encode(link.to_json()) + b"\n"


def node_link(graph: ToolGraph) -> bytes:
    """The graph as networkx's node-link JSON, the form that ``networkx.node_link_graph`` reads."""
    import networkx as nx  # noqa: PLC0415  only needed here

    return msgspec.json.encode(nx.node_link_data(graph.to_networkx(), edges="edges")) + b"\n"


def graphml(graph: ToolGraph) -> bytes:
    """The graph as GraphML: what it cannot hold, control characters and missing values, is left out."""
    import networkx as nx  # noqa: PLC0415  only needed here

    exported = graph.to_networkx()
    plain: nx.MultiDiGraph[str] = nx.MultiDiGraph(**exported.graph)
    for name, attributes in exported.nodes(data=True):
        plain.add_node(_plain(name), **_kept(attributes))
    for start, end, attributes in exported.edges(data=True):
        plain.add_edge(_plain(start), _plain(end), **_kept(attributes))
    written = io.BytesIO()
    nx.write_graphml(plain, written)
    return written.getvalue()


def _kept(attributes: dict[str, object]) -> dict[str, object]:
    return {
        key: _plain(value) if isinstance(value, str) else value
        for key, value in attributes.items()
        if value is not None
    }


def _plain(text: str) -> str:
    """The text without characters that XML 1.0 has no way to write."""
    return "".join(
        character
        for character in text
        if character in "\t\n\r"
        or (character >= " " and not "\ud800" <= character <= "\udfff" and character not in "\ufffe\uffff")
    )
