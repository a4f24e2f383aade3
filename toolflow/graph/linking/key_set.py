"""The keys of one side as arrays: vectors, names and words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolflow.graph.encoder import Encoder, encode_texts
from toolflow.graph.linking.field_table import Floats, Ints, Key, starts
from toolflow.graph.linking.naming import Specificity
from toolflow.graph.linking.vocabulary import LOCAL, NAMELESS

MOST_NAMES: Final = 3
"""So many names of a key are compared."""

_MOST_WORDS = 6


class Tile(NamedTuple):
    """Keys of one type that are compared together.

    Attributes:
        keys: The keys, those of one name side by side.
        types: Their type bits.
        first: How many keys stand in the tiles before it.
    """

    keys: NDArray[np.intp]
    types: int
    first: int


class KeySet:
    """Keys of one side as arrays.

    Attributes:
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
        place: Which of the key's names that is, 0 for the best, shape of ``by_name``.
        name_start: Keys of name n are ``by_name[name_start[n] : name_start[n + 1]]``.
    """

    def __init__(self, keys: Sequence[Key], encoder: Encoder, specificity: Specificity) -> None:
        best = [key.names[0] for key in keys]
        name_number = {name: number for number, name in enumerate(specificity.names)}
        word_number = {word: number for number, word in enumerate(specificity.words)}
        self.text: Floats = encode_texts(encoder, [key.text for key in keys])
        distinct = {name: row for row, name in enumerate(dict.fromkeys(best))}
        self.name: Floats = encode_texts(encoder, [" ".join(name) for name in distinct])
        self.name_row: Ints = np.array([distinct[name] for name in best], dtype=np.int32)
        self.types: NDArray[np.uint8] = np.array([key.types for key in keys], dtype=np.uint8)
        self.names = _padded([[name_number[name] for name in key.names] for key in keys], MOST_NAMES)
        tells = np.array([*specificity.names.values(), 0.0], dtype=np.float32)
        self.specificity: Floats = tells[self.names]
        nameless = [len(name) == 1 and name[0] in NAMELESS for name in distinct]
        local = [len(name) > 1 and name[-1] in LOCAL for name in distinct]
        words = _padded([[word_number[word] for word in reversed(name)] for name in distinct], _MOST_WORDS)
        self.is_nameless: NDArray[np.bool_] = np.array(nameless, dtype=np.bool_)[self.name_row]
        self.is_local: NDArray[np.bool_] = np.array(local, dtype=np.bool_)[self.name_row]
        self.words = words[self.name_row]
        key, place = np.nonzero(self.names >= 0)
        named = self.names[key, place]
        order = np.argsort(named, kind="stable")
        self.by_name: Ints = key[order].astype(np.int32)
        self.place: Ints = place[order].astype(np.int32)
        self.name_start = starts(np.bincount(named, minlength=len(name_number)))

    def __len__(self) -> int:
        return len(self.types)

    def tiles(self, size: int) -> Iterator[Tile]:
        """All keys in tiles of one type and at most ``size`` keys."""
        order = np.lexsort((self.name_row, self.types))
        bounds = np.flatnonzero(np.diff(self.types[order], prepend=-1, append=-1))
        for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            for first in range(low, high, size):
                keys = order[first : min(first + size, high)]
                yield Tile(keys, int(self.types[keys[0]]), first)


def _padded(rows: Sequence[Sequence[int]], width: int) -> Ints:
    padded = np.full((len(rows), width), -1, dtype=np.int32)
    for row, numbers in enumerate(rows):
        padded[row, : len(numbers)] = numbers[:width]
    return padded
