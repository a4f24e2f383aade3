"""Which links are worth a second opinion, what has to be known about them, and the graph without the refused.

Nothing here asks anybody: verdicts come from elsewhere, as :class:`Verdict` values.
"""

from __future__ import annotations

import hashlib
from bisect import insort
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Any, Final

import msgspec
import numpy as np

from toolflow.catalog.tool import Tool
from toolflow.clock import derive_seed
from toolflow.graph.graph import ToolGraph
from toolflow.graph.link import Link
from toolflow.graph.linking.fields import Field, parameter_fields, return_fields, type_name

BANDS: Final = 5
"""Links are sampled from so many bands of weight, of equal width."""


@dataclass(frozen=True, slots=True)
class LinkQuestion:
    """A link and what one must know to judge it.

    Attributes:
        link: The link.
        from_end: Its first tool and field as JSON: ``tool``, ``about``, ``field``, ``type``, ``meaning``.
        to_end: The same of its second.
    """

    link: Link
    from_end: Mapping[str, Any]
    to_end: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """What a judge is shown: not the weight, which would sway it."""
        return {"kind": self.link.kind, "from": self.from_end, "to": self.to_end}

    def key(self, judge: str) -> str:
        """32 hexadecimal digits that change with the judge and with whatever it is shown."""
        content = msgspec.json.encode([judge, self.to_json()])
        return hashlib.blake2b(content, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a link makes sense, and why."""

    makes_sense: bool
    reason: str


@dataclass(frozen=True, slots=True)
class BandFigures:
    """What was found about the links of one band of weight.

    Attributes:
        above: The band's weights are above this …
        most: … and at most this.
        judged: Links with a verdict.
        refused: Links that do not make sense.
    """

    above: float
    most: float
    judged: int
    refused: int


def sample_links(graph: ToolGraph, count: int, seed: int) -> tuple[Link, ...]:
    """Draw links, as evenly from the bands of weight as their numbers allow.

    The draw of a smaller count is part of that of a larger one, so its verdicts serve again.

    Args:
        graph: Whose links.
        count: How many; all links if there are fewer.
        seed: Of the draw.
    """
    bands: list[list[tuple[int, int, Link]]] = [[] for _ in range(BANDS)]
    for number, link in enumerate(graph.links()):
        band = bands[_band(link.weight)]
        priority = derive_seed(seed, *identity(link))
        if len(band) < count or priority < band[-1][0]:
            insort(band, (priority, number, link))
            del band[count:]
    turns = chain.from_iterable(zip_longest(*reversed(bands)))
    return tuple(entry[2] for entry in turns if entry is not None)[:count]


def ask_about(graph: ToolGraph, links: Iterable[Link]) -> tuple[LinkQuestion, ...]:
    """What must be known about links to judge them."""
    return tuple(
        LinkQuestion(
            link,
            _end(graph.tool(link.from_tool), link.from_field, returned=link.kind == "return-parameter"),
            _end(graph.tool(link.to_tool), link.to_field, returned=False),
        )
        for link in links
    )


def drop_links(graph: ToolGraph, refused: Iterable[Link]) -> ToolGraph:
    """The graph without some of its links."""
    gone = {identity(link) for link in refused}
    kept = np.fromiter((identity(link) not in gone for link in graph.links()), dtype=bool)
    return replace(graph, table=graph.table.where(kept))


def figures_by_band(verdicts: Sequence[tuple[Link, Verdict]]) -> tuple[BandFigures, ...]:
    """How many links of each band were judged and refused, weakest band first; empty bands are left out."""
    judged = Counter(_band(link.weight) for link, _ in verdicts)
    refused = Counter(_band(link.weight) for link, verdict in verdicts if not verdict.makes_sense)
    return tuple(
        BandFigures(band / BANDS, (band + 1) / BANDS, judged[band], refused[band]) for band in sorted(judged)
    )


def identity(link: Link) -> tuple[str, str, str, str, str]:
    """What tells a link from all others of its graph."""
    return link.from_tool, link.to_tool, link.kind, link.from_field, link.to_field


def _band(weight: float) -> int:
    return min(max(int(np.ceil(weight * BANDS)) - 1, 0), BANDS - 1)


def _end(tool: Tool, path: str, *, returned: bool) -> dict[str, Any]:
    found = _field(return_fields(tool) if returned else parameter_fields(tool), path)
    end: dict[str, Any] = {"tool": tool.name, "about": tool.description[:300], "field": path}
    if found is not None:
        end |= {"type": type_name(found.types) or "any", "meaning": found.description}
    return end


def _field(known: Collection[Field], path: str) -> Field | None:
    return next((field for field in known if field.path == path), None)
