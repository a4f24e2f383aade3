"""What a tool graph looks like, in figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from toolflow.graph.adjacency import Adjacency
from toolflow.graph.link import LinkKind
from toolflow.graph.linking.link_table import KINDS, LinkTable

_HUBS = 10


@dataclass(frozen=True, slots=True)
class Hub:
    """A tool that many tools are linked to."""

    tool: str
    degree: int


@dataclass(frozen=True, slots=True)
class GraphStatistics:
    """Figures of a tool graph; the degree of a tool is the number of distinct tools it is linked to.

    Attributes:
        tools: How many tools the graph holds.
        links: How many links of each kind.
        degree_mean: Mean degree.
        degree_median: Median degree.
        degree_p90: Nine in ten tools have at most this degree.
        degree_max: Largest degree.
        components: Groups of tools that links join, directly or through others; isolated tools are none.
        largest_component: How many tools the largest of them has.
        isolated: How many tools have no link.
        hubs: The linked tools of largest degree, at most ten, largest first.
    """

    tools: int
    links: Mapping[LinkKind, int]
    degree_mean: float
    degree_median: float
    degree_p90: float
    degree_max: int
    components: int
    largest_component: int
    isolated: int
    hubs: tuple[Hub, ...]

    def to_json(self) -> dict[str, Any]:
        """The figures as a JSON object with the attributes' names."""
        return asdict(self) | {"hubs": [asdict(hub) for hub in self.hubs]}


def measure(names: tuple[str, ...], table: LinkTable, adjacency: Adjacency) -> GraphStatistics:
    """Measure a graph.

    Args:
        names: Names of its tools.
        table: Its links.
        adjacency: Their index.
    """
    degrees = adjacency.degrees()
    largest_first = np.argsort(-degrees, kind="stable")[:_HUBS]
    sizes = np.bincount(adjacency.components(), minlength=1)
    groups = sizes[sizes > 1]
    kinds = np.bincount(table.kind, minlength=len(KINDS))
    return GraphStatistics(
        tools=len(names),
        links={kind: int(count) for kind, count in zip(KINDS, kinds, strict=True)},
        degree_mean=round(float(degrees.mean()), 2) if names else 0.0,
        degree_median=float(np.median(degrees)) if names else 0.0,
        degree_p90=round(float(np.quantile(degrees, 0.9)), 2) if names else 0.0,
        degree_max=int(degrees.max(initial=0)),
        components=len(groups),
        largest_component=int(groups.max(initial=0)),
        isolated=int((degrees == 0).sum()),
        hubs=tuple(Hub(names[tool], int(degrees[tool])) for tool in largest_first.tolist() if degrees[tool]),
    )
