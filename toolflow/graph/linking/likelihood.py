"""How likely each tool of a small catalogue feeds each other one: every ordered pair is weighed.

Matching fields alone leave gaps that matter in a small catalogue: tools without a return schema, values that
go by another name. So all evidence is added up. Each parameter of a consumer is asked how likely the producer
gives it, and the likeliest of them makes the link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolflow.catalog.tool import Tool
from toolflow.graph.encoder import Encoder
from toolflow.graph.linking.evidence import Evidence, Side
from toolflow.graph.linking.field_table import Floats, Ints
from toolflow.graph.linking.joining import DIGITS, Closeness
from toolflow.graph.linking.likelihood_weights import MIDDLE, WEIGHTS
from toolflow.graph.linking.link_table import LIKELY
from toolflow.graph.linking.matching import SURE

WHOLE_RESULT: Final = "$"
"""The path of a whole result, where no field of it is known to be what the other tool takes."""

# A tool that is like everything tells little by being like one more: a part of what it is to its strongest
# few is taken off, on either side.
_CROWD = 5
_CROWDING = 0.3
# Where fields are known and none of them matches, a link is never likely: there is no field to show. Nor is
# one that boilerplate alone would make, or where a tool of unknown results takes the parameter itself.
_LEAST_MATCH = 0.25
_DOUBT = 0.2
# It costs no recall, and leaves it to fields that surely match to make a link likely.
_MATCHED = 0.5
_NOISE = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Likelihoods:
    """How likely tools feed each other, and by which fields; arrays of shape (producers, consumers).

    Attributes:
        weight: In [0, 1], four digits after the point; 0 where no link is possible.
        given: Index of the producer's field on its side, -1 for its whole result.
        taken: Index of the consumer's parameter on its side, -1 where it has none.
    """

    weight: Floats
    given: Ints
    taken: Ints


def weigh_pairs(
    tools: Sequence[Tool],
    parameters: Side,
    returns: Side,
    *,
    matching: Floats,
    closeness: Closeness,
    encoder: Encoder,
    threshold: float,
) -> Likelihoods:
    """Weigh every ordered pair of tools.

    Args:
        tools: The catalogue; the work grows with its square.
        parameters: Their parameters.
        returns: Their returns.
        matching: Weights of the joins of matching fields, 0 where there is none, shape (tools, tools).
        closeness: How close the tools are.
        encoder: Encodes the fields.
        threshold: The cosine from which two fields mean the same.
    """
    count = len(tools)
    if not parameters.fields:
        none = np.full((count, count), -1, dtype=np.int32)
        return Likelihoods(np.zeros((count, count), dtype=np.float32), none, none)
    evidence = Evidence(tools, parameters, returns, closeness, encoder)
    score, taken = score_pairs(evidence, parameters, WEIGHTS, matched=matching >= _LEAST_MATCH)
    producers = np.arange(count)[:, None]
    named, plain = evidence.named[producers, taken] > 0, evidence.plain[taken]
    sure = threshold + SURE.unlike_name * (1 - threshold)
    alike = ~plain & (evidence.alike[producers, taken] >= sure)
    given = np.where(named | alike, evidence.given[producers, taken], -1)
    weight = 1 / (1 + np.exp(MIDDLE - score))
    unknown = evidence.untold[:, None] & ~plain & (evidence.known[producers, taken] == 0)
    shown = (given >= 0) | (matching >= _LEAST_MATCH) | unknown
    doubtful = _DOUBT + (LIKELY - _DOUBT - 10**-DIGITS) / (1 - _DOUBT) * (weight - _DOUBT)
    weight = np.where(shown | (weight <= _DOUBT), weight, doubtful)
    weight[taken < 0] = 0
    np.fill_diagonal(weight, 0)
    return Likelihoods(np.round(weight, DIGITS).astype(np.float32), given.astype(np.int32), taken)


def score_pairs(
    evidence: Evidence, parameters: Side, weights: Mapping[str, float], *, matched: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], Ints]:
    """The evidence of each pair of tools added up, and the parameter that it is best for.

    Args:
        evidence: What is added up.
        parameters: The parameters it is about.
        weights: What each kind of evidence counts; what is missing is left out.
        matched: Which pairs have fields that surely match, shape (tools, tools).

    Returns:
        Scores and indices of parameters, -1 where the consumer has none; both of shape (tools, tools).
    """
    of_parameter = np.zeros((len(matched), len(parameters.fields)), dtype=np.float32)
    for name, matrix in evidence.of_parameters():
        if weights.get(name):
            of_parameter += np.float32(weights[name]) * matrix
    best, column, consumers = best_parameters(of_parameter, parameters.tool)
    count = len(matched)
    taken = np.full((count, count), -1, dtype=np.int32)
    taken[:, consumers] = column
    score = np.where(matched, _MATCHED, 0.0)
    score[:, consumers] += best
    for name, matrix in evidence.of_tools():
        if weights.get(name):
            score += weights[name] * matrix
    possible = taken >= 0
    np.fill_diagonal(possible, val=False)
    return uncrowded(score, possible), taken


def best_parameters(values: Floats, tool: Ints) -> tuple[Floats, Ints, Ints]:
    """The largest value of each row among the columns of each tool, its column, and those tools.

    Values that differ by rounding alone count as equal; of equals the first is taken.
    """
    start = np.flatnonzero(np.diff(tool, prepend=-1))
    segment = np.repeat(np.arange(len(start)), np.diff(np.append(start, len(tool))))
    best = np.maximum.reduceat(values, start, axis=1)
    columns = np.arange(values.shape[1], dtype=np.int32)
    at_best = np.where(values >= best[:, segment] - _NOISE, columns, values.shape[1])
    return best, np.minimum.reduceat(at_best, start, axis=1).astype(np.int32), tool[start]


def uncrowded(score: NDArray[np.float64], possible: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Scores less a part of what the strongest five of their producer and of their consumer come to."""
    known = np.where(possible, score, 0)
    of_consumer = np.sort(known, axis=0)[-_CROWD:].sum(axis=0) / _CROWD
    of_producer = np.sort(known, axis=1)[:, -_CROWD:].sum(axis=1) / _CROWD
    crowd: NDArray[np.float64] = of_producer[:, None] + of_consumer[None, :]
    return score - _CROWDING * crowd
