from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.graph.word_encoder import WordEncoder
from toolflow.errors import EncoderFailedError, GraphError
from toolflow.graph.encoder import Encoder, WordLlamaEncoder, encode_texts


class Faulty:
    """Gives what it was told to give."""

    name = "faulty"
    threshold = 0.5

    def __init__(self, vectors: Any) -> None:
        self.vectors = np.asarray(vectors, dtype=np.float32)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.vectors


@pytest.fixture(scope="module")
def word_llama() -> Encoder:
    return WordLlamaEncoder()


def test_rows_have_unit_length_and_a_text_without_words_is_like_nothing(word_llama: Encoder) -> None:
    vectors = word_llama.encode(["flight id: the flight (string)", "a" * 500, ""])
    assert vectors.shape == (3, 256)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 0], abs=1e-5)


def test_a_row_does_not_depend_on_the_texts_beside_it(word_llama: Encoder) -> None:
    text = "flight id: the flight (string)"
    alone = word_llama.encode([text])[0]
    among = word_llama.encode(["x", text, "a much longer text than the others, so that they are padded"])[1]
    assert np.array_equal(alone, among)


def test_the_threshold_parts_what_means_the_same_from_what_does_not(word_llama: Encoder) -> None:
    same, alike, other = word_llama.encode(
        [
            "departure city: City the flight leaves from (string)",
            "origin city: City where the journey starts (string)",
            "device id: Identifier of the lamp (string)",
        ]
    )
    assert same @ alike > word_llama.threshold > same @ other


def test_loading_says_nothing_and_leaves_the_loggers_alone() -> None:
    code = (
        "import logging\n"
        "from toolflow.graph.encoder import WordLlamaEncoder\n"
        "WordLlamaEncoder().encode(['flight id'])\n"
        "root = logging.getLogger()\n"
        "assert not root.handlers and root.level == logging.WARNING, (root.handlers, root.level)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_missing_model_is_a_graph_error_and_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(*_: object, disable_download: bool, **__: object) -> None:
        assert disable_download
        raise FileNotFoundError("weights not found")

    monkeypatch.setattr("wordllama.WordLlama.resolve_file", find_nothing)
    with pytest.raises(GraphError, match="weights not found") as caught:
        WordLlamaEncoder().encode(["text"])
    assert caught.value.hint is not None


@pytest.mark.parametrize(
    ("vectors", "problem"),
    [
        ([[float("nan"), 0], [1, 0]], "vector of length nan"),
        ([[float("inf"), 0], [1, 0]], "vector of length inf"),
        ([[2, 0], [1, 0]], r"vector of length 2\.0"),
        ([[1, 0]], r"shape \(1, 2\) for 2 texts"),
        ([1, 0], r"shape \(2,\) for 2 texts"),
    ],
)
def test_an_encoder_is_held_to_its_contract(vectors: Any, problem: str) -> None:
    with pytest.raises(EncoderFailedError, match=problem) as caught:
        encode_texts(Faulty(vectors), ["one", "two"])
    assert "faulty" in caught.value.message


def test_equal_texts_are_encoded_once() -> None:
    encoder = WordEncoder()
    vectors = encode_texts(encoder, ["city", "date", "city"])
    assert encoder.asked == ["city", "date"]
    assert np.array_equal(vectors[0], vectors[2])
    assert not np.array_equal(vectors[0], vectors[1])


def test_no_text_gives_no_row_without_asking() -> None:
    encoder = WordEncoder()
    assert len(encode_texts(encoder, [])) == 0
    assert encoder.asked == []
