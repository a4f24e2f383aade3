"""How alike the closest fields of two tools are, and how much that says in their catalogue."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolflow.graph.linking.field_table import Floats, Ints

NO_FIELDS: Final = -1.0
"""What stands for a cosine where one of two tools has no fields."""

_SAMPLE = 256
_STEPS = 500
_LEAST_SHARE = 1e-3


class ClosestTexts:
    """The plain cosine of two tools: that of a result's and a parameter's texts, the largest of all.

    A cosine of 0.6 says much where texts are of many things, and little where most pairs have it. The share
    of the catalogue's pairs that are as alike says the same in both, and in catalogues of any size.

    Args:
        given: Vectors of all returns, tool by tool, shape (returns, d).
        given_by: Their tools, shape (returns,).
        taken: Vectors of all parameters, tool by tool, shape (parameters, d); at least one.
        taken_by: Their tools, shape (parameters,).
        tools: How many tools there are.
    """

    def __init__(self, given: Floats, given_by: Ints, taken: Floats, taken_by: Ints, tools: int) -> None:
        self._tools = tools
        self._start = np.flatnonzero(np.diff(taken_by, prepend=-1))
        self._consumers = taken_by[self._start]
        sample = np.unique(np.linspace(0, tools - 1, min(tools, _SAMPLE)).astype(np.int32))
        low, high = (np.searchsorted(given_by, sample, side) for side in ("left", "right"))
        counts = np.zeros(2 * _STEPS + 1, dtype=np.int64)
        for producer, begin, end in zip(sample.tolist(), low.tolist(), high.tolist(), strict=True):
            cosines = (
                given[begin:end] @ taken.T if end > begin else np.zeros((0, len(taken)), dtype=np.float32)
            )
            closest = self.of(cosines)[self._consumers[self._consumers != producer]]
            counts += np.bincount(_step(closest), minlength=len(counts))
        share = np.cumsum(counts[::-1])[::-1] / max(1, counts.sum())
        self._standing: Floats = -np.log(np.maximum(share, _LEAST_SHARE)).astype(np.float32)

    def of(self, cosines: Floats) -> Floats:
        """The largest cosine of a tool's returns to each tool's parameters.

        Args:
            cosines: Those of its returns to all parameters, shape (returns, parameters).

        Returns:
            Shape (tools,).
        """
        closest = np.full(self._tools, NO_FIELDS, dtype=np.float32)
        if len(cosines):
            closest[self._consumers] = np.maximum.reduceat(cosines.max(axis=0), self._start)
        return closest

    def standing(self, closest: Floats) -> Floats:
        """-ln of the share of pairs that are at least that alike, from 0 to ln 1000; of the same shape."""
        standing: Floats = self._standing[_step(closest)]
        return standing


def _step(cosines: Floats) -> NDArray[np.int16]:
    # Edges lie between the steps: equal texts are of one step, however their cosine is rounded.
    return np.rint((np.clip(cosines, -1, 1) + 1) * _STEPS).astype(np.int16)
