"""Pairs of keys that may mean the same, as they are found and as they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from toolflow.graph.linking.field_table import Floats, Ints, starts

Indices = NDArray[np.integer]

# A packed pair: 31 bits of row, 2 of place and 30 of column. The place says which of the row's names both
# keys have, 3 where they have none in common.
ROW_SHIFT = 32
_PLACE_SHIFT = 30
COLUMN = (1 << _PLACE_SHIFT) - 1


class Pairs(NamedTuple):
    """Pairs of keys: packed numbers that sort by row, then by place, then by column; see :func:`pack`."""

    rank: NDArray[np.int64]
    agreement: Floats
    specificity: Floats


class Unkept(Protocol):
    """Pairs that are too many to be kept, and are found when they are asked for."""

    def pairs(self, keys: Ints) -> Pairs:
        """The pairs of distinct row keys, sorted."""
        ...

    def reach(self, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of each row key, the summed sizes of the column keys it may match, shape (rows,)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Pairs of keys that may mean the same, in compressed sparse rows.

    Attributes:
        start: Pairs of row key k are ``start[k]`` up to ``start[k + 1]``, shape (rows + 1,).
        other: The column key of each pair, shape (pairs,).
        agreement: How surely both mean the same kind of value, in (0, 1], shape (pairs,).
        specificity: How surely that joins their tools whatever these do, in [0, 1], shape (pairs,).
        unkept: More pairs, if there are any.
    """

    start: Ints
    other: Ints
    agreement: Floats
    specificity: Floats
    unkept: Unkept | None = None

    def of(self, keys: Ints) -> tuple[NDArray[np.int64], Ints, Floats, Floats]:
        """The pairs of row keys.

        Returns:
            Of each pair the index in ``keys``, the column key, agreement and specificity.
        """
        at, of = ranges(self.start[keys], self.start[keys + 1])
        kept = of, self.other[at], self.agreement[at], self.specificity[at]
        if self.unkept is None:
            return kept
        distinct, position = np.unique(keys, return_inverse=True)
        pairs = self.unkept.pairs(distinct)
        first = np.searchsorted(pairs.rank, distinct.astype(np.int64) << ROW_SHIFT)
        end = np.append(first[1:], len(pairs.rank))
        at, of = ranges(first[position], end[position])
        other = (pairs.rank[at] & COLUMN).astype(np.int32)
        return (
            np.concatenate([kept[0], of]),
            np.concatenate([kept[1], other]),
            np.concatenate([kept[2], pairs.agreement[at]]),
            np.concatenate([kept[3], pairs.specificity[at]]),
        )

    def reach(self, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of each row key, the summed sizes of the column keys it matches, shape (rows,)."""
        before = np.concatenate([[0], np.cumsum(sizes[self.other])])
        reach: NDArray[np.int64] = before[self.start[1:]] - before[self.start[:-1]]
        return reach if self.unkept is None else reach + self.unkept.reach(sizes)


def pack(row: Indices, place: Indices | int, column: Indices) -> NDArray[np.int64]:
    """Pairs of keys as numbers."""
    packed: NDArray[np.int64] = row.astype(np.int64) << ROW_SHIFT | column
    packed |= np.asarray(place, dtype=np.int64) << _PLACE_SHIFT
    return packed


def _drained(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """All parts as one array; the list is empty afterwards, so that they take their memory but once."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def assemble(found: list[Pairs], rows: int, unkept: Unkept | None) -> Matches:
    """All pairs, sorted.

    Args:
        found: The pairs, each once; the list is empty afterwards, so that they take their memory but once.
        rows: How many row keys there are.
        unkept: More pairs, if there are any.
    """
    pairs = sorted_pairs(found)
    start = starts(np.bincount(pairs.rank >> ROW_SHIFT, minlength=rows))
    other = (pairs.rank & COLUMN).astype(np.int32)
    return Matches(start, other, pairs.agreement, pairs.specificity, unkept)


def sorted_pairs(found: list[Pairs]) -> Pairs:
    """All pairs, sorted; the list is empty afterwards."""
    found.append(_no_pairs())
    # Column by column, as there are tens of millions of pairs.
    ranks, agreements, tells = (list(parts) for parts in zip(*found, strict=True))
    found.clear()
    rank = _drained(ranks)
    if (rank[1:] > rank[:-1]).all():
        return Pairs(rank, _drained(agreements), _drained(tells))
    order = np.argsort(rank)
    rank.sort()  # again, as that takes no memory
    return Pairs(rank, _drained(agreements)[order], _drained(tells)[order])


def ranges(start: Indices, stop: Indices) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers of many ranges one after another, and which range each is from."""
    counts = (stop - start).astype(np.int64)
    of = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    return np.arange(len(of)) + (start - before)[of], of


def _no_pairs() -> Pairs:
    empty = np.zeros(0, dtype=np.float32)
    return Pairs(np.zeros(0, dtype=np.int64), empty, empty)
