from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.graph.word_encoder import TEXT, WordEncoder, make_tool
from toolflow.graph.cache import CachingEncoder, cached_graph, linking_code
from toolflow.graph.graph import build_graph

TOOLS = (
    make_tool("find_flight", {"origin_city": TEXT}, {"flight_id": TEXT}),
    make_tool("book_flight", {"flight_id": TEXT}),
)
MORE = (*TOOLS, make_tool("cancel_flight", {"flight_id": TEXT, "reason_text": TEXT}))


def files(folder: Path, kind: str) -> list[Path]:
    return sorted(path for path in (folder / kind).rglob("*") if path.is_file())


def test_an_unchanged_catalogue_is_not_encoded_again(tmp_path: Path) -> None:
    first = cached_graph(TOOLS, WordEncoder(), tmp_path)
    encoder = WordEncoder()
    again = cached_graph(TOOLS, encoder, tmp_path)
    assert encoder.asked == []
    assert list(again.all_pairs()) == list(first.all_pairs())
    assert list(again.links()) == list(build_graph(TOOLS, WordEncoder()).links()) != []


def test_of_a_changed_catalogue_only_what_is_new_is_encoded(tmp_path: Path) -> None:
    cached_graph(TOOLS, WordEncoder(), tmp_path)
    encoder = WordEncoder()
    graph = cached_graph(MORE, encoder, tmp_path)
    assert encoder.asked != []
    assert not any(text.startswith(("flight id", "origin city", "find flight")) for text in encoder.asked)
    assert list(graph.all_pairs()) == list(build_graph(MORE, WordEncoder()).all_pairs())


def test_the_threshold_and_the_encoder_are_part_of_what_is_kept(tmp_path: Path) -> None:
    class Other(WordEncoder):
        name = "other-64"

    cached_graph(TOOLS, WordEncoder(), tmp_path)
    assert cached_graph(TOOLS, WordEncoder(), tmp_path, threshold=0.6).threshold == 0.6
    other = Other()
    assert cached_graph(TOOLS, other, tmp_path).encoder == "other-64"
    assert other.asked != []


def test_a_graph_that_other_code_found_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    linking = tmp_path / "linking"
    linking.mkdir()
    monkeypatch.setattr("toolflow.graph.linking.__file__", str(linking / "__init__.py"))
    for rule in ("one", "other", "one"):
        (linking / "rule.py").write_text(rule, encoding="utf-8")
        linking_code.cache_clear()
        cached_graph(TOOLS, WordEncoder(), tmp_path)
    linking_code.cache_clear()
    assert len(files(tmp_path, "graphs")) == 2


@pytest.mark.parametrize("kind", ["graphs", "embeddings"])
@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_damaged_file_is_made_anew(tmp_path: Path, kind: str, damage: bytes | None) -> None:
    expected = list(cached_graph(TOOLS, WordEncoder(), tmp_path).all_pairs())
    for path in files(tmp_path, "graphs") + files(tmp_path, "embeddings"):
        if path.is_relative_to(tmp_path / kind):
            content = bytearray(path.read_bytes())
            content[-1] ^= 1
            path.write_bytes(bytes(content) if damage is None else damage)
        elif kind == "embeddings":
            path.unlink()
    encoder = WordEncoder()
    assert list(cached_graph(TOOLS, encoder, tmp_path).all_pairs()) == expected
    assert bool(encoder.asked) == (kind == "embeddings")
    assert list(cached_graph(TOOLS, WordEncoder(), tmp_path).all_pairs()) == expected


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    cached_graph(TOOLS, WordEncoder(), None)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_costs_no_graph(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    graph = cached_graph(TOOLS, WordEncoder(), tmp_path / "file")
    assert list(graph.links()) != []


def test_vectors_of_another_width_under_the_same_name_replace_those_that_were_kept(tmp_path: Path) -> None:
    class Narrow(WordEncoder):
        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            self.asked.extend(texts)
            return np.tile(np.array([1, 0], dtype=np.float32), (len(texts), 1))

    CachingEncoder(WordEncoder(), tmp_path).encode(["one", "two"])
    narrow = Narrow()
    assert CachingEncoder(narrow, tmp_path).encode(["one", "three"]).shape == (2, 2)
    assert "one" in narrow.asked


def test_many_small_additions_are_gathered_in_few_files(tmp_path: Path) -> None:
    for index in range(70):
        CachingEncoder(WordEncoder(), tmp_path).encode([f"text {index}"])
    assert len(files(tmp_path, "embeddings")) < 40
    encoder = WordEncoder()
    vectors = CachingEncoder(encoder, tmp_path).encode([f"text {index}" for index in range(70)])
    assert encoder.asked == []
    assert np.array_equal(vectors, WordEncoder().encode([f"text {index}" for index in range(70)]))
