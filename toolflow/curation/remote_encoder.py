"""An OpenAI-compatible embedding endpoint as an encoder: batched, concurrent, and no text paid for twice."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolflow.clock import derive_random, monotonic
from toolflow.curation.embeddings import EmbeddingSession
from toolflow.curation.vector_store import VectorMemory, VectorStore
from toolflow.errors import (
    ConnectionFailedError,
    EncoderFailedError,
    GraphError,
    LLMError,
    ToolFlowError,
)
from toolflow.llm.client import Sleep
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.retry import RetryPolicy

# Some servers take no more texts at once (text-embeddings-inference: 32).
_BATCH: Final = 32
# Many models read no more than 512 LLM tokens, and some servers refuse what is longer.
_LONGEST_TEXT: Final = 2_000


class RemoteEncoder:
    """A model behind ``/v1/embeddings``.

    What a batch gave is kept as soon as it comes: when a later batch fails, the next :meth:`encode` asks for
    the rest only, in another process too where the store is a file. Texts are cut to 2,000 characters; a
    blank text is not sent and has a row of zeros.

    The default threshold is the paper's 0.82. It is calibrated for no model in particular, and cosines differ
    much between models: give each its own.

    Args:
        endpoint: Where to send, and how to get in.
        model: The model as the endpoint knows it.
        threshold: The cosine from which texts mean the same.
        store: File that keeps the vectors of this model; None for memory, as long as the encoder lives.
        most_in_flight: Most batches at once.
        batch: Most texts in a batch.
        policy: Decides about further attempts.
        sleep: Pauses before them.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        *,
        threshold: float = 0.82,
        store: Path | None = None,
        most_in_flight: int = 16,
        batch: int = _BATCH,
        policy: RetryPolicy | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._endpoint = endpoint
        self._model = model
        self._store_path = store
        self._memory = VectorMemory()
        self._most_in_flight = most_in_flight
        self._batch = batch
        self._policy = policy or RetryPolicy(attempts=6, attempt_timeout=120, deadline=300)
        self._sleep = sleep
        self.name: str = f"{model}@{endpoint.base_url}"
        self.threshold: float = threshold

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of the texts, shape (len(texts), d), rows of unit length or zero.

        Must not be called inside a running event loop: it runs one.

        Raises:
            EncoderFailedError: The endpoint gave other vectors than were asked for.
            GraphError: The store cannot be used, or the model has changed since it was filled.
            LLMError: The endpoint failed; what came before is kept.
        """
        sent = [text[:_LONGEST_TEXT] for text in texts]
        wanted = list(dict.fromkeys(text for text in sent if text.strip()))
        if self._store_path is None:
            known = self._complete(self._memory, wanted)
        else:
            with VectorStore(self._store_path) as store:
                known = self._complete(store, wanted)
        lengths = sorted({len(vector) for vector in known.values()})
        if len(lengths) > 1:
            raise GraphError(
                f"the encoder {self.name} gave vectors of {' and of '.join(map(str, lengths))} numbers",
                hint=f"The model behind the name has changed; delete {self._store_path or 'the store'}.",
            )
        nothing = np.zeros(lengths[0] if lengths else 1, dtype=np.float32)
        return np.array([known.get(text, nothing) for text in sent], dtype=np.float32).reshape(
            len(sent), len(nothing)
        )

    def _complete(
        self, store: VectorMemory | VectorStore, wanted: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        known = store.find(wanted)
        missing = [text for text in wanted if text not in known]
        if missing:
            known |= asyncio.run(self._fetch(store, missing))
        return known

    async def _fetch(
        self, store: VectorMemory | VectorStore, texts: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Encode texts; after the first failure no batch is begun, and those in flight are still kept."""
        batches = self._batches(texts)
        fetched: dict[str, NDArray[np.float32]] = {}
        failures: list[ToolFlowError] = []

        async def work() -> None:
            while not failures and (batch := next(batches, None)) is not None:
                try:
                    rows = dict(zip(batch, await self._send(session, batch), strict=True))
                    store.keep(rows)
                except (LLMError, EncoderFailedError, GraphError) as error:
                    failures.append(error)
                    return
                fetched.update(rows)

        async with EmbeddingSession(self._endpoint, self._model) as session, asyncio.TaskGroup() as group:
            for _ in range(min(self._most_in_flight, -(-len(texts) // self._batch))):
                group.create_task(work())
        if failures:
            raise self._with_count(failures[0], len(fetched), len(texts))
        return fetched

    def _batches(self, texts: Sequence[str]) -> Iterator[Sequence[str]]:
        return (texts[start : start + self._batch] for start in range(0, len(texts), self._batch))

    async def _send(self, session: EmbeddingSession, batch: Sequence[str]) -> NDArray[np.float32]:
        failed = 0
        elapsed = 0.0
        jitter: Random | None = None
        while True:
            started = monotonic()
            seconds = self._policy.timeout(elapsed)
            error: LLMError
            try:
                async with asyncio.timeout(seconds):
                    return await session.send(batch)
            except TimeoutError:
                error = ConnectionFailedError(
                    f"the embedding endpoint gave no answer within {seconds:g} s",
                    hint="Look whether it is overloaded.",
                )
            except LLMError as failure:
                error = failure
            failed += 1
            elapsed += monotonic() - started
            jitter = jitter or derive_random("embedding", batch[0])
            pause = self._policy.decide(error, failed, elapsed, jitter)
            if pause is None:
                raise error
            elapsed += pause
            await self._sleep(pause)

    def _with_count(self, error: ToolFlowError, done: int, wanted: int) -> ToolFlowError:
        kind = LLMError if isinstance(error, LLMError) else type(error)
        kept = f"{done:,} of {wanted:,} texts were encoded before and are kept"
        again = "The same command again asks for the rest only." if self._store_path else ""
        hint = " ".join(filter(None, (error.hint, again)))
        return kind(f"{error.message} ({kept})", hint=hint or None)


def store_path(folder: Path, endpoint: Endpoint, model: str) -> Path:
    """The file in a cache folder that keeps the vectors of a model at an endpoint."""
    digest = hashlib.blake2b(f"{endpoint.base_url}\n{model}".encode(), digest_size=8).hexdigest()
    return folder / "fetched-embeddings" / f"{digest}.sqlite"
