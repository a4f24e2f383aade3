"""Where one may step from each tool: a graph made ready for fast drawing.

Plain arrays that give Python numbers: a NumPy scalar costs more than the step it is read for.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolflow.graph.linking.field_table import starts

Integers = NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """The steps that lead on from each tool, each with a strength.

    Attributes:
        start: The steps of tool t are ``start[t]`` up to ``start[t + 1]``, ordered by where they lead.
        other: The tool a step leads to; every one of a tool's steps leads to another.
        strength: The strengths of all steps before a step, summed; one longer than ``other``. A random number
            between those at a tool's first and last step falls to a step as often as it is strong.
    """

    start: array[int]
    other: array[int]
    strength: array[float]


def make_steps(source: Integers, target: Integers, strength: NDArray[np.float64], tools: int) -> Steps:
    """Index steps; the strengths of those that join the same two tools add up.

    Args:
        source: Where each step begins, shape (steps,).
        target: Where it leads to, shape (steps,).
        strength: How strong it is, above 0, shape (steps,).
        tools: How many tools there are.
    """
    order = by_ends(source, target, tools)
    source, target, strength = source[order], target[order], strength[order]
    first = _firsts(source, target)
    source, target = source[first], target[first]
    summed = np.add.reduceat(strength, first) if len(first) else strength
    # Relative to the strongest of its tool, a strength loses nothing in a sum over all tools.
    strongest = np.zeros(tools)
    np.maximum.at(strongest, source, summed)
    relative = summed / strongest[source]
    return Steps(
        plain(starts(np.bincount(source, minlength=tools)), "i"),
        plain(target, "i"),
        plain(np.concatenate([[0.0], np.cumsum(relative)]), "d"),
    )


def by_ends(source: Integers, target: Integers, tools: int) -> NDArray[np.int64]:
    """The order of steps by source, then target, then place.

    Args:
        source: Where each step begins, shape (steps,).
        target: Where it leads to, shape (steps,).
        tools: How many tools there are.
    """
    steps = max(len(source), 1)
    if tools * tools * steps > np.iinfo(np.int64).max:
        return np.lexsort((target, source))
    # One sort of packed integers: a tenth of a sort by two columns.
    packed = (source.astype(np.int64) * tools + target) * steps + np.arange(len(source))
    packed.sort()
    return packed % steps


def plain(values: NDArray[Any], code: str) -> array[Any]:
    """A NumPy array as a plain one of a type code."""
    copied: array[Any] = array(code)
    copied.frombytes(values.astype(code).tobytes())
    return copied


def _firsts(low: Integers, high: Integers) -> NDArray[np.intp]:
    """Where each pair begins in sorted pairs."""
    new = np.ones(len(low), dtype=bool)
    new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    return np.flatnonzero(new)
