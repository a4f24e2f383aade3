"""The remote encoder against a real server that fails in the ways that servers do."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.curation.embedding_server import KEY, EmbeddingServer, good, vector
from toolflow.catalog.load import load_sample
from toolflow.curation.encoders import make_encoder
from toolflow.curation.remote_encoder import RemoteEncoder, store_path
from toolflow.errors import EncoderFailedError, GraphError, LLMError, UsageError
from toolflow.graph.encoder import WordLlamaEncoder, encode_texts
from toolflow.graph.graph import build_graph
from toolflow.graph.sentence_encoder import SentenceEncoder
from toolflow.llm.retry import RetryPolicy

TEXTS = [f"field {number}: about {number}" for number in range(10)]


@pytest.fixture
def server() -> Generator[EmbeddingServer]:
    with EmbeddingServer() as started:
        yield started


class Pauses:
    """A sleep that only takes notes."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def make(server: EmbeddingServer, **settings: Any) -> RemoteEncoder:
    merged: dict[str, Any] = {"batch": 2, "most_in_flight": 1, "sleep": Pauses(), **settings}
    return RemoteEncoder(server.endpoint, "m", **merged)


def unit(texts: Sequence[str]) -> np.ndarray[Any, Any]:
    rows = np.array([vector(text) for text in texts])
    unit_rows: np.ndarray[Any, Any] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit_rows


def test_rows_stand_in_the_order_of_the_texts_and_have_unit_length(server: EmbeddingServer) -> None:
    encoder = make(server, batch=4, most_in_flight=3)
    rows = encoder.encode([*TEXTS, TEXTS[0]])
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, unit([*TEXTS, TEXTS[0]]), rtol=1e-5)
    assert sorted(server.asked_texts) == sorted(TEXTS)
    assert max(map(len, server.asked)) == 4
    assert {body["model"] for body in server.bodies} == {"m"}
    assert server.headers["Authorization"] == f"Bearer {KEY}"


def test_no_more_batches_are_in_flight_than_allowed(server: EmbeddingServer) -> None:
    both = threading.Barrier(2)

    def answer(texts: Sequence[str]) -> tuple[int, Any]:
        both.wait(timeout=30)
        return good(texts)

    server.answer = answer
    make(server, batch=1, most_in_flight=2).encode(TEXTS)
    assert server.most_in_flight == 2


def test_what_is_known_is_not_asked_for_again(server: EmbeddingServer) -> None:
    encoder = make(server)
    encoder.encode(TEXTS[:4])
    encoder.encode(TEXTS[:6])
    assert server.asked_texts == TEXTS[:6]
    assert len(encoder.encode([])) == 0


def test_blank_texts_are_like_nothing_and_long_ones_are_cut(server: EmbeddingServer) -> None:
    rows = make(server).encode(["", "  ", "x" * 1_000_000])
    assert not rows[:2].any()
    assert server.asked_texts == ["x" * 2_000]
    assert not make(server).encode([""]).any()


@pytest.mark.parametrize("stored", [True, False])
def test_a_failure_half_way_keeps_what_was_done(
    server: EmbeddingServer, tmp_path: Path, stored: bool
) -> None:
    store = tmp_path / "cache" / "vectors.sqlite" if stored else None
    server.answer = lambda texts: (400, {"error": {"message": "no"}}) if TEXTS[6] in texts else good(texts)
    encoder = make(server, store=store)
    with pytest.raises(LLMError, match=r"400 Bad Request.*6 of 10 texts were encoded before and are kept"):
        encoder.encode(TEXTS)
    assert server.asked_texts == TEXTS[:8]

    server.answer = good
    server.asked.clear()
    if stored:
        encoder = make(server, store=store)
    np.testing.assert_allclose(encoder.encode(TEXTS), unit(TEXTS), rtol=1e-5)
    assert server.asked_texts == TEXTS[6:]


def test_batches_in_flight_are_kept_when_another_fails(server: EmbeddingServer) -> None:
    server.answer = lambda texts: (400, {}) if TEXTS[0] in texts else good(texts)
    encoder = make(server, most_in_flight=5)
    with pytest.raises(LLMError):
        encoder.encode(TEXTS)
    came = {text for text in server.asked_texts if text not in TEXTS[:2]}
    server.answer = good
    server.asked.clear()
    encoder.encode(TEXTS)
    assert set(server.asked_texts) == set(TEXTS) - came


def test_what_may_pass_is_tried_again_by_the_policy(server: EmbeddingServer) -> None:
    answers = iter([(503, b"<html><title>busy</title>"), (429, {"error": {"message": "slow down"}})])
    server.answer = lambda texts: next(answers, None) or good(texts)
    pauses = Pauses()
    make(server, sleep=pauses, policy=RetryPolicy(attempts=3)).encode(TEXTS[:2])
    assert len(pauses.seconds) == 2
    assert len(server.asked) == 3


def test_it_gives_up_when_the_policy_says_so(server: EmbeddingServer) -> None:
    server.answer = lambda _: (503, {"error": "overloaded"})
    with pytest.raises(LLMError, match="503"):
        make(server, policy=RetryPolicy(attempts=2)).encode(TEXTS)
    assert len(server.asked) == 2


def test_a_refused_key_is_not_quoted(server: EmbeddingServer) -> None:
    server.answer = lambda _: (401, {"error": {"message": f"bad key {KEY}"}})
    with pytest.raises(LLMError, match="401") as caught:
        make(server).encode(TEXTS)
    assert KEY not in str(caught.value)
    assert len(server.asked) == 1


def _row(index: int | None, *numbers: float | None) -> dict[str, Any]:
    return {"embedding": list(numbers)} | ({} if index is None else {"index": index})


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([_row(0, 1.0, 2.0), _row(1, float("nan"), 2.0)], r"not finite for 'field 1: about 1'"),
        ([_row(0, None, None), _row(1, 1.0, 2.0)], r"not finite for 'field 0"),
        ([_row(0, 1.0, float("inf")), _row(1, 1.0, 2.0)], "not finite"),
        ([_row(0, 1.0, 2.0)], "1 vectors for 2 texts"),
        ([_row(0, 1.0), _row(1, 1.0), _row(2, 1.0)], "3 vectors for 2 texts"),
        ([_row(0, 1.0, 2.0), _row(1, 1.0)], "vectors of 1 and 2 numbers"),
        ([_row(0), _row(1)], "vectors of 0 numbers"),
        ([_row(1, 1.0), _row(1, 2.0)], "indices"),
        ([_row(0, 1.0), _row(7, 2.0)], "indices"),
    ],
)
def test_vectors_that_were_not_asked_for_are_refused(
    server: EmbeddingServer, rows: list[dict[str, Any]], words: str
) -> None:
    server.answer = lambda _: (200, {"data": rows})
    with pytest.raises(EncoderFailedError, match=words):
        make(server).encode(TEXTS[:2])
    assert len(server.asked) == 1


def test_rows_without_index_stand_in_order(server: EmbeddingServer) -> None:
    server.answer = lambda _: (200, {"data": [_row(None, 0.0, 5.0), _row(None, 3.0, 0.0)]})
    assert make(server).encode(TEXTS[:2]).tolist() == [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"data": 3}', b'{"data": [{"embedding": "AAAA"}]}', b"{}"]
)
def test_what_is_no_list_of_embeddings_is_said_to_be_none(server: EmbeddingServer, body: bytes) -> None:
    server.answer = lambda _: (200, body)
    with pytest.raises(LLMError, match="no list of embeddings"):
        make(server, policy=RetryPolicy(attempts=1)).encode(TEXTS)


def test_a_model_that_changed_its_dimensions_is_noticed(server: EmbeddingServer, tmp_path: Path) -> None:
    store = tmp_path / "vectors.sqlite"
    make(server, store=store).encode(TEXTS[:2])
    server.answer = lambda texts: (200, {"data": [_row(place, 1.0, 1.0) for place in range(len(texts))]})
    with pytest.raises(GraphError, match="2 and of 4 numbers") as caught:
        make(server, store=store).encode(TEXTS[:4])
    assert str(store) in (caught.value.hint or "")


def test_a_store_that_is_none_is_said_to_be_none(server: EmbeddingServer, tmp_path: Path) -> None:
    store = tmp_path / "vectors.sqlite"
    store.write_bytes(b"something else entirely" * 100)
    with pytest.raises(GraphError, match=r"vectors\.sqlite"):
        make(server, store=store).encode(TEXTS)


def test_a_store_that_fails_half_way_is_told_in_words(server: EmbeddingServer, tmp_path: Path) -> None:
    store = tmp_path / "vectors.sqlite"

    def answer(texts: Sequence[str]) -> tuple[int, Any]:
        with closing(sqlite3.connect(store)) as other:
            other.execute("DROP TABLE IF EXISTS vectors")
        return good(texts)

    server.answer = answer
    with pytest.raises(GraphError, match="the store of embeddings cannot be used"):
        make(server, store=store).encode(TEXTS)


def test_a_graph_is_built_with_it(server: EmbeddingServer) -> None:
    encoder = make(server, batch=32, most_in_flight=4, threshold=0.97)
    graph = build_graph(load_sample().tools[:6], encoder)
    assert (graph.encoder, graph.threshold) == (encoder.name, 0.97)


def test_encoders_have_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: EmbeddingServer
) -> None:
    monkeypatch.setenv("TOOLFLOW_CACHE", str(tmp_path))
    assert isinstance(make_encoder(None, {}), WordLlamaEncoder)
    assert isinstance(make_encoder("wordllama", {}), WordLlamaEncoder)
    assert isinstance(make_encoder("st:all-MiniLM-L6-v2", {}), SentenceEncoder)
    remote = make_encoder(f"{server.endpoint.base_url}/embeddings#m", {"OPENAI_API_KEY": KEY})
    assert remote.name == f"m@{server.endpoint.base_url}"
    assert encode_texts(remote, TEXTS[:3]).shape == (3, 4)
    assert store_path(tmp_path, server.endpoint, "m").is_file()


@pytest.mark.parametrize("name", ["glove", "st:", "ftp://host/v1", ""])
def test_a_name_that_is_no_encoder_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no encoder"):
        make_encoder(name, {})
