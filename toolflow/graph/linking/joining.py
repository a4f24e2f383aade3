"""Joins tools whose fields match: how much a match weighs depends on how close the tools are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolflow.catalog.tool import Tool
from toolflow.graph.encoder import Encoder, encode_texts
from toolflow.graph.linking.cores import Cores
from toolflow.graph.linking.field_table import FieldTable, Floats, Ints
from toolflow.graph.linking.matches import Matches, ranges
from toolflow.graph.linking.matching import calibrate
from toolflow.graph.linking.naming import rarity
from toolflow.graph.linking.words import split_identifier

DIGITS: Final = 4
"""Digits of a weight after the point."""

_SCALE = 10**DIGITS
_PAIRS_AT_ONCE = 1 << 21
_MOST_TOOLS_AT_ONCE = 128
# Of closeness: covers what rounding may give.
_MARGIN = 1e-3
_LONGEST_DESCRIPTION = 300
_SAME_CATEGORY = 0.5
# From which calibrated cosine on two tools do the same thing under two names, and what that takes off.
_TWIN = 0.74
_TWIN_LOSS = 0.6


class Closeness:
    """How close two tools are in what they do, from their descriptions and categories.

    Attributes:
        vectors: Vectors of the tools' names and descriptions, shape (tools, d).
        category: Number of each tool's category, -1 where there is none, shape (tools,).
    """

    def __init__(self, tools: Sequence[Tool], encoder: Encoder, threshold: float) -> None:
        categories = [tool.category for tool in tools]
        self.vectors = encode_texts(encoder, [_tool_text(tool) for tool in tools])
        self._threshold = threshold
        counts = Counter(category for category in categories if category is not None)
        numbers = {category: number for number, category in enumerate(counts)}
        # A catalogue of one category is about one thing, so sharing that category counts although all do.
        one_thing = sum((count / len(tools)) ** 2 for count in counts.values())
        shared = {
            category: _SAME_CATEGORY * max(rarity(count, len(tools)), one_thing)
            for category, count in counts.items()
        }
        self.category: Ints = np.array(
            [-1 if category is None else numbers[category] for category in categories], dtype=np.int32
        )
        self._shared: Floats = np.array(
            [0.0 if category is None else shared[category] for category in categories], dtype=np.float32
        )

    def cosines(self, low: int, high: int) -> Floats:
        """Cosines of tools ``low`` up to ``high`` to all tools, shape (high - low, tools)."""
        cosines: Floats = self.vectors[low:high] @ self.vectors.T
        return cosines

    def of(self, tool: Ints, other: Ints, cosine: Floats) -> Floats:
        """Closeness of pairs of tools in [0, 1], given their cosines; all of shape (pairs,)."""
        close = np.clip((calibrate(cosine, self._threshold) + 0.4) / 1.2, 0, 1)
        same = self.category[tool] == self.category[other]
        closer: Floats = (1 - (1 - close) * (1 - np.where(same, self._shared[other], 0))).astype(np.float32)
        return closer

    def needed(self, closeness: Floats) -> Floats:
        """From which cosine on tools of unlike categories are that close, shape (pairs,)."""
        cosine: Floats = np.where(
            closeness > 0, self._threshold + (1.2 * closeness - 0.4) * (1 - self._threshold), -np.inf
        ).astype(np.float32)
        return cosine

    def apart(self, cosine: Floats) -> Floats:
        """What being near-twins leaves of a link between parameters, given the cosines of the tools."""
        alike = calibrate(cosine, self._threshold)
        apart: Floats = (1 - _TWIN_LOSS * np.clip((alike - _TWIN) / (1 - _TWIN), 0, 1)).astype(np.float32)
        return apart


def _tool_text(tool: Tool) -> str:
    description = " ".join(tool.description[: 2 * _LONGEST_DESCRIPTION].split())[:_LONGEST_DESCRIPTION]
    return f"{' '.join(split_identifier(tool.name))}: {description}"


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


def join_tools(
    parameters: FieldTable,
    sides: Sequence[tuple[FieldTable, Matches, Limits]],
    closeness: Closeness,
    *,
    threads: Cores,
    progress: Callable[[int, int], None],
) -> list[Joins]:
    """Join every tool's parameters to fields of other tools.

    Two tools are joined once a side, by their best pair, and a tool keeps its strongest joins: a name that
    every tool has cannot join all with all.

    Args:
        parameters: The parameters of all tools.
        sides: The returns, or the parameters again, each with the keys that match those of ``parameters`` and
            which of its joins are kept.
        closeness: How close the tools are.
        threads: Join blocks of tools side by side.
        progress: Called with how many tools are done, and of how many.

    Returns:
        The joins of each side.
    """
    joiners = [_Joiner(parameters, others, matches, closeness, limits) for others, matches, limits in sides]
    tools = len(parameters.tool_start) - 1
    found: list[list[Joins]] = [[_no_joins()] for _ in joiners]

    def join(block: tuple[int, int]) -> list[Joins]:
        cosine = closeness.cosines(*block)
        return [joiner.join(*block, cosine) for joiner in joiners]

    blocks = list(_blocks(joiners, tools))
    for (_, high), of_block in zip(blocks, threads.map(join, blocks), strict=True):
        for joins, more in zip(found, of_block, strict=True):
            joins.append(more)
        progress(high, tools)
    return [_concatenate(joins) for joins in found]


def _blocks(joiners: Sequence[_Joiner], tools: int) -> Iterator[tuple[int, int]]:
    """Tools from and up to which are joined together."""
    low = 0
    while low < tools:
        high = min(tools, low + _MOST_TOOLS_AT_ONCE, *(joiner.reach(low) for joiner in joiners))
        yield low, high
        low = high


class _Joiner:
    """Joins the parameters of a block of tools to one side."""

    def __init__(
        self,
        parameters: FieldTable,
        others: FieldTable,
        matches: Matches,
        closeness: Closeness,
        limits: Limits,
    ) -> None:
        self._parameters, self._others, self._matches = parameters, others, matches
        self._closeness, self._limits = closeness, limits
        self._tool_by_key = others.tool[others.by_key]
        sizes = np.diff(others.key_start).astype(np.int64)
        before = np.concatenate([[0], np.cumsum(sizes[matches.other])])
        of_key = before[matches.start[1:]] - before[matches.start[:-1]]
        of_parameter = np.concatenate([[0], np.cumsum(of_key[parameters.key])])
        self._pairs_before: NDArray[np.int64] = of_parameter[parameters.tool_start]

    def reach(self, low: int) -> int:
        """Up to which tool the pairs of a block that begins at ``low`` fit in memory; at least one tool."""
        most = self._pairs_before[low] + _PAIRS_AT_ONCE
        return max(low + 1, int(np.searchsorted(self._pairs_before, most, side="right")) - 1)

    def join(self, low: int, high: int, cosine: Floats) -> Joins:
        """The joins of tools ``low`` up to ``high``, given their cosines to all tools."""
        parameters, others = self._parameters, self._others
        parameter, other, weight, tells = self._likely_pairs(low, high, cosine)
        tool, other_tool = parameters.tool[parameter] - low, others.tool[other]
        alike = cosine[tool, other_tool]
        # What a name tells joins tools whatever they do; the rest must come from what they do.
        close = self._closeness.of(tool + low, other_tool, alike)
        weight *= tells + (1 - tells) * close
        if others is parameters:
            weight *= self._closeness.apart(alike)
        rounded = np.round(weight * _SCALE).astype(np.int64)
        kept = np.flatnonzero(rounded >= max(1, round(self._limits.weight * _SCALE)))
        kept = kept[_best_of_each(tool[kept], other_tool[kept], rounded[kept])]
        # Among equals each tool takes those that follow it, so that none becomes the hub of all.
        tools = len(parameters.tool_start) - 1
        distance = (other_tool[kept] - tool[kept] - low) % tools
        kept = kept[_first_of_each(tool[kept], rounded[kept], distance, self._limits.joins)]
        weights = (rounded[kept] / _SCALE).astype(np.float32)
        return Joins(parameter[kept].astype(np.int32), other[kept].astype(np.int32), weights)

    def _likely_pairs(self, low: int, high: int, cosine: Floats) -> tuple[Ints, Ints, Floats, Floats]:
        """Parameter, other field, weight if close, and specificity of the pairs that may reach the limit."""
        parameters, others, matches = self._parameters, self._others, self._matches
        category, least = self._closeness.category, self._limits.weight
        mine = np.arange(parameters.tool_start[low], parameters.tool_start[high], dtype=np.int32)
        keys = parameters.key[mine]
        matched, of_mine = ranges(matches.start[keys], matches.start[keys + 1])
        parameter = mine[of_mine]
        strength = matches.agreement[matched] * parameters.factor[parameter]
        likely = strength >= least
        matched, parameter, strength = matched[likely], parameter[likely], strength[likely]
        tells, column, tool = matches.specificity[matched], matches.other[matched], parameters.tool[parameter]
        # Most pairs are of tools that are not close enough: they fall before anything else is asked of them.
        counts = others.key_start[column + 1] - others.key_start[column]
        place, _ = ranges(others.key_start[column], others.key_start[column + 1])
        other_tool = self._tool_by_key[place]
        alike = cosine.ravel()[
            np.repeat((tool - low).astype(np.int64) * cosine.shape[1], counts) + other_tool
        ]
        needed = self._closeness.needed((least / strength - tells) / (1 - tells) - _MARGIN)
        possible = alike >= np.repeat(needed, counts)
        own_category = np.where(category[tool] >= 0, category[tool], -2)
        possible |= category[other_tool] == np.repeat(own_category, counts)
        possible &= other_tool != np.repeat(tool, counts)
        kept = np.flatnonzero(possible)
        of_match = np.repeat(np.arange(len(column), dtype=np.int32), counts)[kept]
        other = others.by_key[place[kept]]
        weight = strength[of_match] * others.factor[other]
        enough = weight >= least
        of_match = of_match[enough]
        return parameter[of_match], other[enough], weight[enough], tells[of_match]


def _best_of_each(tool: Ints, other: Ints, weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the strongest join of each pair of tools, the first of equals.

    One sort of packed integers: 8 bits of tool, 20 of other tool, 14 of weight and 21 of index.
    """
    if len(tool) >= 1 << 21:  # one tool of very many pairs
        order = np.lexsort((np.arange(len(tool)), -weight, other, tool))
        change = (np.diff(tool[order], prepend=-1) != 0) | (np.diff(other[order], prepend=-1) != 0)
        return order[np.flatnonzero(change)]
    packed = tool.astype(np.int64) << 20 | other
    packed = (packed << 14 | (_SCALE - weight)) << 21 | np.arange(len(tool))
    packed.sort()
    pair = packed >> 35
    return packed[np.flatnonzero(np.diff(pair, prepend=-1))] & ((1 << 21) - 1)


def _first_of_each(tool: Ints, weight: NDArray[np.int64], distance: Ints, most: int) -> NDArray[np.int64]:
    """Indices of the strongest joins of each tool, of equals those of small distance.

    One sort of packed integers: 8 bits of tool, 14 of weight, 20 of distance and 21 of index.
    """
    if len(tool) >= 1 << 21:
        order = np.lexsort((distance, -weight, tool))
    else:
        packed = (tool.astype(np.int64) << 14 | (_SCALE - weight)) << 20 | distance
        packed = packed << 21 | np.arange(len(tool))
        packed.sort()
        order = packed & ((1 << 21) - 1)
    rank = np.arange(len(order)) - np.searchsorted(tool[order], tool[order])
    return order[rank < most]


def _no_joins() -> Joins:
    return Joins(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32))


def _concatenate(parts: Sequence[Joins]) -> Joins:
    return Joins(
        np.concatenate([part.parameter for part in parts]),
        np.concatenate([part.other for part in parts]),
        np.concatenate([part.weight for part in parts]),
    )
