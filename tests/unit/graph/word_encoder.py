"""A small encoder for tests: texts are alike as far as they share words."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from toolflow.catalog.tool import Schema, Tool

_DIMENSIONS = 64


class WordEncoder:
    """Sums one fixed random vector a word; keeps what it was asked to encode in ``asked``."""

    name = "words-64"
    threshold = 0.43

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.extend(texts)
        rows = np.zeros((len(texts), _DIMENSIONS))
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.casefold()):
                seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
                rows[row] += np.random.default_rng(seed).standard_normal(_DIMENSIONS)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def make_tool(
    name: str,
    takes: Schema | None = None,
    gives: Schema | None = None,
    *,
    required: Sequence[str] | None = None,
    description: str = "",
    category: str | None = None,
) -> Tool:
    """A tool from the properties of its parameters and its result; by default all are required."""
    takes = takes or {}
    return Tool(
        name=name,
        description=description,
        parameters={
            "type": "object",
            "properties": takes,
            "required": list(takes if required is None else required),
        },
        returns=None if gives is None else {"type": "object", "properties": gives},
        category=category,
    )


TEXT: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
