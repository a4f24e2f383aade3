"""Pictures of a part of the graph: which tools to show, and where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from toolflow.catalog.tool import Tool
from toolflow.errors import GraphError
from toolflow.graph.graph import ToolGraph
from toolflow.graph.link import Link, LinkKind, ToolSet
from toolflow.text import one_line

MOST_TOOLS = 40
"""More tools in one picture cannot be read."""

_MOST_JOINS = 120
_LABEL = 34  # characters
_LABEL_WIDTH, _LABEL_HEIGHT = 6.6, 46.0  # of a character, and of a node with its label, in pixels
_ROUNDS_OF_SPREADING = 400


@dataclass(frozen=True, slots=True)
class Join:
    """All links of one kind from one tool to another, as one line of a picture."""

    from_tool: str
    to_tool: str
    kind: LinkKind
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn.

    Attributes:
        title: What it shows.
        tools: The tools, distinct.
        joins: The lines between them, strongest first.
        focus: Names of the tools that stand out.
        left_out: How many lines were too many for the picture.
    """

    title: str
    tools: tuple[Tool, ...]
    joins: tuple[Join, ...]
    focus: frozenset[str]
    left_out: int


def neighbourhood(graph: ToolGraph, name: str, *, depth: int = 1, most: int = MOST_TOOLS) -> Picture:
    """A tool, and those that the strongest links lead to.

    Args:
        graph: Where the tool is.
        name: The tool in the middle.
        depth: How many links away a tool may be, at least 1.
        most: How many tools are shown at most.

    Raises:
        GraphError: There is no tool of that name, or a bound is below 1.
    """
    if depth < 1 or most < 1:
        raise GraphError(
            f"no picture can be drawn of depth {depth} and {most} tools", hint="Both start at 1."
        )
    reached = {name: graph.tool(name)}
    border = [name]
    for _ in range(depth):
        strongest: dict[str, float] = {}
        for tool in border:
            for other, weight in graph.neighbours(tool).items():
                if other not in reached:
                    strongest[other] = max(weight, strongest.get(other, 0.0))
        border = sorted(strongest, key=lambda other: (-strongest[other], other))[: most - len(reached)]
        reached |= {other: graph.tool(other) for other in border}
    joins = _join(graph.links_among(reached))
    # A tool is in the picture because of a link; the strongest of each tool stays, whatever is left out.
    anchors = {
        join for tool in reached for join in [j for j in joins if tool in {j.from_tool, j.to_tool}][:1]
    }
    kept = [join for join in joins if name in {join.from_tool, join.to_tool} or join in anchors]
    return _picture(f"What {name} is linked to", tuple(reached.values()), joins, kept, frozenset({name}))


def picture_of_set(tool_set: ToolSet, title: str) -> Picture:
    """A tool set and its links."""
    return _picture(title, tool_set.tools, _join(tool_set.links), [], frozenset())


def _picture(
    title: str, tools: tuple[Tool, ...], joins: Sequence[Join], kept: Sequence[Join], focus: frozenset[str]
) -> Picture:
    shown = set([*kept, *(join for join in joins if join not in set(kept))][:_MOST_JOINS])
    return Picture(
        title, tools, tuple(join for join in joins if join in shown), focus, len(joins) - len(shown)
    )


def _join(links: Sequence[Link]) -> list[Join]:
    joined: defaultdict[tuple[str, str, LinkKind], list[Link]] = defaultdict(list)
    for link in links:
        joined[link.from_tool, link.to_tool, link.kind].append(link)
    return [Join(*key, tuple(of_key)) for key, of_key in joined.items()]


def label(tool: Tool) -> str:
    """The name of a tool, short enough to stand below its node."""
    return one_line(tool.name, _LABEL)


def lay_out(picture: Picture) -> Mapping[str, tuple[float, float]]:
    """Where the tools stand, in pixels; linked ones near each other, and no label upon another."""
    import networkx as nx  # noqa: PLC0415  only needed here

    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(tool.name for tool in picture.tools)
    for join in picture.joins:
        known = graph.get_edge_data(join.from_tool, join.to_tool, {"weight": 0.0})
        weight = max(join.links[0].weight, known["weight"])
        graph.add_edge(join.from_tool, join.to_tool, weight=weight)
    # Labels are wide and low: so is the picture.
    width = 90 * sqrt(len(picture.tools)) + 80
    placed = nx.spring_layout(graph, seed=0, k=2 / sqrt(len(picture.tools)), iterations=200)
    spots = [[float(x) * width, float(y) * width * 0.55] for x, y in placed.values()]
    sizes = [len(label(tool)) * _LABEL_WIDTH + 16 for tool in picture.tools]
    _spread(spots, sizes)
    return {tool.name: (x, y) for tool, (x, y) in zip(picture.tools, spots, strict=True)}


def _spread(spots: list[list[float]], widths: Sequence[float]) -> None:
    """Push apart what overlaps, sideways or up and down, whichever is the shorter way."""
    for _ in range(_ROUNDS_OF_SPREADING):
        moved = False
        for one in range(len(spots)):
            for other in range(one):
                across = spots[one][0] - spots[other][0]
                down = spots[one][1] - spots[other][1]
                wide = (widths[one] + widths[other]) / 2 - abs(across)
                high = _LABEL_HEIGHT - abs(down)
                if wide <= 0 or high <= 0:
                    continue
                moved = True
                axis, overlap, apart = (0, wide, across) if wide < high else (1, high, down)
                push = (overlap / 2 + 0.5) * (1 if apart >= 0 else -1)
                spots[one][axis] += push
                spots[other][axis] -= push
        if not moved:
            return
