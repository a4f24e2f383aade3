"""Joins tools whose fields match: how much a match weighs depends on how close the tools are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolflow.catalog.tool import Tool
from toolflow.graph.encoder import Encoder, encode_texts
from toolflow.graph.field_table import FieldTable, Floats, Ints
from toolflow.graph.matching import Matches, calibrate
from toolflow.graph.naming import rarity
from toolflow.graph.words import split_identifier

_LEAST_WEIGHT = 0.25
_DIGITS = 4
_MOST_LINKS = 32
_TOOLS_AT_ONCE = 128
_LONGEST_DESCRIPTION = 300
_SAME_CATEGORY = 0.5
# From which calibrated cosine on two tools do the same thing under two names, and what that takes off.
_TWIN = 0.74
_TWIN_LOSS = 0.6


class Closeness:
    """How close two tools are in what they do, from their descriptions and categories."""

    def __init__(self, tools: Sequence[Tool], encoder: Encoder, threshold: float) -> None:
        categories = [tool.category for tool in tools]
        self._vectors = encode_texts(encoder, [_tool_text(tool) for tool in tools])
        self._threshold = threshold
        counts = Counter(category for category in categories if category is not None)
        numbers = {category: number for number, category in enumerate(counts)}
        # A catalogue of one category is about one thing, so sharing that category counts although all do.
        one_thing = sum((count / len(tools)) ** 2 for count in counts.values())
        shared = {
            category: _SAME_CATEGORY * max(rarity(count, len(tools)), one_thing)
            for category, count in counts.items()
        }
        self._category: Ints = np.array(
            [-1 if category is None else numbers[category] for category in categories], dtype=np.int32
        )
        self._shared: Floats = np.array(
            [0.0 if category is None else shared[category] for category in categories], dtype=np.float32
        )

    def of(self, low: int, high: int) -> tuple[Floats, Floats]:
        """Of tools ``low`` up to ``high`` to all tools.

        Returns:
            Closeness in [0, 1], and what being near-twins leaves of a link between parameters, both of shape
            (high - low, tools).
        """
        alike = calibrate(self._vectors[low:high] @ self._vectors.T, self._threshold)
        close = np.clip((alike + 0.4) / 1.2, 0, 1)
        same = self._category[low:high, None] == self._category[None, :]
        close = 1 - (1 - close) * (1 - np.where(same, self._shared[None, :], 0))
        apart = 1 - _TWIN_LOSS * np.clip((alike - _TWIN) / (1 - _TWIN), 0, 1)
        return close.astype(np.float32), apart.astype(np.float32)


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

    def scaled(self, factor: Floats) -> Joins:
        """The same pairs with weights multiplied by factors of shape (joins,)."""
        return Joins(self.parameter, self.other, self.weight * factor)


def join_tools(
    parameters: FieldTable,
    others: FieldTable,
    matches: Matches,
    closeness: Closeness,
    progress: Callable[[int, int], None],
) -> Joins:
    """Join every tool's parameters to fields of other tools.

    Two tools are joined once, by their best pair, and a tool keeps its 32 strongest joins: a name that every
    tool has cannot join all with all.

    Args:
        parameters: The parameters of all tools.
        others: Their returns, or the parameters again.
        matches: Which keys of ``parameters`` match which of ``others``.
        closeness: How close the tools are.
        progress: Called with how many tools are done, and of how many.
    """
    tools = len(parameters.tool_start) - 1
    found = [Joins(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32))]
    for low in range(0, tools, _TOOLS_AT_ONCE):
        high = min(low + _TOOLS_AT_ONCE, tools)
        close, apart = closeness.of(low, high)
        for tool in range(low, high):
            pairs = _field_pairs(tool, close[tool - low], parameters, others, matches)
            if others is parameters:
                pairs = pairs.scaled(apart[tool - low][others.tool[pairs.other]])
            found.append(_strongest(pairs, tool, others.tool, tools))
        progress(high, tools)
    return _concatenate(found)


def _field_pairs(
    tool: int, close: Floats, parameters: FieldTable, others: FieldTable, matches: Matches
) -> Joins:
    """All pairs of one tool: its parameters, the matches of their keys, the fields of the matched keys."""
    mine = np.arange(parameters.tool_start[tool], parameters.tool_start[tool + 1], dtype=np.int32)
    keys = parameters.key[mine]
    matched, of_mine = _ranges(matches.start[keys], matches.start[keys + 1])
    columns = matches.other[matched]
    places, of_match = _ranges(others.key_start[columns], others.key_start[columns + 1])
    match = matched[of_match]
    parameter = mine[of_mine[of_match]]
    other = others.by_key[places]
    other_tool = others.tool[other]
    # What a name tells joins tools whatever they do; the rest must come from what they do.
    specificity = matches.specificity[match]
    weight = matches.agreement[match] * (specificity + (1 - specificity) * close[other_tool])
    weight *= parameters.factor[parameter] * others.factor[other]
    possible = other_tool != tool
    return Joins(parameter[possible], other[possible], weight[possible].astype(np.float32))


def _ranges(start: Ints, stop: Ints) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers of many ranges one after another, and which range each is from."""
    counts = (stop - start).astype(np.int64)
    of = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    return np.arange(len(of)) + (start - before)[of], of


def _strongest(pairs: Joins, tool: int, tool_of: Ints, tools: int) -> Joins:
    """The best pair for each other tool, and of those the strongest."""
    weight = np.round(pairs.weight, _DIGITS)
    likely = np.flatnonzero(weight >= _LEAST_WEIGHT)
    parameter, other, weight = pairs.parameter[likely], pairs.other[likely], weight[likely]
    other_tool = tool_of[other]
    best_first = np.lexsort((other, parameter, -weight, other_tool))
    kept = best_first[np.flatnonzero(np.diff(other_tool[best_first], prepend=-1))]
    if len(kept) > _MOST_LINKS:
        # Among equals each tool takes those that follow it, so that none becomes the hub of all.
        distance = (other_tool[kept] - tool) % tools
        kept = kept[np.lexsort((distance, -weight[kept]))[:_MOST_LINKS]]
    return Joins(parameter[kept], other[kept], weight[kept])


def _concatenate(parts: Sequence[Joins]) -> Joins:
    return Joins(
        np.concatenate([part.parameter for part in parts]),
        np.concatenate([part.other for part in parts]),
        np.concatenate([part.weight for part in parts]),
    )
