"""How likely each tool of a small catalogue feeds each other one: every ordered pair is weighed.

Matching fields alone leave gaps that matter in a small catalogue: tools without a return schema, values that
go by another name. So all evidence is added up: the matching fields, what the texts of the fields have in
common, what a parameter is called and what the producer is about, and how close the tools are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolflow.catalog.tool import Tool
from toolflow.graph.encoder import Encoder, encode_texts
from toolflow.graph.field_table import Floats, Ints
from toolflow.graph.fields import ANY_TYPE, Field
from toolflow.graph.joining import DIGITS, Closeness
from toolflow.graph.naming import own_names
from toolflow.graph.vocabulary import BOILERPLATE, LOCAL, NAMELESS, PREPOSITIONS, VERBS
from toolflow.graph.words import normal_words

WHOLE_RESULT: Final = "$"
"""The path of a whole result, where no schema tells what is in it."""

# Begun from logistic regressions on the gold links of eight catalogues, each left out once, then rounded and
# evened out by hand; `toolflow graph score` tells how well they do. What a shared category tells is held
# down, as catalogues differ in it.
_FIELDS = 3.5
_TEXT = 2.0
_CLOSE = 0.5
_SUBJECT = 0.8
_INFERRED = 1.6
_CATEGORY = 2.0
_LEAST_COSINE = -0.2
# These two cost no recall; they leave it to matching fields, and to results of which nothing is known, to
# make a link likely, so that the fields of a likely link are worth showing.
_MATCHED = 1.5
_LEAST_MATCH = 0.25
_WHOLE = 0.8
# A tool that is like everything tells little by being like one more: what it is to its nearest is taken off.
_CROWD = 10
_CROWDING = 0.2
_MIDDLE = 4.2
_BOILERPLATE = 0.6
_OPTIONAL = 0.8


class Side(NamedTuple):
    """The fields of one side of all tools, tool by tool."""

    fields: Sequence[Field]
    tool: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Likelihoods:
    """How likely tools feed each other, and by which fields; arrays of shape (producers, consumers).

    Attributes:
        weight: In [0, 1], four digits after the point; 0 where no link is possible.
        given: Index of the producer's field on its side, -1 for its whole result.
        taken: Index of the consumer's parameter on its side.
    """

    weight: Floats
    given: Ints
    taken: Ints


def one_side(fields_of_tools: Sequence[Sequence[Field]]) -> Side:
    """The fields of all tools as one list."""
    counts = [len(fields) for fields in fields_of_tools]
    tool = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return Side([field for fields in fields_of_tools for field in fields], tool)


def weigh_pairs(
    tools: Sequence[Tool],
    parameters: Side,
    returns: Side,
    *,
    matching: Floats,
    closeness: Closeness,
    encoder: Encoder,
) -> Likelihoods:
    """Weigh every ordered pair of tools.

    Args:
        tools: The catalogue; the work grows with its square.
        parameters: Their parameters.
        returns: Their returns.
        matching: Weights of the joins of matching fields, 0 where there is none, shape (tools, tools).
        closeness: How close the tools are.
        encoder: Encodes the fields.
    """
    count = len(tools)
    none = np.full((count, count), -1, dtype=np.int32)
    if not parameters.fields:
        return Likelihoods(np.zeros((count, count), dtype=np.float32), none, none)
    taken_vectors = encode_texts(encoder, [_text(field) for field in parameters.fields])
    consumers = _Segments(parameters.tool)
    text, given, taken = _alike_fields(parameters, returns, taken_vectors, consumers, encoder, count=count)
    inferred = np.full((count, count), -1, dtype=np.float32)
    meant = none.copy()
    inferred[:, consumers.tool], meant[:, consumers.tool] = consumers.best(
        closeness.vectors @ taken_vectors.T
    )
    score = _FIELDS * matching
    score += _TEXT * np.maximum(text, _LEAST_COSINE)
    score += _INFERRED * np.maximum(inferred, _LEAST_COSINE)
    score += _CLOSE * np.maximum(closeness.cosines(0, count), _LEAST_COSINE)
    score += _SUBJECT * _named_after(tools, parameters)
    score += _CATEGORY * _same_category(closeness.category)
    # Where nothing that a tool gives has a name, or no type fits, its whole result is what another may use.
    telling = {
        tool
        for field, tool in zip(returns.fields, returns.tool.tolist(), strict=True)
        if not _is_plain(field)
    }
    untold = ~np.isin(np.arange(count), sorted(telling))[:, None]
    whole = (given < 0) | (untold & (inferred > text))
    score += _MATCHED * (matching >= _LEAST_MATCH) + _WHOLE * whole
    weight = 1 / (1 + np.exp(_MIDDLE - _uncrowded(score)))
    given, taken = np.where(whole, -1, given), np.where(whole, meant, taken)
    weight[taken < 0] = 0
    np.fill_diagonal(weight, 0)
    return Likelihoods(np.round(weight, DIGITS).astype(np.float32), given, taken)


def _is_plain(field: Field) -> bool:
    return own_names(field)[0] in BOILERPLATE


def _text(field: Field) -> str:
    name = " ".join(own_names(field)[0])
    return f"{name}: {field.description}" if field.description else name


class _Segments:
    """Columns that belong to tools, those of one tool side by side."""

    def __init__(self, tool: Ints) -> None:
        self._start = np.flatnonzero(np.diff(tool, prepend=-1))
        self._segment = np.repeat(np.arange(len(self._start)), np.diff(np.append(self._start, len(tool))))
        self.tool: Ints = tool[self._start]

    def best(self, values: Floats) -> tuple[Floats, Ints]:
        """The largest value of each row in each segment and its column, the first of equals."""
        best = np.maximum.reduceat(values, self._start, axis=1)
        columns = np.arange(values.shape[1], dtype=np.int32)
        at_best = np.where(values == best[:, self._segment], columns, values.shape[1])
        return best, np.minimum.reduceat(at_best, self._start, axis=1).astype(np.int32)


def _alike_fields(
    parameters: Side,
    returns: Side,
    taken_vectors: Floats,
    consumers: _Segments,
    encoder: Encoder,
    *,
    count: int,
) -> tuple[Floats, Ints, Ints]:
    """The most alike fields of each pair of tools: how alike, and which; -1 where no types are compatible."""
    text = np.full((count, count), -1, dtype=np.float32)
    given, taken = np.full((2, count, count), -1, dtype=np.int32)
    if not returns.fields:
        return text, given, taken
    vectors = encode_texts(encoder, [_text(field) for field in returns.fields])
    types = np.array([field.types or ANY_TYPE for field in parameters.fields], dtype=np.uint8)
    plain = np.array(
        [_BOILERPLATE if _is_plain(field) else 1.0 for field in parameters.fields], dtype=np.float32
    )
    producers = _Segments(returns.tool)
    stops = np.append(np.flatnonzero(np.diff(returns.tool, prepend=-1)), len(returns.tool))
    for producer, low, high in zip(
        producers.tool.tolist(), stops[:-1].tolist(), stops[1:].tolist(), strict=True
    ):
        mine = returns.fields[low:high]
        alike = vectors[low:high] @ taken_vectors.T
        is_plain = np.array([_is_plain(field) for field in mine])
        alike *= np.where(is_plain[:, None], np.float32(_BOILERPLATE), plain[None, :])
        own_types = np.array([field.types or ANY_TYPE for field in mine], dtype=np.uint8)
        alike[(own_types[:, None] & types[None, :]) == 0] = -1
        of_parameter = alike.argmax(axis=0)
        best, column = consumers.best(alike.max(axis=0)[None, :])
        possible = best[0] > -1
        chosen, column = consumers.tool[possible], column[0][possible]
        text[producer, chosen] = best[0][possible]
        given[producer, chosen] = low + of_parameter[column]
        taken[producer, chosen] = column
    return text, given, taken


def _named_after(tools: Sequence[Tool], parameters: Side) -> Floats:
    """How far parameters are named after what producers are about: ``reservation_id``, *get reservation*."""
    about = [
        {word for word in normal_words(tool.name) if word not in VERBS and word not in PREPOSITIONS}
        for tool in tools
    ]
    counts = Counter(word for words in about for word in words)
    tools_about: dict[str, list[int]] = defaultdict(list)
    for index, words in enumerate(about):
        for word in words:
            tools_about[word].append(index)
    told = np.zeros((len(tools), len(tools)), dtype=np.float32)
    for field, consumer in zip(parameters.fields, parameters.tool.tolist(), strict=True):
        words = set(own_names(field)[0]) - LOCAL - NAMELESS
        rare = {word: np.log((len(tools) + 1) / counts.get(word, 1)) for word in sorted(words)}
        part = np.zeros(len(tools), dtype=np.float32)
        for word in rare.keys() & tools_about.keys():
            part[tools_about[word]] += rare[word]
        if part.any():
            part *= (1.0 if field.required else _OPTIONAL) / sum(rare.values())
            told[:, consumer] = np.maximum(told[:, consumer], part)
    return told


def _same_category(category: Ints) -> Floats:
    """1 less the share of the catalogue that a shared category has; 0 where none is shared."""
    known = category >= 0
    share = np.bincount(category[known], minlength=1) / len(category)
    same = (category[:, None] == category[None, :]) & known[:, None]
    same_category: Floats = np.where(same, 1 - share[category][None, :], 0).astype(np.float32)
    return same_category


def _uncrowded(score: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores less a part of the strongest ten of their producer and of their consumer."""
    others = np.sort(score - np.diag(np.diag(score)), axis=0)
    of_consumer = others[-_CROWD:].sum(axis=0) / _CROWD
    others = np.sort(score - np.diag(np.diag(score)), axis=1)
    of_producer = others[:, -_CROWD:].sum(axis=1) / _CROWD
    crowd: Floats = _CROWDING / 2 * (of_producer[:, None] + of_consumer[None, :])
    return score - crowd
