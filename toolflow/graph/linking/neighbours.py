"""Tools that do alike things are fed alike: what speaks for a link counts a little for its neighbours too.

The words of one tool are few, and any of them may mislead. Where a tool's nearest neighbours give (or take)
the same, a link is surer, and where none of them does, it is a chance likeness.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolflow.graph.linking.cores import cores
from toolflow.graph.linking.field_table import Floats, Ints
from toolflow.graph.linking.joining import Closeness

# Chosen by sources that were left out. Twice the lean found more in most of them, and much less in one.
_MOST = 6
_SHARE = 1 / 6
_LEAN = 0.1
# Neighbours of a tool's own category come first; the closer ones count more.
_SAME_CATEGORY: Final = np.float32(0.6)
_SHARPNESS = 4.0


class Neighbours(NamedTuple):
    """The nearest neighbours of each tool, arrays of shape (tools, neighbours).

    Attributes:
        tool: Their indices.
        share: What each counts; those of a tool sum to 1.
    """

    tool: Ints
    share: Floats


def find_neighbours(closeness: Closeness, blocks: Iterable[range]) -> Neighbours:
    """The tools nearest to each one: few, and a sixth of the catalogue at most.

    Args:
        closeness: How close the tools are; one at least.
        blocks: Their indices, as many at a time as fit in memory.
    """
    tools = len(closeness.category)
    count = min(_MOST, int(_SHARE * tools))

    def find(mine: range) -> tuple[Ints, Floats]:
        near = closeness.cosines(mine.start, mine.stop)
        category = closeness.category[mine.start : mine.stop, None]
        near += _SAME_CATEGORY * ((category == closeness.category) & (category >= 0))
        near[np.arange(len(mine)), np.arange(mine.start, mine.stop)] = -np.inf
        nearest = np.argpartition(-near, count, axis=1)[:, :count]
        share = np.exp(_SHARPNESS * np.take_along_axis(near, nearest, axis=1))
        return nearest.astype(np.int32), share / share.sum(axis=1, keepdims=True)

    with cores() as threads:
        found = list(threads.map(find, blocks))
    return Neighbours(
        np.concatenate([one for one, _ in found]), np.concatenate([share for _, share in found])
    )


def lean_on_neighbours(
    score: Floats, neighbours: Neighbours, possible: NDArray[np.bool_], blocks: Iterable[range]
) -> Floats:
    """Scores moved a part of the way to those of the producer's and of the consumer's neighbours.

    A neighbour that cannot have the link, such as the other tool itself, leaves the score where it is.

    Args:
        score: Of shape (tools, tools).
        neighbours: Those of each tool.
        possible: Which pairs may be links, of the same shape.
        blocks: Indices of producers, as many at a time as fit in memory.

    Returns:
        New scores of the same shape.
    """
    leant = score.copy()
    columns = np.arange(score.shape[1])

    def lean(mine: range) -> None:
        rows = slice(mine.start, mine.stop)
        own, moved, may = score[rows], leant[rows], possible[rows]
        for near, share in zip(neighbours.tool.T, neighbours.share.T, strict=True):
            part = _LEAN * share
            apart = score[near[rows]] - own
            apart[~possible[near[rows]]] = 0
            moved += part[rows, None] * apart
            apart = np.take(own, near, axis=1) - own
            apart[~np.take(may, near, axis=1)] = 0
            moved += part[None, columns] * apart

    with cores() as threads:
        for _ in threads.map(lean, blocks):
            pass
    return leant
