"""A graph as samplers see it: strong links are followed more often, and results into calls most of all."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass

import numpy as np

from toolflow.garbage import collection_paused
from toolflow.graph.graph import ToolGraph
from toolflow.graph.linking.link_table import RETURN_PARAMETER
from toolflow.graph.sampling.steps import Steps, make_steps, plain
from toolflow.graph.sampling.twins import twin_groups

# Strong links are followed far more often than weak ones, however many of these there are; and links that
# carry a result into a call more often than shared parameters: they make one turn depend on another.
_SHARPNESS = 3
_FLOW_PREFERENCE = 4


@dataclass(frozen=True, slots=True, eq=False)
class Terrain:
    """Where the drawing of a tool set may lead.

    Attributes:
        along: Steps along any link, either way.
        forward: Steps from producers to consumers.
        backward: Steps from consumers to producers.
        linked: The tools that have a link; all tools where none has.
        kind: A number for each tool, equal for near twins.
        copied: The tools that have near twins.
        distinct: How many kinds there are.
    """

    along: Steps
    forward: Steps
    backward: Steps
    linked: array[int]
    kind: array[int]
    copied: Set[int]
    distinct: int

    def __len__(self) -> int:
        return len(self.along.start) - 1


@collection_paused()
def survey(graph: ToolGraph) -> Terrain:
    """Make a graph ready for drawing."""
    tools, table = len(graph.tools), graph.table
    strength = table.weight.astype(np.float64) ** _SHARPNESS
    flow = table.kind == RETURN_PARAMETER
    producer, consumer, carried = table.from_tool[flow], table.to_tool[flow], strength[flow]
    ends = np.concatenate([table.from_tool, table.to_tool])
    others = np.concatenate([table.to_tool, table.from_tool])
    preferred = np.tile(np.where(flow, strength * _FLOW_PREFERENCE, strength), 2)
    kind, linked = twin_groups(graph.tools), np.unique(ends)
    members = Counter(kind)
    return Terrain(
        along=make_steps(ends, others, preferred, tools),
        forward=make_steps(producer, consumer, carried, tools),
        backward=make_steps(consumer, producer, carried, tools),
        linked=plain(linked if len(linked) else np.arange(tools), "i"),
        kind=array("i", kind),
        copied=frozenset(tool for tool, number in enumerate(kind) if members[number] > 1),
        distinct=len(members),
    )
