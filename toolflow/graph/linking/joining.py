"""Joins tools whose fields match: how much a match weighs depends on how close the tools are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolflow.catalog.tool import Tool
from toolflow.graph.encoder import Encoder, encode_texts
from toolflow.graph.linking.cores import Cores
from toolflow.graph.linking.field_table import FieldTable, Floats, Ints
from toolflow.graph.linking.joins import Joins, Limits, best_of_each, concatenate, first_of_each
from toolflow.graph.linking.matches import Indices, Matches, ranges
from toolflow.graph.linking.matching import calibrate
from toolflow.graph.linking.naming import rarity
from toolflow.graph.linking.words import split_identifier

DIGITS: Final = 4
"""Digits of a weight after the point."""

_SCALE = 10**DIGITS
_PAIRS_AT_ONCE = 1 << 21
_MOST_TOOLS_AT_ONCE = 128
_SAMPLED = 16
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

    def cosines(self, low: int, high: int, others: Indices | slice = slice(None)) -> Floats:
        """Cosines of tools ``low`` up to ``high`` to others or all, shape (high - low, others)."""
        cosines: Floats = self.vectors[low:high] @ self.vectors[others].T
        return cosines

    def of(self, tool: Ints, other: Ints, cosine: Floats) -> Floats:
        """Closeness of pairs of tools in [0, 1], given their cosines; all of shape (pairs,)."""
        close = np.clip((calibrate(cosine, self._threshold) + 0.4) / 1.2, 0, 1)
        same = self.category[tool] == self.category[other]
        closer: Floats = (1 - (1 - close) * (1 - np.where(same, self._shared[other], 0))).astype(np.float32)
        return closer

    def needed(self, closeness: Floats, tool: Ints) -> tuple[Floats, Floats]:
        """From which cosine on a tool and another are that close, shape (pairs,).

        Returns:
            The cosine for others of any category, and the one for others of the tool's own.
        """
        own = 1 - (1 - closeness) / (1 - self._shared[tool])
        return self._cosine(closeness), self._cosine(own)

    def _cosine(self, closeness: Floats) -> Floats:
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
    found: list[list[Joins]] = [[] for _ in joiners]

    def join(block: tuple[int, int]) -> list[Joins]:
        matched = [joiner.matched(*block) for joiner in joiners]
        asked = np.zeros(tools, dtype=np.bool_)
        for joiner, of_side in zip(joiners, matched, strict=True):
            joiner.ask(of_side, asked)
        others = np.flatnonzero(asked)  # about half, as others have nothing to be joined to
        column = np.zeros(tools, dtype=np.int32)
        column[others] = np.arange(len(others), dtype=np.int32)
        cosine = closeness.cosines(*block, others)
        sides = zip(joiners, matched, strict=True)
        return [joiner.join(of_side, cosine, column) for joiner, of_side in sides]

    blocks = list(_blocks(joiners, tools))
    for (_, high), of_block in zip(blocks, threads.map(join, blocks), strict=True):
        for joins, more in zip(found, of_block, strict=True):
            joins.append(more)
        progress(high, tools)
    return [concatenate(joins) for joins in found]


def _blocks(joiners: Sequence[_Joiner], tools: int) -> Iterator[tuple[int, int]]:
    """Tools from and up to which are joined together."""
    low = 0
    while low < tools:
        high = min(tools, low + _MOST_TOOLS_AT_ONCE, *(joiner.reach(low) for joiner in joiners))
        yield low, high
        low = high


class _Matched(NamedTuple):
    """Matches of the parameters of a block of tools, arrays of shape (matches,).

    Attributes:
        low: The first tool of the block.
        parameter: Index of the parameter in its table.
        key: The key of the other side that it matches.
        strength: The most a join by it can weigh.
        specificity: How surely it joins tools whatever these do.
    """

    low: int
    parameter: Ints
    key: Ints
    strength: Floats
    specificity: Floats


class _Pairs(NamedTuple):
    """Pairs of a parameter and another field, arrays of shape (pairs,).

    Attributes:
        match: Index of their match.
        place: Where the other field stands among those sorted by key.
        cosine: That of their tools.
    """

    match: Ints
    place: Ints
    cosine: Floats

    def where(self, kept: NDArray[np.int64] | slice) -> _Pairs:
        """Those pairs alone."""
        return _Pairs(self.match[kept], self.place[kept], self.cosine[kept])


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
        self._fields_of_key = np.diff(others.key_start)
        sizes = self._fields_of_key.astype(np.int64)
        of_parameter = np.concatenate([[0], np.cumsum(matches.reach(sizes)[parameters.key])])
        self._pairs_before: NDArray[np.int64] = of_parameter[parameters.tool_start]

    def reach(self, low: int) -> int:
        """Up to which tool the pairs of a block that begins at ``low`` fit in memory; at least one tool."""
        most = self._pairs_before[low] + _PAIRS_AT_ONCE
        return max(low + 1, int(np.searchsorted(self._pairs_before, most, side="right")) - 1)

    def matched(self, low: int, high: int) -> _Matched:
        """The matches of tools ``low`` up to ``high`` that may reach the limit."""
        parameters = self._parameters
        mine = np.arange(parameters.tool_start[low], parameters.tool_start[high], dtype=np.int32)
        of_mine, key, agreement, specificity = self._matches.of(parameters.key[mine])
        parameter = mine[of_mine]
        strength = agreement * parameters.factor[parameter]
        likely = np.flatnonzero(strength >= self._limits.weight)
        return _Matched(low, parameter[likely], key[likely], strength[likely], specificity[likely])

    def ask(self, matched: _Matched, asked: NDArray[np.bool_]) -> None:
        """Mark the tools that have a field of a matched key, in an array of shape (tools,)."""
        start = self._others.key_start
        keys = np.flatnonzero(np.bincount(matched.key, minlength=len(start) - 1))
        fields, _ = ranges(start[keys], start[keys + 1])
        asked[self._tool_by_key[fields]] = True

    def join(self, matched: _Matched, cosine: Floats, column: Ints) -> Joins:
        """The joins of a block of tools.

        Args:
            matched: Their matches.
            cosine: Their cosines to other tools, shape (tools of the block, others).
            column: Which column is about which tool, shape (tools,).
        """
        counts = self._fields_of_key[matched.key]
        match = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        first = self._others.key_start[matched.key] - (np.cumsum(counts, dtype=np.int32) - counts)
        place = np.arange(len(match), dtype=np.int32) + first[match]
        row = (self._parameters.tool[matched.parameter] - matched.low) * np.int32(cosine.shape[1])
        pairs = _Pairs(match, place, cosine.ravel()[row[match] + column[self._tool_by_key][place]])
        least = np.full(len(cosine), self._limits.weight, dtype=np.float32)
        if len(place) > _SAMPLED * self._limits.joins * len(cosine):
            # What a tool would keep of some pairs tells how weak one may be that it could keep of all.
            some = self._strongest(matched, pairs.where(slice(None, None, _SAMPLED)), least)
            tool = self._parameters.tool[some.parameter] - matched.low
            weakest = np.ones_like(least)
            np.minimum.at(weakest, tool, some.weight - np.float32(1 / _SCALE))
            full = np.bincount(tool, minlength=len(least)) == self._limits.joins
            least = np.where(full, np.maximum(least, weakest), least)
        return self._strongest(matched, pairs, least)

    def _strongest(self, matched: _Matched, pairs: _Pairs, least: Floats) -> Joins:
        """What each tool keeps of some pairs, if it weighs at least so much, shape (tools of the block,)."""
        parameters, others = self._parameters, self._others
        match, place, cosine = self._likely(matched, pairs, least)
        parameter, other, tells = matched.parameter[match], others.by_key[place], matched.specificity[match]
        tool, other_tool = parameters.tool[parameter], self._tool_by_key[place]
        row = tool - matched.low
        # What a name tells joins tools whatever they do; the rest must come from what they do.
        weight = matched.strength[match] * others.factor[other]
        weight *= tells + (1 - tells) * self._closeness.of(tool, other_tool, cosine)
        if others is parameters:
            weight *= self._closeness.apart(cosine)
        rounded = np.round(weight * _SCALE).astype(np.int64)
        kept = np.flatnonzero(rounded >= np.maximum(1, np.round(least * _SCALE))[row])
        kept = kept[best_of_each(row[kept], other_tool[kept], rounded[kept])]
        # Among equals each tool takes those that follow it, so that none becomes the hub of all.
        distance = (other_tool[kept] - tool[kept]) % (len(parameters.tool_start) - 1)
        kept = kept[first_of_each(row[kept], rounded[kept], distance, self._limits.joins)]
        return Joins(parameter[kept], other[kept], (rounded[kept] / _SCALE).astype(np.float32))

    def _likely(self, matched: _Matched, pairs: _Pairs, least: Floats) -> _Pairs:
        """The pairs that may weigh enough: most are of tools that are not close enough."""
        tool = self._parameters.tool[matched.parameter]
        share = least[tool - matched.low] / matched.strength - matched.specificity
        share /= 1 - matched.specificity
        of_all, of_own = self._closeness.needed(share - _MARGIN, tool)
        pairs = pairs.where(np.flatnonzero(pairs.cosine >= of_own[pairs.match]))
        other_tool, category = self._tool_by_key[pairs.place], self._closeness.category
        possible = pairs.cosine >= of_all[pairs.match]
        possible |= category[other_tool] == category[tool][pairs.match]
        possible &= other_tool != tool[pairs.match]
        return pairs.where(np.flatnonzero(possible))
