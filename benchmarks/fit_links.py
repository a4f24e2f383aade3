"""Fits the weights of link evidence to known links, and tells how they do on sources they were not fitted to.

A logistic regression over pairs of tools in which every family counts the same, and so do the sources of a
family and the catalogues of a source. Which parameter makes a link is hidden: it is taken from the weights
so far, and both are found in turns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.link_catalogues import KnownLinks
from toolflow.graph.encoder import Encoder
from toolflow.graph.linking.evidence import Evidence, one_side
from toolflow.graph.linking.field_table import Floats, Ints
from toolflow.graph.linking.fields import parameter_fields, return_fields
from toolflow.graph.linking.joining import Closeness
from toolflow.graph.linking.likelihood import best_parameters, uncrowd
from toolflow.graph.linking.neighbours import Neighbours, find_neighbours, lean_on_neighbours

Weights = dict[str, float]

FAMILIES: Final = {
    "tau_bench": "τ-bench",
    "read: retail": "τ-bench",
    "read: telecom": "τ-bench",
    "read: banking_knowledge": "τ-bench",
    "bfcl_multi_turn": "BFCL",
    "read: bfcl": "BFCL",
}
"""Sources of common origin, which are left out together."""

_AGAINST: Final = frozenset({"optional", "variant", "producer changes", "gives nothing"})
"""Evidence that can only speak against a link; all other only for it."""

_SET: Final = {
    "alike": 0.2,
    "optional": -0.7,
    "only source": 1.5,
    "credential": 2.0,
    "category": 1.8,
    "variant": -6.0,
    "gives nothing": -1.5,
}
"""Evidence whose weight is set, and the rest is fitted beside it. Credentials, variants and results that tell
nothing are in too few of these catalogues to be fitted, and hardly ever err in them. What a regression makes
of the others depends on the source that is left out (a category: 1.3 to 2.5); these found most links of it.
How alike one parameter is chooses the parameter; "texts" says what that tells of the tools. Variants are
alike in all else, and 2 of the 429 in these catalogues are links: they lose as much as speaks for them.
"""

_UNORDERED: Final = frozenset({"stabletoolbench"})
"""Sources that only say which tools serve one query: they are judged, and nothing is fitted to them."""

_OTHERS = 900
_LINKS_SHARE = 0.3
_RIDGE = 1e-3
_TURNS = 3
_STEPS = 12
_BEGIN: Final = {"alike": 1.5, "named": 1.0, "told": 1.5, "about": 1.0, "optional": -0.5}


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """The evidence in one catalogue, ready to be fitted to.

    Attributes:
        known: The catalogue and its known links.
        family: What is left out together with it.
        tool: Tool of each parameter.
        of_parameters: Evidence of shape (tools, parameters).
        of_tools: Evidence of shape (tools, tools).
        barred: Where no result can be the parameter, shape (tools, parameters).
        possible: Which pairs may be links, shape (tools, tools).
        neighbours: The nearest neighbours of each tool.
        pairs: Indices of the pairs that are fitted to: all links, and some others.
        is_link: Which of those are links.
    """

    known: KnownLinks
    family: str
    tool: Ints
    of_parameters: Mapping[str, Floats]
    of_tools: Mapping[str, Floats]
    barred: NDArray[np.bool_]
    possible: NDArray[np.bool_]
    neighbours: Neighbours
    pairs: NDArray[np.int64]
    is_link: NDArray[np.bool_]


def prepare(known: KnownLinks, encoder: Encoder) -> Prepared:
    """Gather the evidence in a catalogue."""
    tools = known.tools
    parameters = one_side([parameter_fields(tool) for tool in tools])
    returns = one_side([return_fields(tool) for tool in tools])
    closeness = Closeness(tools, encoder, encoder.threshold)
    evidence = Evidence(tools, parameters, returns, closeness, encoder)
    possible = np.zeros((len(tools), len(tools)), dtype=np.bool_)
    producer, parameter = np.nonzero(~evidence.barred)
    possible[producer, parameters.tool[parameter]] = True
    np.fill_diagonal(possible, val=False)
    links = np.zeros_like(possible)
    links[tuple(zip(*known.pairs, strict=True))] = True
    links &= possible
    others = np.flatnonzero(possible & ~links)
    if len(others) > _OTHERS:
        others = np.random.default_rng(0).choice(others, _OTHERS, replace=False)
    pairs = np.concatenate([np.flatnonzero(links), others])
    return Prepared(
        known=known,
        family=FAMILIES.get(known.source, known.source),
        tool=parameters.tool,
        of_parameters=dict(evidence.of_parameters()),
        of_tools=dict(evidence.of_tools()),
        barred=evidence.barred,
        possible=possible,
        neighbours=find_neighbours(closeness, [range(len(tools))]),
        pairs=pairs,
        is_link=links.ravel()[pairs],
    )


def scores(prepared: Prepared, weights: Mapping[str, float]) -> Floats:
    """What :func:`toolflow.graph.linking.likelihood.weigh_pairs` orders by, of evidence that is at hand."""
    best, _, consumers = _best(prepared, weights)
    score = np.zeros(prepared.possible.shape, dtype=np.float32)
    score[:, consumers] = best
    for name, matrix in prepared.of_tools.items():
        score += np.float32(weights.get(name, 0.0)) * matrix
    score = lean_on_neighbours(score, prepared.neighbours, prepared.possible, [range(len(score))])
    uncrowd(score, prepared.possible)
    return np.where(prepared.possible, score, -np.inf)


def _best(prepared: Prepared, weights: Mapping[str, float]) -> tuple[Floats, Ints, Ints]:
    of_parameter = np.zeros(next(iter(prepared.of_parameters.values())).shape, dtype=np.float32)
    for name, matrix in prepared.of_parameters.items():
        if weights.get(name):
            of_parameter += np.float32(weights[name]) * matrix
    return best_parameters(of_parameter, prepared.tool, prepared.barred)


def fit(catalogues: Sequence[Prepared], names: Sequence[str]) -> Weights:
    """Weights of the named evidence, and its ``middle``."""
    ordered = [prepared for prepared in catalogues if prepared.family not in _UNORDERED]
    weights: Weights = dict(_BEGIN)
    for _ in range(_TURNS):
        rows = [_rows(prepared, weights, names) for prepared in ordered]
        weights = _regress(rows, _shares(ordered), names)
    return weights


def left_out(catalogues: Sequence[Prepared], names: Sequence[str]) -> Iterator[tuple[str, Weights]]:
    """Each family with the weights that are fitted to all others."""
    for family in sorted({prepared.family for prepared in catalogues}):
        yield family, fit([prepared for prepared in catalogues if prepared.family != family], names)


def _rows(
    prepared: Prepared, weights: Mapping[str, float], names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    _, column, consumers = _best(prepared, weights)
    chosen = np.zeros(prepared.possible.shape, dtype=np.int64)
    chosen[:, consumers] = column
    producer, consumer = np.divmod(prepared.pairs, len(prepared.possible))
    at = chosen[producer, consumer]
    columns = [
        prepared.of_parameters[name][producer, at]
        if name in prepared.of_parameters
        else prepared.of_tools[name][producer, consumer]
        for name in names
    ]
    ones = np.ones(len(prepared.pairs))
    return np.stack([*columns, ones], axis=1).astype(np.float64), prepared.is_link


def _shares(catalogues: Sequence[Prepared]) -> list[float]:
    """What each catalogue counts: families the same, and in them sources, and in these catalogues."""
    sources: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for prepared in catalogues:
        sources[prepared.family][prepared.known.source] += 1
    return [
        1 / (len(sources) * len(of_family := sources[prepared.family]) * of_family[prepared.known.source])
        for prepared in catalogues
    ]


def _regress(
    rows: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_]]],
    shares: Sequence[float],
    names: Sequence[str],
) -> Weights:
    """Logistic regression by Newton's method; evidence that would speak the wrong way is left out."""
    given = np.array([_SET.get(name, 0.0) for name in names] + [0.0])
    values = np.concatenate([value for value, _ in rows])
    links = np.concatenate([link for _, link in rows]).astype(np.float64)
    counts = [
        share * np.where(link, _LINKS_SHARE / max(1, link.sum()), (1 - _LINKS_SHARE) / max(1, (~link).sum()))
        for (_, link), share in zip(rows, shares, strict=True)
    ]
    wanted = np.array([-1 if name in _AGAINST else 1 for name in names] + [0])
    free = given == 0
    while True:
        weights = given.copy()
        weights[free] = _newton(values[:, free], links, np.concatenate(counts), values @ given)
        wrong = np.flatnonzero(weights * wanted < 0)
        if not len(wrong):
            break
        free[wrong[np.abs(weights[wrong]).argmax()]] = False
    return dict(zip([*names, "middle"], [*weights[:-1].tolist(), -float(weights[-1])], strict=True))


def _newton(
    values: NDArray[np.float64],
    links: NDArray[np.float64],
    counts: NDArray[np.float64],
    known: NDArray[np.float64],
) -> NDArray[np.float64]:
    weights = np.zeros(values.shape[1])
    ridge = np.full(len(weights), _RIDGE)
    ridge[-1] = 0
    for _ in range(_STEPS):
        likely = 1 / (1 + np.exp(-np.clip(known + values @ weights, -30, 30)))
        slope = values.T @ (counts * (likely - links)) + ridge * weights
        curve = (values * (counts * likely * (1 - likely))[:, None]).T @ values + np.diag(ridge)
        weights -= np.linalg.solve(curve, slope)
    return weights


def names_of(catalogues: Collection[Prepared]) -> list[str]:
    """The names of all evidence."""
    first = next(iter(catalogues))
    return [*first.of_parameters, *first.of_tools]
