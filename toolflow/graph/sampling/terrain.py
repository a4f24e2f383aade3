"""A graph as samplers see it: strong links are followed more often, and results into calls most of all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolflow.graph.graph import ToolGraph
from toolflow.graph.linking.link_table import RETURN_PARAMETER
from toolflow.graph.sampling.steps import Steps, make_steps
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
        twins: Of each tool that has near twins: these and itself.
        distinct: How many tools there are, near twins counted once.
    """

    along: Steps
    forward: Steps
    backward: Steps
    linked: Sequence[int]
    twins: Mapping[int, Sequence[int]]
    distinct: int

    def __len__(self) -> int:
        return len(self.along.start) - 1


def survey(graph: ToolGraph) -> Terrain:
    """Make a graph ready for drawing."""
    tools, table = len(graph.tools), graph.table
    strength = table.weight.astype(np.float64) ** _SHARPNESS
    flow = table.kind == RETURN_PARAMETER
    producer, consumer, carried = table.from_tool[flow], table.to_tool[flow], strength[flow]
    ends = np.concatenate([table.from_tool, table.to_tool])
    others = np.concatenate([table.to_tool, table.from_tool])
    preferred = np.tile(np.where(flow, strength * _FLOW_PREFERENCE, strength), 2)
    numbers = twin_groups(graph.tools)
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for tool, number in enumerate(numbers):
        groups[number].append(tool)
    return Terrain(
        along=make_steps(ends, others, preferred, tools),
        forward=make_steps(producer, consumer, carried, tools),
        backward=make_steps(consumer, producer, carried, tools),
        linked=np.unique(ends).tolist() or range(tools),
        twins={tool: group for group in groups.values() if len(group) > 1 for tool in group},
        distinct=len(groups),
    )
