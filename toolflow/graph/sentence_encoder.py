"""Sentence-transformers as an encoder; the package is an extra, since it brings torch along."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from toolflow.errors import EncoderFailedError, GraphError

_BATCH: Final = 64


class SentenceEncoder:
    """A model of the ``sentence-transformers`` package, loaded when it is first asked.

    The default threshold is that of all-MiniLM-L6-v2: on the fields of six catalogues with gold links (SGD,
    TaskBench, BFCL, RestBench, Seal-Tools, StableToolBench) the cosine that as many pairs of fields reach as
    reach 0.43 under wordllama is 0.40 to 0.48, 0.45 in the middle; `toolflow graph score --calibrate` gives
    0.49 in the middle of five of them, for the best pair of fields of two tools. Models of another kind want
    their own.

    Args:
        model: A name that sentence-transformers knows, or the folder of a model.
        threshold: The cosine from which texts mean the same.
    """

    def __init__(self, model: str, *, threshold: float = 0.45) -> None:
        self._model_name = model
        self._model: Any = None
        self.name: str = f"sentence-transformers:{model}"
        self.threshold: float = threshold

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of the texts, shape (len(texts), d), rows of unit length.

        Raises:
            GraphError: The package is not installed, or the model cannot be loaded.
            EncoderFailedError: It fails.
        """
        if self._model is None:
            self._model = _load(self._model_name)
        try:
            vectors = self._model.encode(
                list(texts),
                batch_size=_BATCH,
                show_progress_bar=False,
                convert_to_numpy=True,
                normalize_embeddings=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise EncoderFailedError(
                f"the encoder {self.name} failed: {_first_line(error)}",
                hint="Where memory ran out, free some, or choose a smaller model.",
            ) from error
        return np.asarray(vectors, dtype=np.float32)


def _load(name: str) -> Any:
    try:
        package = import_module("sentence_transformers")
    except ImportError as error:
        raise GraphError(
            f"the encoder st:{name} needs the package sentence-transformers: {_first_line(error)}",
            hint='Install it: pip install "toolflow-synth[sentence-transformers]"',
        ) from error
    try:
        return package.SentenceTransformer(name)
    except (OSError, ValueError, RuntimeError) as error:
        raise GraphError(
            f"the encoder st:{name} cannot be loaded: {_first_line(error)}",
            hint="Name a model that sentence-transformers knows, or the folder of one.",
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
