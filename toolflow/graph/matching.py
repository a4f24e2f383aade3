"""Which field keys mean the same: keys of one name first, then the cosine of names and texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolflow.graph.encoder import Encoder, encode_texts
from toolflow.graph.field_table import Floats, Ints, Key, starts
from toolflow.graph.naming import Specificity
from toolflow.graph.vocabulary import LOCAL, NAMELESS

_CELLS_AT_ONCE = 1 << 23  # 32 MB of cosines
_MOST_NAMES = 3
_MOST_WORDS = 6

# Cosines are calibrated before use: 0 is the encoder's threshold, 1 is equality. The figures were set, with
# those of naming.py, by reading the links of real catalogues.
_SECOND_NAME = 0.85
_SUREST_UNLIKE = 0.9
_SHARED_HEAD = 0.6


@dataclass(frozen=True, slots=True)
class Bar:
    """What a pair of keys must reach to count.

    Attributes:
        same_name: Least calibrated cosine of texts of one name.
        unlike_name: Least calibrated cosine of texts of unlike names.
        agreement: Least agreement of unlike names.
    """

    same_name: float
    unlike_name: float
    agreement: float


SURE: Final = Bar(same_name=-0.2, unlike_name=0.4, agreement=0.3)
"""For large catalogues, where a weak match is one of millions."""
ANY: Final = Bar(same_name=-0.6, unlike_name=-0.3, agreement=0.0)
"""For small ones, where a weak match may be the only one."""


class KeySet:
    """Keys of one side as arrays: vectors, names and words.

    Attributes:
        keys: The keys.
        text: Vectors of their texts, shape (keys, d).
        name: Vectors of the distinct best names alone, shape (distinct, d).
        name_row: Row of each key's best name there, shape (keys,).
        types: Their type bits, shape (keys,).
        specificity: What each of their names tells by itself, 0 where there is none, shape (keys, 3).
        is_nameless: Whether the best name means nothing alone, shape (keys,).
        is_local: Whether the best name is of a thing inside one service, such as a *hotel id*, shape (keys,).
        names: Numbers of their names, best first, -1 where there is none, shape (keys, 3).
        words: Numbers of the last six words of their best names, last first, -1 where there is none, shape
            (keys, 6). The last word says what kind of thing it is.
        by_name: Indices of the keys sorted by name, once for each name that a key has.
        name_start: Keys of name n are ``by_name[name_start[n] : name_start[n + 1]]``.
    """

    def __init__(self, keys: Sequence[Key], encoder: Encoder, specificity: Specificity) -> None:
        best = [key.names[0] for key in keys]
        name_number = {name: number for number, name in enumerate(specificity.names)}
        word_number = {word: number for number, word in enumerate(specificity.words)}
        self.keys = keys
        self.text: Floats = encode_texts(encoder, [key.text for key in keys])
        distinct = {name: row for row, name in enumerate(dict.fromkeys(best))}
        self.name: Floats = encode_texts(encoder, [" ".join(name) for name in distinct])
        self.name_row: Ints = np.array([distinct[name] for name in best], dtype=np.int32)
        self.types: NDArray[np.uint8] = np.array([key.types for key in keys], dtype=np.uint8)
        self.names = _padded([[name_number[name] for name in key.names] for key in keys], _MOST_NAMES)
        tells = np.array([*specificity.names.values(), 0.0], dtype=np.float32)
        self.specificity: Floats = tells[self.names]
        self.is_nameless: NDArray[np.bool_] = np.array(
            [len(name) == 1 and name[0] in NAMELESS for name in best], dtype=np.bool_
        )
        self.is_local: NDArray[np.bool_] = np.array(
            [len(name) > 1 and name[-1] in LOCAL for name in best], dtype=np.bool_
        )
        self.words = _padded([[word_number[word] for word in reversed(name)] for name in best], _MOST_WORDS)
        key, place = np.nonzero(self.names >= 0)
        named = self.names[key, place]
        self.by_name: Ints = key[np.argsort(named, kind="stable")].astype(np.int32)
        self.name_start = starts(np.bincount(named, minlength=len(name_number)))

    def __len__(self) -> int:
        return len(self.keys)


def _padded(rows: Sequence[Sequence[int]], width: int) -> Ints:
    padded = np.full((len(rows), width), -1, dtype=np.int32)
    for row, numbers in enumerate(rows):
        padded[row, : len(numbers)] = numbers[:width]
    return padded


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
    row: Ints
    column: Ints
    agreement: Floats
    specificity: Floats


def match_keys(
    rows: KeySet,
    columns: KeySet,
    specificity: Specificity,
    threshold: float,
    *,
    bar: Bar,
    progress: Callable[[int, int], None],
) -> Matches:
    """Compare every row key with every column key, a block of rows at a time.

    Args:
        rows: Keys of parameters.
        columns: Keys of what they are joined to; may be ``rows``.
        specificity: What names and words tell in this catalogue.
        threshold: The encoder's calibrated cosine.
        bar: What a pair must reach.
        progress: Called with how many rows are done, and of how many.
    """
    comparison = _Comparison(rows, columns, specificity, threshold, bar)
    found: list[_Pairs] = [_no_pairs()]
    compared = len(rows) if len(columns) else 0
    step = max(1, _CELLS_AT_ONCE // max(1, len(columns)))
    for low in range(0, compared, step):
        high = min(low + step, compared)
        found.append(comparison.pairs_of(low, rows.text[low:high] @ columns.text.T))
        progress(high, compared)
    row, column, agreement, tells = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Matches(starts(np.bincount(row, minlength=len(rows))), column, agreement, tells)


def calibrate(cosine: Floats, threshold: float) -> Floats:
    """Cosines of any encoder on one scale: 0 at its threshold, 1 at equality."""
    calibrated: Floats = ((cosine - threshold) / (1 - threshold)).astype(np.float32)
    return calibrated


def ranges(
    start: NDArray[np.integer], stop: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers of many ranges one after another, and which range each is from."""
    counts = (stop - start).astype(np.int64)
    of = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    return np.arange(len(of)) + (start - before)[of], of


@dataclass(frozen=True, slots=True, eq=False)
class _Comparison:
    """Rows against columns."""

    rows: KeySet
    columns: KeySet
    specificity: Specificity
    threshold: float
    bar: Bar

    def pairs_of(self, low: int, cosine: Floats) -> _Pairs:
        """The pairs of the row keys from ``low`` on, row by row.

        Args:
            low: Index of the first row.
            cosine: Cosines of the texts of these rows to those of all columns.
        """
        same = self._same_name(low, cosine)
        unlike = self._unlike_name(low, cosine)
        row = np.concatenate([same.row, unlike.row])
        order = np.argsort(row, kind="stable")
        return _Pairs(
            row[order],
            np.concatenate([same.column, unlike.column])[order],
            np.concatenate([same.agreement, unlike.agreement])[order],
            np.concatenate([same.specificity, unlike.specificity])[order],
        )

    def _same_name(self, low: int, cosine: Floats) -> _Pairs:
        """Pairs that have a name in common, each once, by the best name of the row."""
        rows, columns = self.rows, self.columns
        found: list[tuple[NDArray[np.int64], Ints, NDArray[np.int64]]] = []
        for place in range(_MOST_NAMES):
            names = rows.names[low : low + len(cosine), place]
            having = np.flatnonzero(names >= 0)
            entries, of = ranges(columns.name_start[names[having]], columns.name_start[names[having] + 1])
            row, column = having[of], columns.by_name[entries]
            new = (rows.types[low + row] & columns.types[column]) != 0
            new &= ~_any_equal(rows.names[low + row, :place], columns.names[column])
            found.append((row[new], column[new], np.full(int(new.sum()), place)))
        row, column, at = (np.concatenate(parts) for parts in zip(*found, strict=True))
        likeness = calibrate(cosine[row, column], self.threshold)
        kept = likeness >= self.bar.same_name
        row, column, at, likeness = low + row[kept], column[kept], at[kept], likeness[kept]
        agreement = 0.6 + 0.4 * np.clip(likeness - SURE.same_name, 0, 1)
        agreement -= 0.6 * np.clip(SURE.same_name - likeness, 0, 0.5)
        agreement *= np.where(at == 0, 1.0, _SECOND_NAME)
        return _Pairs(row.astype(np.int32), column, _f(agreement), rows.specificity[row, at])

    def _unlike_name(self, low: int, cosine: Floats) -> _Pairs:
        """Pairs of unlike names: their texts must be much alike, or both texts and names."""
        rows, columns = self.rows, self.columns
        cut = self.threshold + self.bar.unlike_name * (1 - self.threshold)
        row, column = np.divmod(np.flatnonzero(cosine >= cut), len(columns))
        compatible = (rows.types[low + row] & columns.types[column]) != 0
        row, column = row[compatible], column[compatible]
        likeness = calibrate(cosine[row, column], self.threshold)
        row, high = row + low, low + len(cosine)
        unlike = ~_any_equal(rows.names[row], columns.names[column])
        row, column, likeness = row[unlike], column[unlike], likeness[unlike]
        names_alike = calibrate(self._name_cosines(low, high, row, column), self.threshold)
        both = 0.15 + 0.75 * likeness + 0.4 * names_alike
        agreement = np.clip(np.maximum(both, 1.15 * likeness - 0.05), 0, _SUREST_UNLIKE)
        enough = agreement > self.bar.agreement
        row, column, agreement = row[enough], column[enough], agreement[enough]
        head = self._shared_head(row, column)
        # `document name` and `document type` are two things of one document.
        other_thing = (head < 0) & _any_equal(rows.words[row], columns.words[column])
        # `hotel id` and `hotel booking id` are two things; a bare `name` may be anything's.
        other_thing |= columns.is_local[column] & rows.is_local[row]
        other_thing |= columns.is_nameless[column] | rows.is_nameless[row]
        agreement = np.where(other_thing, agreement / 2, agreement)
        tells = np.minimum(
            _SHARED_HEAD * np.maximum(head, 0),
            np.minimum(columns.specificity[column, 0], rows.specificity[row, 0]),
        )
        kept = agreement > self.bar.agreement
        return _Pairs(
            row[kept].astype(np.int32), column[kept].astype(np.int32), _f(agreement[kept]), _f(tells[kept])
        )

    def _name_cosines(self, low: int, high: int, row: NDArray[np.int64], column: NDArray[np.int64]) -> Floats:
        """Cosines of the names of pairs whose rows are from ``low`` up to ``high``."""
        rows, columns = self.rows, self.columns
        names, of_row = np.unique(rows.name_row[low:high], return_inverse=True)
        cosines: Floats = (rows.name[names] @ columns.name.T)[of_row[row - low], columns.name_row[column]]
        return cosines

    def _shared_head(self, row: NDArray[np.int64], column: NDArray[np.int64]) -> Floats:
        """The rarity of a shared word that is the last of either name, -1 if there is none."""
        rarity = np.array([*self.specificity.words.values(), -1.0], dtype=np.float32)
        mine, theirs = self.rows.words[row], self.columns.words[column]
        my_head = np.where((theirs == mine[:, :1]).any(axis=1), rarity[mine[:, 0]], -1)
        their_head = np.where((mine == theirs[:, :1]).any(axis=1), rarity[theirs[:, 0]], -1)
        return _f(np.maximum(my_head, their_head))


def _any_equal(left: Ints, right: Ints) -> NDArray[np.bool_]:
    """Whether two rows of numbers have one in common, -1 aside."""
    equal = np.zeros(len(left), dtype=np.bool_)
    for place in range(left.shape[1]):
        mine = left[:, place : place + 1]
        equal |= ((right == mine) & (mine >= 0)).any(axis=1)
    return equal


def _f(values: NDArray[np.floating]) -> Floats:
    return values.astype(np.float32)


def _no_pairs() -> _Pairs:
    none = np.zeros(0, dtype=np.int32)
    return _Pairs(none, none, np.zeros(0, np.float32), np.zeros(0, np.float32))
