"""Which neighbours a walk looks at from each tool, drawn ahead for all tools at once.

A draw by strength costs a search in a long array; for many tools together it costs a tenth.
"""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass
from typing import Final

import numpy as np

from toolflow.graph.sampling.steps import Steps, plain

LOOKS: Final = 4
"""So many neighbours of a tool are looked at in one step."""

DRAWN: Final = 8
"""So many are drawn ahead of each tool: one for each eighth of its steps' strength."""

ROW: Final = DRAWN + LOOKS - 1
"""The length of a tool's row of them: at its end it begins again, so that looks may begin anywhere."""

# Neighbours in a row come from all parts of the strength: those looked at together are seldom the same.
_ORDER = np.resize(np.arange(DRAWN).reshape(LOOKS, -1).T, ROW)


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """Steps, and neighbours to look at.

    Attributes:
        steps: Where one may step.
        drawn: Those of tool t stand at ``t * ROW`` up to ``(t + 1) * ROW``, in the mean each as often as its
            step is strong; -1 where a tool has no step.
    """

    steps: Steps
    drawn: array[int]


def look_ahead(steps: Steps, generator: random.Random) -> Looks:
    """Draw neighbours of every tool, one of each eighth of the strength (systematic sampling)."""
    start, strength = np.frombuffer(steps.start, dtype=np.intc), np.frombuffer(steps.strength)
    drawn = np.full((len(start) - 1, ROW), -1, dtype=np.intc)
    tools = np.flatnonzero(np.diff(start))
    if len(tools):
        first, last = start[tools], start[tools + 1]
        low, strength_of_all = strength[first], strength[last] - strength[first]
        offset = np.array([generator.random() for _ in range(len(tools))])
        sought = low + strength_of_all * (np.arange(DRAWN)[:, np.newaxis] + offset) / DRAWN
        # By tool, as a search for neighbours one after the other finds them in the processor's cache.
        step = np.searchsorted(strength, sought.T, side="right") - 1
        step = np.minimum(step, last[:, np.newaxis] - 1)  # rounding may lead beyond the last
        drawn[tools] = np.frombuffer(steps.other, dtype=np.intc)[step[:, _ORDER]]
    return Looks(steps, plain(drawn.ravel(), "i"))
