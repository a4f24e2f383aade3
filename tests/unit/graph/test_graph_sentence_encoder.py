"""The sentence-transformers encoder over a stand-in for the package."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from toolflow.errors import EncoderFailedError, GraphError
from toolflow.graph.encoder import encode_texts
from toolflow.graph.sentence_encoder import SentenceEncoder


class StandIn:
    """Behaves as ``SentenceTransformer`` does, as far as the encoder looks."""

    loaded: list[str] = []  # noqa: RUF012  what was loaded since the test began

    def __init__(self, name: str) -> None:
        if name == "absent":
            raise OSError("absent is not a local folder\nand not on the hub either")
        self.loaded.append(name)

    def encode(self, sentences: Sequence[str], **settings: Any) -> np.ndarray[Any, Any]:
        assert settings["normalize_embeddings"]
        assert settings["convert_to_numpy"]
        assert not settings["show_progress_bar"]
        if "too much" in sentences:
            raise RuntimeError("out of memory\nand a long trace")
        if "nan" in sentences:
            return np.full((len(sentences), 3), np.nan)
        rows = np.array([[len(text), 1.0, text.count("a")] for text in sentences])
        unit: np.ndarray[Any, Any] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


@pytest.fixture(autouse=True)
def _package(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("sentence_transformers")
    module.SentenceTransformer = StandIn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    monkeypatch.setattr(StandIn, "loaded", [])


def test_the_model_is_loaded_once_and_only_when_asked() -> None:
    encoder = SentenceEncoder("mini", threshold=0.7)
    assert StandIn.loaded == []
    rows = encode_texts(encoder, ["abc", "b", "abc"])
    encoder.encode(["c"])
    assert StandIn.loaded == ["mini"]
    assert rows.shape == (3, 3)
    assert rows.dtype == np.float32
    assert (encoder.name, encoder.threshold) == ("sentence-transformers:mini", 0.7)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(GraphError, match="sentence-transformers") as caught:
        SentenceEncoder("mini").encode(["a"])
    assert "toolflow-synth[sentence-transformers]" in (caught.value.hint or "")


def test_a_model_that_is_not_there_is_said_in_one_line() -> None:
    with pytest.raises(GraphError, match=r"st:absent cannot be loaded: absent is not a local folder$"):
        SentenceEncoder("absent").encode(["a"])


def test_a_model_that_fails_is_said_in_one_line() -> None:
    with pytest.raises(EncoderFailedError, match=r"out of memory$"):
        SentenceEncoder("mini").encode(["too much"])


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(EncoderFailedError, match="'nan'"):
        encode_texts(SentenceEncoder("mini"), ["nan"])
