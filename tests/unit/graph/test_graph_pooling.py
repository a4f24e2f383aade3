from __future__ import annotations

import random
import warnings
from pathlib import Path

import numpy as np
import pytest

from toolflow.graph.encoder import WordLlamaEncoder
from toolflow.graph.pooling import mean_vectors

WORDS = ["city", "flight id", "naïve", "日本語", "a", "", " ", "x" * 40, "(string)", "the\nname", "42", "▁"]


def test_vectors_are_those_of_the_model_itself() -> None:
    draw = random.Random(0)
    texts = [draw.choice(["", " ", "  "]).join(draw.choices(WORDS, k=draw.randint(0, 9))) for _ in range(700)]
    with warnings.catch_warnings(action="ignore"):
        import wordllama  # noqa: PLC0415  it warns

        folder = Path(wordllama.__file__).parent
        model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    expected = model.embed(texts, norm=False)
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    vectors = WordLlamaEncoder().encode(texts)
    np.testing.assert_array_equal(vectors, expected / np.where(lengths > 0, lengths, 1))


@pytest.mark.parametrize("texts", [[], [""], ["", "b"], ["a b", "a"]])
def test_a_mean_is_of_all_tokens(texts: list[str]) -> None:
    vectors = np.eye(3, dtype=np.float32)
    tokens = {"": [], "a": [1], "b": [2, 2, 1]}
    means = mean_vectors(texts, lambda pieces: [tokens[piece] for piece in pieces], vectors)
    expected = [[token for piece in text.split(" ") for token in tokens[piece]] for text in texts]
    assert means.shape == (len(texts), 3)
    for mean, of in zip(means, expected, strict=True):
        np.testing.assert_allclose(mean, vectors[of].mean(axis=0) if of else 0, rtol=1e-6)
