"""Distractors: tools that are offered beside a tool set and do not belong to it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence

from toolflow.graph.sampling.terrain import Terrain

# So many tools are looked at for each distractor before all are.
_LOOKS = 20


def unrelated_tools(
    terrain: Terrain, tools: Sequence[int], count: int, generator: random.Random
) -> list[int]:
    """Tools that no link joins to a set; where there are too few, those that are least related to it.

    None is a near twin of a tool of the set or of another one drawn.

    Args:
        terrain: The graph.
        tools: The set.
        count: How many are wanted; a catalogue may have fewer.
        generator: Where randomness comes from.
    """
    related = _relatedness(terrain, tools)
    kind = terrain.kind
    excluded = {kind[tool] for tool in tools}
    everything = range(len(terrain))
    drawn: list[int] = []

    def draw_from(candidates: Iterable[int]) -> None:
        for tool in candidates:
            if len(drawn) == count:
                return
            if kind[tool] not in excluded:
                excluded.add(kind[tool])
                drawn.append(tool)

    looked_at = generator.sample(everything, min(len(terrain), count * _LOOKS))
    draw_from(tool for tool in looked_at if tool not in related)
    if len(drawn) < count and len(excluded) < terrain.distinct:
        shuffled = generator.sample(everything, len(terrain))
        draw_from(sorted(shuffled, key=lambda tool: related.get(tool, 0.0)))
    return drawn


def _relatedness(terrain: Terrain, tools: Sequence[int]) -> Mapping[int, float]:
    """How strongly each tool is linked to a set, for those that are."""
    along = terrain.along
    related: dict[int, float] = {}
    for tool in tools:
        for step in range(along.start[tool], along.start[tool + 1]):
            other = along.other[step]
            strength = along.strength[step + 1] - along.strength[step]
            related[other] = max(related.get(other, 0.0), strength)
    return related
