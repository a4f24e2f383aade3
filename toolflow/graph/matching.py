"""Which field keys mean the same: keys of one name first, then the cosine of names and texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from toolflow.graph.encoder import Encoder, encode_texts
from toolflow.graph.field_table import Floats, Ints, Key, starts
from toolflow.graph.naming import Specificity
from toolflow.graph.vocabulary import LOCAL, NAMELESS, Name

_CELLS_AT_ONCE = 1 << 23  # 32 MB of cosines
_NONE = np.zeros(0, dtype=np.int32)

# Cosines are calibrated before use: 0 is the encoder's threshold, 1 is equality. The figures were set, with
# those of naming.py, by reading the links of real catalogues.
_SAME_NAME_FLOOR = -0.2
_UNLIKE_NAME_FLOOR = 0.25
_SECOND_NAME = 0.85
_SUREST_UNLIKE = 0.9
_LEAST_AGREEMENT = 0.25
_SHARED_HEAD = 0.6


class KeySet:
    """Keys of one side with their vectors, and indices from names and words to keys.

    Attributes:
        keys: The keys.
        text: Vectors of their texts, shape (keys, d).
        name: Vectors of their best names alone, shape (keys, d).
        types: Their type bits, shape (keys,).
        specificity: What their best names tell by themselves, shape (keys,).
        is_nameless: Whether the best name means nothing alone, shape (keys,).
        is_local: Whether the best name is of a thing inside one service, such as a *hotel id*, shape (keys,).
        by_name: Keys by each of their names.
        by_word: Keys by each word of their best name.
        by_head: Keys by the last word of their best name, which says what kind of thing it is.
    """

    def __init__(self, keys: Sequence[Key], encoder: Encoder, specificity: Specificity) -> None:
        best = [key.names[0] for key in keys]
        self.keys = keys
        self.text: Floats = encode_texts(encoder, [key.text for key in keys])
        self.name: Floats = encode_texts(encoder, [" ".join(name) for name in best])
        self.types: NDArray[np.uint8] = np.array([key.types for key in keys], dtype=np.uint8)
        self.specificity: Floats = np.array([specificity.names[name] for name in best], dtype=np.float32)
        self.is_nameless: NDArray[np.bool_] = np.array(
            [len(name) == 1 and name[0] in NAMELESS for name in best], dtype=np.bool_
        )
        self.is_local: NDArray[np.bool_] = np.array(
            [len(name) > 1 and name[-1] in LOCAL for name in best], dtype=np.bool_
        )
        self.by_name: Mapping[Name, Ints] = _index(key.names for key in keys)
        self.by_word: Mapping[str, Ints] = _index(set(name) for name in best)
        self.by_head: Mapping[str, Ints] = _index((name[-1],) for name in best)


_Term = TypeVar("_Term", bound=Hashable)


def _index(terms_of_keys: Iterable[Iterable[_Term]]) -> dict[_Term, Ints]:
    index: dict[_Term, list[int]] = defaultdict(list)
    for position, terms in enumerate(terms_of_keys):
        for term in terms:
            index[term].append(position)
    return {term: np.array(positions, dtype=np.int32) for term, positions in index.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Pairs of keys that may mean the same, in compressed sparse rows.

    Attributes:
        start: Pairs of row key k are ``start[k]`` up to ``start[k + 1]``, shape (rows + 1,).
        other: The column key of each pair, shape (pairs,).
        agreement: How surely both mean the same kind of value, in (0, 1], shape (pairs,).
        specificity: How surely that joins their tools whatever these do, in [0, 1], shape (pairs,).
    """

    start: Ints
    other: Ints
    agreement: Floats
    specificity: Floats


class _Pairs(NamedTuple):
    """Pairs of one row key: its columns, agreement and specificity."""

    other: Ints
    agreement: Floats
    specificity: Floats


def match_keys(
    rows: KeySet,
    columns: KeySet,
    specificity: Specificity,
    threshold: float,
    progress: Callable[[int, int], None],
) -> Matches:
    """Compare every row key with every column key, a block of rows at a time.

    Args:
        rows: Keys of parameters.
        columns: Keys of what they are joined to; may be ``rows``.
        specificity: What names and words tell in this catalogue.
        threshold: The encoder's calibrated cosine.
        progress: Called with how many rows are done, and of how many.
    """
    comparison = _Comparison(rows, columns, specificity, threshold)
    counts = np.zeros(len(rows.keys), dtype=np.int64)
    found: list[_Pairs] = []
    compared = len(rows.keys) if columns.keys else 0
    step = max(1, _CELLS_AT_ONCE // max(1, len(columns.keys)))
    for low in range(0, compared, step):
        high = min(low + step, compared)
        likeness = calibrate(rows.text[low:high] @ columns.text.T, threshold)
        likeness[(rows.types[low:high, None] & columns.types[None, :]) == 0] = -np.inf
        for row in range(low, high):
            for pairs in comparison.pairs_of(row, likeness[row - low]):
                counts[row] += len(pairs.other)
                found.append(pairs)
        progress(high, compared)
    empty = np.zeros(0, dtype=np.float32)
    return Matches(
        start=starts(counts),
        other=np.concatenate([_NONE, *(pairs.other for pairs in found)]),
        agreement=np.concatenate([empty, *(pairs.agreement for pairs in found)]),
        specificity=np.concatenate([empty, *(pairs.specificity for pairs in found)]),
    )


def calibrate(cosine: Floats, threshold: float) -> Floats:
    """Cosines of any encoder on one scale: 0 at its threshold, 1 at equality."""
    calibrated: Floats = ((cosine - threshold) / (1 - threshold)).astype(np.float32)
    return calibrated


@dataclass(frozen=True, slots=True, eq=False)
class _Comparison:
    """Rows against columns."""

    rows: KeySet
    columns: KeySet
    specificity: Specificity
    threshold: float

    def pairs_of(self, row: int, likeness: Floats) -> Iterator[_Pairs]:
        """The pairs of one row key.

        Args:
            row: Its index.
            likeness: Calibrated cosines of its text to all columns, -inf where types rule a pair out;
                overwritten where a pair is found, so that none is found twice.
        """
        for position, name in enumerate(self.rows.keys[row].names):
            same = self.columns.by_name.get(name, _NONE)
            same = same[likeness[same] >= _SAME_NAME_FLOOR]
            if len(same):
                sure = 0.6 + 0.4 * np.clip(likeness[same] - _SAME_NAME_FLOOR, 0, 1)
                sure *= 1.0 if position == 0 else _SECOND_NAME
                tells = np.full(len(same), self.specificity.names[name], dtype=np.float32)
                yield _Pairs(same, sure.astype(np.float32), tells)
                likeness[same] = -np.inf
        unlike = np.flatnonzero(likeness >= _UNLIKE_NAME_FLOOR).astype(np.int32)
        if len(unlike):
            yield self._unlike_pairs(row, unlike, likeness[unlike])

    def _unlike_pairs(self, row: int, unlike: Ints, likeness: Floats) -> _Pairs:
        """Pairs of unlike names: their texts must be much alike, or both texts and names."""
        rows, columns = self.rows, self.columns
        names_alike = calibrate(columns.name[unlike] @ rows.name[row], self.threshold)
        both = 0.15 + 0.75 * likeness + 0.4 * names_alike
        sure = np.clip(np.maximum(both, 1.15 * likeness - 0.05), 0, _SUREST_UNLIKE)
        head, shares_word = self._shared_words(rows.keys[row].names[0])
        # `document name` and `document type` are two things of one document.
        other_thing = shares_word[unlike] & (head[unlike] < 0)
        # `hotel id` and `hotel booking id` are two things; a bare `name` may be anything's.
        other_thing |= columns.is_local[unlike] & rows.is_local[row]
        other_thing |= columns.is_nameless[unlike] | rows.is_nameless[row]
        sure = np.where(other_thing, sure / 2, sure)
        kept = sure >= _LEAST_AGREEMENT
        others = unlike[kept]
        tells = np.minimum(
            _SHARED_HEAD * np.maximum(head[others], 0),
            np.minimum(columns.specificity[others], rows.specificity[row]),
        )
        return _Pairs(others, sure[kept].astype(np.float32), tells.astype(np.float32))

    def _shared_words(self, name: Name) -> tuple[Floats, NDArray[np.bool_]]:
        """What each column shares with a name, arrays of shape (columns,).

        Returns:
            The rarity of a shared word that is the last of either name, as the last says what kind of thing
            it is (-1 if there is none), and whether any word is shared.
        """
        columns = self.columns
        head = np.full(len(columns.keys), -1, dtype=np.float32)
        shares = np.zeros(len(columns.keys), dtype=np.bool_)
        for word in name:
            sharing = columns.by_word.get(word, _NONE)
            shares[sharing] = True
            headed = sharing if word == name[-1] else columns.by_head.get(word, _NONE)
            head[headed] = np.maximum(head[headed], self.specificity.words.get(word, 0.0))
        return head, shares
