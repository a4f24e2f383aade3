"""Field pairs that join tools, and which of them are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolflow.graph.linking.field_table import Floats, Ints

_MOST_WEIGHT = (1 << 14) - 1
_MOST_PAIRS = 1 << 21


@dataclass(frozen=True, slots=True, eq=False)
class Joins:
    """Field pairs that join two tools, arrays of shape (joins,).

    Attributes:
        parameter: Index of the parameter in its table.
        other: Index of the field it is joined to in the other table.
        weight: In (0, 1].
    """

    parameter: Ints
    other: Ints
    weight: Floats

    def __len__(self) -> int:
        return len(self.weight)


@dataclass(frozen=True, slots=True)
class Limits:
    """Which joins are kept.

    Attributes:
        weight: The least weight.
        joins: The most joins of one tool.
    """

    weight: float
    joins: int


def concatenate(parts: Sequence[Joins]) -> Joins:
    """All joins of several parts."""
    none = np.zeros(0, dtype=np.int32)
    return Joins(
        np.concatenate([none, *(part.parameter for part in parts)]),
        np.concatenate([none, *(part.other for part in parts)]),
        np.concatenate([none.astype(np.float32), *(part.weight for part in parts)]),
    )


def best_of_each(tool: Ints, other: Ints, weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the strongest join of each pair of tools, the first of equals.

    One sort of packed integers: 8 bits of tool, 20 of other tool, 14 of weight and 21 of index.
    """
    if len(tool) >= _MOST_PAIRS:  # one tool of very many pairs
        order = np.lexsort((np.arange(len(tool)), -weight, other, tool))
        change = (np.diff(tool[order], prepend=-1) != 0) | (np.diff(other[order], prepend=-1) != 0)
        return order[np.flatnonzero(change)]
    packed = tool.astype(np.int64) << 20 | other
    packed = (packed << 14 | (_MOST_WEIGHT - weight)) << 21 | np.arange(len(tool))
    packed.sort()
    pair = packed >> 35
    return packed[np.flatnonzero(np.diff(pair, prepend=-1))] & (_MOST_PAIRS - 1)


def first_of_each(tool: Ints, weight: NDArray[np.int64], distance: Ints, most: int) -> NDArray[np.int64]:
    """Indices of the strongest joins of each tool, of equals those of small distance.

    One sort of packed integers: 8 bits of tool, 14 of weight, 20 of distance and 21 of index.
    """
    if len(tool) >= _MOST_PAIRS:
        order = np.lexsort((distance, -weight, tool))
    else:
        packed = (tool.astype(np.int64) << 14 | (_MOST_WEIGHT - weight)) << 20 | distance
        packed = packed << 21 | np.arange(len(tool))
        packed.sort()
        order = packed & (_MOST_PAIRS - 1)
    rank = np.arange(len(order)) - np.searchsorted(tool[order], tool[order])
    return order[rank < most]
