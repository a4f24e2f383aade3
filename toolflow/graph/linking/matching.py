"""Which field keys mean the same: keys of one name first, then the cosine of names and texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolflow.graph.linking.cores import Cores
from toolflow.graph.linking.field_table import Floats, Ints
from toolflow.graph.linking.key_set import MOST_NAMES, KeySet, Tile
from toolflow.graph.linking.matches import (
    COLUMN,
    ROW_SHIFT,
    Matches,
    Pairs,
    assemble,
    pack,
    ranges,
    sorted_pairs,
)
from toolflow.graph.linking.naming import Specificity

# A tile of cosines is 16 MB, and its vectors are 5 MB: large enough for products at full speed.
_ROWS_IN_TILE = 1_024
_COLUMNS_IN_TILE = 4_096
# Keys of a name that few have are multiplied pair by pair, others as matrices.
_FEW_PAIRS = 64
_PAIRS_AT_ONCE = 1 << 20
# A name of more pairs than that is so common that they are not kept: they would fill the memory.
_MOST_PAIRS = 1 << 24
_GATHERED_AT_ONCE = 1 << 9

# Cosines are calibrated before use: 0 is the encoder's threshold, 1 is equality. The figures were set, with
# those of naming.py, by reading the links of real catalogues.
_SECOND_NAME = 0.85
_SUREST_UNLIKE = 0.9
_SHARED_HEAD = 0.6


Indices = NDArray[np.integer]


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


def match_keys(
    rows: KeySet,
    columns: KeySet,
    *,
    specificity: Specificity,
    threshold: float,
    bar: Bar,
    threads: Cores,
    progress: Callable[[int, int], None],
) -> Matches:
    """Compare every row key with every column key of a compatible type, a tile of them at a time.

    Args:
        rows: Keys of parameters.
        columns: Keys of what they are joined to; may be ``rows``, and then every pair is compared once.
        specificity: What names and words tell in this catalogue.
        threshold: The encoder's calibrated cosine.
        bar: What a pair must reach.
        threads: Compare tiles side by side.
        progress: Called with how many tiles are compared, and of how many.
    """
    rarity = np.array([*specificity.words.values(), -1.0], dtype=np.float32)
    comparison = _Comparison(rows, columns, rarity, threshold, bar)
    found = [*comparison.same_name(threads), *comparison.unlike_name(threads, progress)]
    return assemble(found, len(rows), comparison.common())


def calibrate(cosine: Floats, threshold: float) -> Floats:
    """Cosines of any encoder on one scale: 0 at its threshold, 1 at equality."""
    calibrated: Floats = ((cosine - threshold) / (1 - threshold)).astype(np.float32)
    return calibrated


@dataclass(frozen=True, slots=True, eq=False)
class _Comparison:
    """Rows against columns."""

    rows: KeySet
    columns: KeySet
    rarity: Floats  # of each word, and last -1 for none
    threshold: float
    bar: Bar

    def same_name(self, threads: Cores) -> Iterator[Pairs]:
        """Pairs that have a name in common, each once, by the best such name of the row."""
        rows, columns = self.rows, self.columns
        pairs = np.diff(rows.name_start).astype(np.int64) * np.diff(columns.name_start)
        few = np.flatnonzero((pairs > 0) & (pairs <= _FEW_PAIRS))
        entry, of = ranges(rows.name_start[few], rows.name_start[few + 1])
        other, of_entry = ranges(columns.name_start[few[of]], columns.name_start[few[of] + 1])
        entry = entry[of_entry]
        row, column = rows.by_name[entry], columns.by_name[other]
        yield self._of_one_name(
            row, column, rows.place[entry], _cosines(rows.text, row, columns.text, column)
        )
        many = np.flatnonzero((pairs > _FEW_PAIRS) & (pairs <= _MOST_PAIRS)).tolist()
        for parts in threads.map(self._of_name, many):
            yield from parts

    def common(self) -> _CommonNames | None:
        """What finds the pairs of names that are too common for their pairs to be kept."""
        pairs = np.diff(self.rows.name_start).astype(np.int64) * np.diff(self.columns.name_start)
        names = np.flatnonzero(pairs > _MOST_PAIRS).tolist()
        return _CommonNames(self, names) if names else None

    def _of_name(self, name: int) -> list[Pairs]:
        rows = self.rows
        entries = slice(rows.name_start[name], rows.name_start[name + 1])
        return self.of_keys(name, rows.by_name[entries], rows.place[entries])

    def of_keys(self, name: int, mine: Ints, place: Ints) -> list[Pairs]:
        """Pairs of some row keys with all column keys, of which all have a name."""
        rows, columns = self.rows, self.columns
        theirs = columns.by_name[columns.name_start[name] : columns.name_start[name + 1]]
        vectors = columns.text[theirs]
        step = max(1, _PAIRS_AT_ONCE // len(theirs))
        return [
            self._of_one_name(
                np.repeat(mine[low : low + step], len(theirs)),
                np.tile(theirs, len(mine[low : low + step])),
                np.repeat(place[low : low + step], len(theirs)),
                (rows.text[mine[low : low + step]] @ vectors.T).ravel(),
            )
            for low in range(0, len(mine), step)
        ]

    def _of_one_name(self, row: Ints, column: Ints, place: Ints, cosine: Floats) -> Pairs:
        """Pairs of which both have a name of the row, the one at ``place``."""
        rows, columns = self.rows, self.columns
        likeness = calibrate(cosine, self.threshold)
        kept = (likeness >= self.bar.same_name) & ((rows.types[row] & columns.types[column]) != 0)
        for later in range(1, MOST_NAMES):
            at = np.flatnonzero(kept & (place == later))
            kept[at] = ~_any_equal(rows.names[row[at], :later], columns.names[column[at]])
        row, column, place, likeness = row[kept], column[kept], place[kept], likeness[kept]
        agreement = 0.6 + 0.4 * np.clip(likeness - SURE.same_name, 0, 1)
        agreement -= 0.6 * np.clip(SURE.same_name - likeness, 0, 0.5)
        agreement *= np.where(place == 0, 1.0, _SECOND_NAME)
        return Pairs(pack(row, place, column), _f(agreement), rows.specificity[row, place])

    def unlike_name(self, threads: Cores, progress: Callable[[int, int], None]) -> Iterator[Pairs]:
        """Pairs of unlike names: their texts must be much alike, or both texts and names."""
        rows, columns = self.rows, self.columns
        if not len(rows) or not len(columns):
            return
        least = self.threshold + self.bar.unlike_name * (1 - self.threshold)
        row_tiles = list(rows.tiles(_ROWS_IN_TILE))
        tiles = [
            (mine, theirs)
            for theirs in columns.tiles(_COLUMNS_IN_TILE)
            for mine in row_tiles
            if mine.types & theirs.types
            and (rows is not columns or mine.first < theirs.first + len(theirs.keys))
        ]

        def compare(pair: tuple[Tile, Tile]) -> Pairs:
            mine, theirs = pair
            cosines = (rows.text[mine.keys] @ columns.text[theirs.keys].T).ravel()
            found = np.flatnonzero(cosines >= least)
            at_row, at_column = np.divmod(found, len(theirs.keys))
            # Keys of one best name are many, and compared already.
            unlike = rows.names[mine.keys, 0][at_row] != columns.names[theirs.keys, 0][at_column]
            found, at_row, at_column = found[unlike], at_row[unlike], at_column[unlike]
            if rows is columns:
                once = mine.first + at_row < theirs.first + at_column
                found, at_row, at_column = found[once], at_row[once], at_column[once]
            return self._of_unlike_names(mine.keys[at_row], theirs.keys[at_column], cosines[found])

        for done, pairs in enumerate(threads.map(compare, tiles), 1):
            yield pairs
            if rows is columns:
                row, column = pairs.rank >> ROW_SHIFT, pairs.rank & COLUMN
                yield pairs._replace(rank=pack(column, MOST_NAMES, row))
            progress(done, len(tiles))

    def _of_unlike_names(self, row: Indices, column: Indices, cosine: Floats) -> Pairs:
        """Those of some pairs of a tile that have no name in common and agree enough."""
        rows, columns = self.rows, self.columns
        unlike = ~_any_equal(rows.names[row], columns.names[column])
        row, column = row[unlike], column[unlike]
        likeness = calibrate(cosine[unlike], self.threshold)
        names_alike = calibrate(self._name_cosines(row, column), self.threshold)
        both = 0.15 + 0.75 * likeness + 0.4 * names_alike
        agreement = np.clip(np.maximum(both, 1.15 * likeness - 0.05), 0, _SUREST_UNLIKE)
        enough = agreement > self.bar.agreement
        row, column, agreement = row[enough], column[enough], agreement[enough]
        head = self._shared_head(row, column)
        # `document name` and `document type` are two things of one document.
        other_thing = head < 0
        other_thing[other_thing] = _any_equal(
            rows.words[row[other_thing]], columns.words[column[other_thing]]
        )
        # `hotel id` and `hotel booking id` are two things; a bare `name` may be anything's.
        other_thing |= columns.is_local[column] & rows.is_local[row]
        other_thing |= columns.is_nameless[column] | rows.is_nameless[row]
        agreement = np.where(other_thing, agreement / 2, agreement)
        tells = np.minimum(
            _SHARED_HEAD * np.maximum(head, 0),
            np.minimum(columns.specificity[column, 0], rows.specificity[row, 0]),
        )
        kept = agreement > self.bar.agreement
        return Pairs(pack(row[kept], MOST_NAMES, column[kept]), _f(agreement[kept]), _f(tells[kept]))

    def _name_cosines(self, row: Indices, column: Indices) -> Floats:
        """Cosines of the best names of pairs of keys of one tile."""
        rows, columns = self.rows, self.columns
        mine, of_row = np.unique(rows.name_row[row], return_inverse=True)
        theirs, of_column = np.unique(columns.name_row[column], return_inverse=True)
        cosines: Floats = (rows.name[mine] @ columns.name[theirs].T)[of_row, of_column]
        return cosines

    def _shared_head(self, row: Indices, column: Indices) -> Floats:
        """The rarity of a shared word that is the last of either name, -1 if there is none."""
        mine, theirs = self.rows.words[row], self.columns.words[column]
        my_head = np.where((theirs == mine[:, :1]).any(axis=1), self.rarity[mine[:, 0]], -1)
        their_head = np.where((mine == theirs[:, :1]).any(axis=1), self.rarity[theirs[:, 0]], -1)
        return _f(np.maximum(my_head, their_head))


@dataclass(frozen=True, slots=True, eq=False)
class _CommonNames:
    """Pairs by names that very many keys have, compared anew whenever they are asked for."""

    comparison: _Comparison
    names: Sequence[int]

    def pairs(self, keys: Ints) -> Pairs:
        found: list[Pairs] = []
        for name, mine, place in self._having(keys):
            found.extend(self.comparison.of_keys(name, mine, place))
        return sorted_pairs(found)

    def reach(self, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        rows, columns = self.comparison.rows, self.comparison.columns
        reach = np.zeros(len(rows), dtype=np.int64)
        for name, mine, _ in self._having(np.arange(len(rows), dtype=np.int32)):
            theirs = columns.by_name[columns.name_start[name] : columns.name_start[name + 1]]
            reach[mine] += sizes[theirs].sum()
        return reach

    def _having(self, keys: Ints) -> Iterator[tuple[int, Ints, Ints]]:
        """Of each name, which keys have it, and which of their names it is."""
        names = self.comparison.rows.names[keys]
        for name in self.names:
            at, place = np.nonzero(names == name)
            yield name, keys[at], place.astype(np.int32)


def _any_equal(left: Ints, right: Ints) -> NDArray[np.bool_]:
    """Whether two rows of numbers have one in common, -1 aside."""
    equal = np.zeros(len(left), dtype=np.bool_)
    for mine in left.T:
        for theirs in right.T:
            equal |= (mine == theirs) & (mine >= 0)
    return equal


def _cosines(left: Floats, row: Indices, right: Floats, column: Indices) -> Floats:
    """Cosines of pairs, rows of ``left`` with rows of ``right``."""
    cosines = np.empty(len(row), dtype=np.float32)
    for low in range(0, len(row), _GATHERED_AT_ONCE):
        some = slice(low, low + _GATHERED_AT_ONCE)
        np.einsum("ij,ij->i", left[row[some]], right[column[some]], out=cosines[some])
    return cosines


def _f(values: NDArray[np.floating]) -> Floats:
    return values.astype(np.float32)
