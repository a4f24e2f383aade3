"""Encoders by the names that users give them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from toolflow.errors import UsageError
from toolflow.folders import cache_folder
from toolflow.graph.encoder import Encoder, WordLlamaEncoder
from toolflow.llm.endpoint import Access, Endpoint

WORDLLAMA: Final = "wordllama"
_SENTENCE: Final = "st:"
_MINILM: Final = "all-MiniLM-L6-v2"


def is_remote(name: str | None) -> bool:
    """Whether an encoder of this name is an endpoint."""
    return name is not None and name.startswith(("http://", "https://"))


def make_encoder(name: str | None, environment: Mapping[str, str], access: Access | None = None) -> Encoder:
    """The encoder of a name.

    Args:
        name: ``wordllama`` or None for the embedded default; ``st:MODEL`` for sentence-transformers; or the
            base URL of an OpenAI-compatible endpoint, followed by ``#MODEL`` unless it serves only one.
        environment: Usually ``os.environ``; may hold ``OPENAI_API_KEY``.
        access: How to get in at an endpoint.

    Raises:
        UsageError: The name is none of these, or the endpoint serves several models and none is named.
        LLMError: The endpoint was asked which model it serves and did not answer.
    """
    if name is None or name == WORDLLAMA:
        return WordLlamaEncoder()
    if name.startswith(_SENTENCE) and len(name) > len(_SENTENCE):
        from toolflow.graph.sentence_encoder import SentenceEncoder  # noqa: PLC0415

        return SentenceEncoder(name.removeprefix(_SENTENCE))
    if is_remote(name):
        return _remote(name, environment, access)
    raise UsageError(
        f"{name!r} is no encoder",
        hint="Give wordllama, st:MODEL (sentence-transformers) or the base URL of an endpoint, URL#MODEL.",
    )


def uncalibrated(name: str | None, encoder: Encoder) -> str | None:
    """What to tell who uses an encoder with a threshold that was not measured for it; None where it was.

    Args:
        name: What the encoder was asked for by.
        encoder: The encoder.
    """
    if name is None or name == WORDLLAMA or (name.startswith(_SENTENCE) and name.endswith(_MINILM)):
        return None
    return (
        f"No threshold was measured for {encoder.name}: {encoder.threshold:g} is a guess. Measure one on "
        "known links with toolflow graph score --gold FILE --calibrate, and give it as --threshold."
    )


def _remote(name: str, environment: Mapping[str, str], access: Access | None) -> Encoder:
    from toolflow.curation.remote_encoder import RemoteEncoder, store_path  # noqa: PLC0415  aiohttp

    url, _, model = name.partition("#")
    base_url = url.rstrip("/").removesuffix("/embeddings")
    endpoint = Endpoint.from_environment(environment, base_url, access=access)
    if not model:
        model = _only_model(endpoint)
    return RemoteEncoder(endpoint, model, store=store_path(cache_folder(), endpoint, model))


def _only_model(endpoint: Endpoint) -> str:
    from toolflow.llm.probe import probe_endpoint  # noqa: PLC0415  httpx, for a moment

    try:
        return asyncio.run(probe_endpoint(endpoint)).model
    except UsageError as error:
        raise UsageError(error.message, hint=f"Name it: --encoder {endpoint.base_url}#MODEL") from error
