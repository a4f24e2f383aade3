"""Means of token vectors: what a static word-vector model makes of texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_TEXTS_AT_ONCE: Final = 512
_BLANK: Final = "▁"  # what tokenisers of this kind make of a space
# The tokens of a text are those of its pieces, as no token reaches over a single space between two words.
_BETWEEN_PIECES = re.compile(r"(?<=[^ ]) (?=.)", re.DOTALL)


def mean_vectors(
    texts: Sequence[str], tokenise: Callable[[list[str]], list[list[int]]], vectors: Floats
) -> Floats:
    """The mean of the vectors of each text's tokens.

    A piece of text between two single spaces is tokenised once, however many texts it stands in.

    Args:
        texts: Any number of texts.
        tokenise: Gives the tokens of pieces of text, each as at the beginning of a text.
        vectors: Vectors of the tokens, shape (tokens, d).

    Returns:
        Shape (len(texts), d); zeros for a text without any token.
    """
    numbers: dict[str, int] = {}
    piece: list[int] = []
    counts: list[int] = []
    for text in texts:
        if _BLANK in text:
            pieces = [text]
        elif "  " in text or text[:1] == " " or text[-1:] == " ":
            pieces = _BETWEEN_PIECES.split(text)
        else:
            pieces = text.split(" ")
        piece.extend([numbers.setdefault(part, len(numbers)) for part in pieces])
        counts.append(len(pieces))
    tokens = tokenise(list(numbers))
    lengths = np.array([len(some) for some in tokens], dtype=np.int64)
    flat = np.fromiter(chain.from_iterable(tokens), dtype=np.int32, count=int(lengths.sum()))
    ends = np.cumsum(lengths)
    in_order = np.array(piece, dtype=np.int64)
    reached = np.concatenate([[0], np.cumsum(lengths[in_order])])
    total = int(reached[-1])
    # Each token of each text, found from where its piece ends among all tokens and among those of the texts.
    places = np.arange(total) + np.repeat(ends[in_order] - reached[1:], lengths[in_order])
    starts = reached[np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)]
    return _means(flat[places], starts, vectors)


def _means(tokens: NDArray[np.int32], starts: NDArray[np.int64], vectors: Floats) -> Floats:
    """Means of the vectors of tokens ``starts[t]`` up to ``starts[t + 1]``, for every t.

    Texts of like length are added up side by side, first token to first, second to second: a matter of
    memory, not of loops.
    """
    lengths = np.diff(starts)
    longest_first = np.argsort(-lengths, kind="stable")
    means = np.zeros((len(lengths), vectors.shape[1]), dtype=np.float32)
    gathered = np.empty((_TEXTS_AT_ONCE, vectors.shape[1]), dtype=np.float32)
    for low in range(0, len(lengths), _TEXTS_AT_ONCE):
        texts = longest_first[low : low + _TEXTS_AT_ONCE]
        begin, length = starts[texts], lengths[texts]
        sums = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
        # How many of them have a token at each place.
        reach = np.searchsorted(-length, -np.arange(length[0])).tolist()
        for place, reaching in enumerate(reach):
            some = gathered[:reaching]
            np.take(vectors, tokens[begin[:reaching] + place], axis=0, out=some, mode="clip")
            sums[:reaching] += some
        means[texts] = sums / np.maximum(length, 1).astype(np.float32)[:, None]
    return means
