"""How likely each tool feeds each other one: every ordered pair is weighed.

Matching fields alone leave gaps: tools without a return schema, values that
go by another name. So all evidence is added up. Each parameter of a consumer is asked how likely the producer
gives it, and the likeliest of them makes the link. A pair leans on the neighbours of both its tools.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolflow.catalog.tool import Tool
from toolflow.graph.encoder import Encoder
from toolflow.graph.linking.cores import cores
from toolflow.graph.linking.evidence import Evidence, Side
from toolflow.graph.linking.field_table import Floats, Ints
from toolflow.graph.linking.joining import DIGITS, Closeness
from toolflow.graph.linking.likelihood_weights import MIDDLE, WEIGHTS
from toolflow.graph.linking.link_table import LIKELY
from toolflow.graph.linking.matching import SURE
from toolflow.graph.linking.neighbours import find_neighbours, lean_on_neighbours

LEAST_MATCH: Final = 0.25
"""The weight from which a join of two tools says that fields of theirs match."""

# A tool that is like everything tells little by being like one more: a part of what it is to its likeliest
# tenth of all tools is taken off, on either side. A share, as a tool's five likeliest of four thousand are no
# crowd but its own service.
_CROWD = 0.1
_LEAST_CROWD = 5
_CROWDING = 0.3
# Where fields are known and none of them matches, a link is never likely: there is no field to show. Nor is
# one that boilerplate alone would make, or where a tool of unknown results takes the parameter itself.
_DOUBT = 0.2
# It costs no recall, and leaves it to fields that surely match to make a link likely.
_MATCHED = 0.5
_NOISE = 1e-5
_NUMBERS_AT_ONCE = 1 << 21


@dataclass(frozen=True, slots=True, eq=False)
class Likelihoods:
    """How likely tools feed each other, and by which fields; arrays of shape (producers, consumers).

    Fields are counted from the first one of their tool, so that a pair takes eight bytes.

    Attributes:
        weight: In [0, 1], four digits after the point; 0 where no link is possible.
        given: The producer's field, -1 for its whole result.
        taken: The consumer's parameter, -1 where it has none that could be given.
    """

    weight: Floats
    given: NDArray[np.int16]
    taken: NDArray[np.int16]


def weigh_pairs(
    tools: Sequence[Tool],
    parameters: Side,
    returns: Side,
    *,
    matched: Callable[[range], NDArray[np.bool_]],
    closeness: Closeness,
    encoder: Encoder,
    threshold: float,
    progress: Callable[[int, int], None],
) -> Likelihoods:
    """Weigh every ordered pair of tools, some producers at a time.

    Args:
        tools: The catalogue; the work grows with its square.
        parameters: Their parameters.
        returns: Their returns.
        matched: Gives for some producers whether fields of theirs surely match each tool's parameters, shape
            (producers, tools).
        closeness: How close the tools are.
        encoder: Encodes the fields.
        threshold: The cosine from which two fields mean the same.
        progress: Called with how many tools are weighed, and of how many.
    """
    count = len(tools)
    weight = np.zeros((count, count), dtype=np.float32)
    given, taken = (np.full((count, count), -1, dtype=np.int16) for _ in range(2))
    if not parameters.fields:
        return Likelihoods(weight, given, taken)
    no_one = Evidence(tools, parameters, returns, closeness, encoder, producers=range(0))
    first_taken, first_given = (np.searchsorted(side.tool, range(count)) for side in (parameters, returns))
    sure = threshold + SURE.unlike_name * (1 - threshold)
    shown = np.zeros((count, count), dtype=np.bool_)

    def gather(producers: range) -> None:
        evidence, matches = no_one.of(producers), matched(producers)
        score, column = score_pairs(evidence, parameters, WEIGHTS, matched=matches)
        rows, mine = np.arange(len(producers))[:, None], slice(producers.start, producers.stop)
        plain = evidence.plain[column]
        named = evidence.named[rows, column] > 0
        likest = evidence.given[rows, column]
        # The ids of two things are alike in nothing but being ids.
        ids = (likest >= 0) & np.append(evidence.given_local, False)[likest] & evidence.local[column]
        alike = ~plain & ~ids & (evidence.alike[rows, column] >= sure)
        field = np.where(named | alike, likest, -1)
        unknown = evidence.untold[:, None] & ~plain & (evidence.known[rows, column] == 0)
        shown[mine] = (field >= 0) | matches | unknown
        weight[mine] = score
        given[mine] = np.where(field >= 0, field - first_given[mine, None], -1)
        taken[mine] = np.where(column >= 0, column - first_taken, -1)

    blocks = list(_blocks(count, len(parameters.fields)))
    with cores() as threads:
        for producers, _ in zip(blocks, threads.map(gather, blocks), strict=True):
            progress(producers.stop, count)
    possible = taken >= 0
    np.fill_diagonal(possible, val=False)
    weight = lean_on_neighbours(weight, find_neighbours(closeness, blocks), possible, blocks)
    uncrowd(weight, possible)
    for producers in blocks:
        mine = slice(producers.start, producers.stop)
        of_block = 1 / (1 + np.exp(MIDDLE - weight[mine]))
        doubtful = _DOUBT + (LIKELY - _DOUBT - 10**-DIGITS) / (1 - _DOUBT) * (of_block - _DOUBT)
        of_block = np.where(shown[mine] | (of_block <= _DOUBT), of_block, doubtful)
        weight[mine] = np.where(possible[mine], np.round(of_block, DIGITS), 0)
    return Likelihoods(weight, given, taken)


def _blocks(tools: int, parameters: int) -> Iterator[range]:
    """Producers whose evidence fits in memory together."""
    size = max(1, _NUMBERS_AT_ONCE // max(tools, parameters))
    for low in range(0, tools, size):
        yield range(low, min(low + size, tools))


def score_pairs(
    evidence: Evidence, parameters: Side, weights: Mapping[str, float], *, matched: NDArray[np.bool_]
) -> tuple[Floats, Ints]:
    """The evidence of each pair of tools added up, and the parameter that it is best for.

    Args:
        evidence: What is added up.
        parameters: The parameters it is about.
        weights: What each kind of evidence counts; what is missing is left out.
        matched: Which pairs have fields that surely match, shape (producers, tools).

    Returns:
        Scores and indices of parameters, -1 where the consumer has none that the producer can give; both of
        shape (producers, tools).
    """
    of_parameter = np.zeros((len(matched), len(parameters.fields)), dtype=np.float32)
    for name, matrix in evidence.of_parameters():
        if weights.get(name):
            of_parameter += np.float32(weights[name]) * matrix
    best, column, consumers = best_parameters(of_parameter, parameters.tool, evidence.barred)
    taken = np.full(matched.shape, -1, dtype=np.int32)
    taken[:, consumers] = column
    score = np.where(matched, np.float32(_MATCHED), np.float32(0))
    score[:, consumers] += best
    for name, matrix in evidence.of_tools():
        if weights.get(name):
            score += np.float32(weights[name]) * matrix
    return score, taken


def best_parameters(values: Floats, tool: Ints, barred: NDArray[np.bool_]) -> tuple[Floats, Ints, Ints]:
    """The largest value of each row among the columns of each tool, its column, and those tools.

    Values that differ by rounding alone count as equal; of equals the first is taken. Where all are barred,
    the value is 0 and the column -1.
    """
    values = np.where(barred, -np.inf, values)
    start = np.flatnonzero(np.diff(tool, prepend=-1))
    segment = np.repeat(np.arange(len(start)), np.diff(np.append(start, len(tool))))
    best = np.maximum.reduceat(values, start, axis=1)
    columns = np.arange(values.shape[1], dtype=np.int32)
    at_best = np.where(values >= best[:, segment] - _NOISE, columns, values.shape[1])
    column = np.minimum.reduceat(at_best, start, axis=1).astype(np.int32)
    none = np.isneginf(best)
    return np.where(none, np.float32(0), best), np.where(none, np.int32(-1), column), tool[start]


def uncrowd(score: NDArray[np.floating], possible: NDArray[np.bool_]) -> None:
    """Take off every score a part of what its two tools are to their likeliest tenth of all, at least five.

    All scores of a catalogue also lose a part of what its tools are, in the mean, to their likeliest five
    beyond that. It changes no order, and keeps large catalogues from having many more likely links a tool.

    Args:
        score: Of shape (tools, tools); what is not possible counts as 0.
        possible: Which pairs may be links, of the same shape.
    """
    if not len(score):
        return
    score *= possible
    step = max(1, _NUMBERS_AT_ONCE // len(score))
    lows = range(0, len(score), step)
    of_producer = np.concatenate([_strongest(score[low : low + step].T) for low in lows], axis=1)
    of_consumer = np.concatenate([_strongest(score[:, low : low + step]) for low in lows], axis=1)
    beyond = sum(float((five - crowd).mean()) for crowd, five in (of_producer, of_consumer))
    score -= (_CROWDING * (of_producer[0] + beyond)).astype(score.dtype)[:, None]
    score -= (_CROWDING * of_consumer[0]).astype(score.dtype)[None, :]


def _strongest(score: NDArray[np.floating]) -> NDArray[np.float64]:
    """What the strongest of each column come to: of its crowd, and of five; shape (2, columns)."""
    tools = len(score)
    crowd = max(_LEAST_CROWD, math.ceil(_CROWD * tools))
    few, five = min(crowd, tools), min(_LEAST_CROWD, tools)
    kept = np.partition(score, tools - few, axis=0)[-few:]
    likeliest = np.partition(kept, few - five, axis=0)[-five:]
    return np.stack(
        [
            kept.sum(axis=0, dtype=np.float64) / crowd,
            likeliest.sum(axis=0, dtype=np.float64) / _LEAST_CROWD,
        ]
    )
