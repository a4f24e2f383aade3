"""One batch of texts to an OpenAI-compatible ``/embeddings`` endpoint, and the vectors that come back."""

from __future__ import annotations

import json
from collections.abc import Sequence

import aiohttp
import msgspec
import numpy as np
from numpy.typing import NDArray
from yarl import URL

from toolflow.errors import EncoderFailedError, LLMError
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.providers.failures import (
    connection_failure,
    embedded_failure,
    response_failure,
    unreadable_failure,
)
from toolflow.llm.providers.session import open_session
from toolflow.text import one_line


class _Row(msgspec.Struct):
    embedding: list[float]
    index: int | None = None


class _Reply(msgspec.Struct):
    data: list[_Row] | msgspec.UnsetType = msgspec.UNSET
    error: dict[str, object] | str | None = None


class EmbeddingSession:
    """Connections to one endpoint. Use as an asynchronous context manager.

    Args:
        endpoint: Where to send, and how to get in.
        model: The model as the endpoint knows it.
    """

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        self._endpoint = endpoint
        self._model = model
        self._url = URL(f"{endpoint.base_url}/embeddings")

    async def __aenter__(self) -> EmbeddingSession:
        self._session = open_session(self._endpoint)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One attempt to encode a batch.

        Args:
            texts: At least one.

        Returns:
            Shape (len(texts), d), rows of unit length or zero.

        Raises:
            LLMError: There is no usable answer; its class tells whether another attempt may help.
            EncoderFailedError: It holds other vectors than were asked for; another would, too.
        """
        body = msgspec.json.encode({"model": self._model, "input": list(texts)})
        failure: LLMError
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as response:
                answer = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            failure = connection_failure(error, self._endpoint)
        else:
            if 200 <= response.status < 300:
                return self._vectors(answer, texts)
            failure = response_failure(response.status, response.headers, answer, self._endpoint, self._model)
        raise failure  # out here it drags along no aiohttp error

    def _vectors(self, body: bytes, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = self._rows(body)
        if len(rows) != len(texts):
            raise self._refusal(f"{len(rows)} vectors for {len(texts)} texts")
        order = [place if row.index is None else row.index for place, row in enumerate(rows)]
        if sorted(order) != list(range(len(texts))):
            raise self._refusal(f"vectors whose indices are not 0 to {len(texts) - 1}")
        lengths = sorted({len(row.embedding) for row in rows})
        if lengths[0] == 0 or len(lengths) > 1:
            raise self._refusal(f"vectors of {' and '.join(map(str, lengths))} numbers")
        vectors = np.empty((len(texts), lengths[0]), dtype=np.float64)
        vectors[order] = [row.embedding for row in rows]
        wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(wrong):
            raise self._refusal(f"a vector that is not finite for {one_line(texts[int(wrong[0])], 80)!r}")
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)

    def _rows(self, body: bytes) -> list[_Row]:
        try:
            # Python's own reader takes NaN, which strict JSON does not know: then we can say what is wrong.
            reply = msgspec.convert(_with_nan_for_null(json.loads(body)), _Reply)
        except (ValueError, RecursionError):
            raise unreadable_failure(body, self._endpoint, "list of embeddings") from None
        if reply.error:
            raise embedded_failure(reply.error, self._endpoint, self._model)
        if reply.data is msgspec.UNSET:
            raise unreadable_failure(body, self._endpoint, "list of embeddings")
        return reply.data

    def _refusal(self, found: str) -> EncoderFailedError:
        return EncoderFailedError(
            f"the embedding endpoint {self._endpoint.base_url} with the model {one_line(self._model, 80)!r} "
            f"gave {found}",
            hint="The endpoint or its model is at fault: look into its log, or use another with --encoder.",
        )


def _with_nan_for_null(reply: object) -> object:
    """llama.cpp and others write ``null`` where a number is not finite."""
    if isinstance(reply, dict) and isinstance(reply.get("data"), list):
        for row in reply["data"]:
            if isinstance(row, dict) and isinstance(row.get("embedding"), list):
                row["embedding"] = [float("nan") if x is None else x for x in row["embedding"]]
    return reply
