from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.graph.word_encoder import TEXT, WordEncoder, make_tool
from toolflow.catalog.tool import Tool
from toolflow.errors import GraphError
from toolflow.graph.graph import ToolGraph, build_graph

TOOLS = (
    make_tool("find_flight", {"origin_city": TEXT}, {"flight_id": TEXT}),
    make_tool("book_flight", {"flight_id": TEXT}, description="Büche.", category="flights"),
    Tool("lamp", "", {"type": "object"}, {"type": "string"}, source="home", source_id="lamp/1"),
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "tools.graph"
    build_graph(TOOLS, WordEncoder()).save(path)
    return path


def test_a_graph_comes_back_as_it_was_written(saved: Path) -> None:
    built, loaded = build_graph(TOOLS, WordEncoder()), ToolGraph.load(saved)
    assert loaded.tools == built.tools
    assert list(loaded.links()) == list(built.links()) != []
    assert (loaded.content_hash, loaded.encoder, loaded.threshold) == (
        built.content_hash,
        built.encoder,
        built.threshold,
    )


def test_a_graph_without_links_or_tools_comes_back(tmp_path: Path) -> None:
    for tools in ((), TOOLS[2:]):
        build_graph(tools, WordEncoder()).save(tmp_path / "graph")
        loaded = ToolGraph.load(str(tmp_path / "graph"))
        assert (loaded.tools, list(loaded.links())) == (tools, [])


def test_the_same_graph_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    build_graph(TOOLS, WordEncoder()).save(tmp_path / "again")
    ToolGraph.load(saved).save(tmp_path / "reloaded")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()
    assert (tmp_path / "reloaded").read_bytes() == saved.read_bytes()


def test_an_existing_file_is_replaced_and_nothing_is_left_beside_it(saved: Path) -> None:
    build_graph(TOOLS[:1], WordEncoder()).save(saved)
    assert len(ToolGraph.load(saved)) == 1
    assert list(saved.parent.iterdir()) == [saved]


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="cannot be written") as caught:
        build_graph(TOOLS, WordEncoder()).save(tmp_path / "missing" / "graph")
    assert str(tmp_path / "missing" / "graph") in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="cannot be read: No such file"):
        ToolGraph.load(tmp_path / "graph")
    with pytest.raises(GraphError, match="cannot be read"):
        ToolGraph.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b'{"name": "tool"}\n', b"PK\x03\x04 but no zip"])
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tools.jsonl"
    path.write_bytes(content)
    with pytest.raises(GraphError, match="not a tool graph") as caught:
        ToolGraph.load(path)
    assert "--tools" in (caught.value.hint or "")


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the members of a graph file."""
    with np.load(path) as archive:
        members = {name: archive[name] for name in archive.files}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, member in members.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(member))
            archive.writestr(f"{name}.npy", content.getvalue())


def change_header(**facts: Any) -> Callable[[dict[str, Any]], None]:
    def change(members: dict[str, Any]) -> None:
        header = json.loads(members["header"].tobytes()) | facts
        members["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)

    return change


def change_member(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(members: dict[str, Any]) -> None:
        members[name] = value

    return change


def change_first(name: str, value: float) -> Callable[[dict[str, Any]], None]:
    def change(members: dict[str, Any]) -> None:
        members[name][0] = value

    return change


def test_a_rewritten_file_that_nothing_was_changed_in_is_read(saved: Path) -> None:
    rewrite(saved, lambda _: None)
    assert ToolGraph.load(saved).tools == TOOLS


def test_another_version_is_refused_with_what_to_do(saved: Path) -> None:
    rewrite(saved, change_header(version=2))
    with pytest.raises(GraphError, match="version 2") as caught:
        ToolGraph.load(saved)
    assert "toolflow graph build" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (change_header(format="other"), "'other'"),
        (change_header(threshold="high"), "threshold"),
        (change_header(kinds=["friendship"]), "friendship"),
        (change_header(paths=[]), "from_path"),
        (change_header(content_hash="0"), "not those it was built from"),
        (change_member("header", np.frombuffer(b"{", dtype=np.uint8)), "not a tool graph"),
        (change_member("tools", np.frombuffer(b'{"name": 1}\n', dtype=np.uint8)), "not a tool graph"),
        (change_first("from_tool", 7), "from_tool"),
        (change_first("to_tool", -1), "to_tool"),
        (change_first("kind", 2), "kind"),
        (change_first("weight", np.nan), "weight"),
        (change_first("weight", 0), "weight"),
        (change_member("weight", np.array([0.5, 0.5], dtype=np.float32)), "length"),
        (change_member("weight", np.array([1], dtype=np.int64)), "weight"),
        (change_member("weight", np.array([{"a": 1}], dtype=object)), "not a tool graph"),
        (lambda members: members.pop("weight"), "weight"),
    ],
)
def test_a_damaged_file_is_refused(
    saved: Path, change: Callable[[dict[str, Any]], None], problem: str
) -> None:
    rewrite(saved, change)
    with pytest.raises(GraphError, match=problem):
        ToolGraph.load(saved)


def test_a_file_cut_anywhere_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    for length in range(0, len(content), max(1, len(content) // 50)):
        saved.write_bytes(content[:length])
        with pytest.raises(GraphError):
            ToolGraph.load(saved)


def test_a_flipped_byte_never_gives_anything_but_a_graph_error(saved: Path) -> None:
    content = saved.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 200)):
        saved.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            ToolGraph.load(saved)
        except GraphError:
            continue
