"""Catalogues and encoders that give a graph trouble: clear words, the documented exit code, nothing lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.commands import Command
from tests.unit.curation.embedding_server import EmbeddingServer, good


def tool(name: str, description: str = "", **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties}
    return {"name": name, "description": description, "parameters": parameters, "returns": None}


ODD: dict[str, list[dict[str, Any]]] = {
    "unlinked": [tool("count_sheep", zorp={"type": "boolean"}), tool("paint_walls", quux={"type": "array"})],
    "alone": [tool("find_city", city={"type": "string"})],
    "endless": [
        tool("find_city", "word " * 200_000, city={"type": "string", "description": "x" * 1_000_000}),
        tool("show_map", city={"type": "string"}),
    ],
}


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    path = tmp_path / "tools.jsonl"
    path.write_text("".join(json.dumps(tool(f"tool_{n}", f"Number {n}", city={})) + "\n" for n in range(60)))
    return path


@pytest.mark.parametrize("name", ODD)
def test_odd_catalogues_give_a_graph_and_a_run(name: str, command: Command, tmp_path: Path) -> None:
    path, graph = tmp_path / "tools.jsonl", tmp_path / "tools.graph"
    path.write_text("".join(json.dumps(one) + "\n" for one in ODD[name]))
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    built = command("graph", "build", "--tools", path, "-o", graph, "--json", **cache)
    assert built.returncode == 0, built.stderr
    assert json.loads(built.stdout)["isolated"] == len(ODD[name])
    drawn = command("graph", "sample", graph, "-n", 1, "--json", **cache)
    assert {*json.loads(drawn.stdout)["tools"]} == {one["name"] for one in ODD[name]}
    made = command("synth", "--graph", graph, "-n", 1, "-o", tmp_path / "run", "--json", **cache)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["dialogues"]["accepted"] == 1


def test_thousands_of_tools_with_one_parameter_are_bounded(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "tools.jsonl"
    account = {"type": "string", "description": "The account"}
    lines = (json.dumps(tool(f"tool_{n}", f"Thing {n}", account_id=account)) + "\n" for n in range(2_000))
    path.write_text("".join(lines))
    built = command("graph", "build", "--tools", path, "-o", tmp_path / "graph", "--no-cache", "--json")
    assert built.returncode == 0, built.stderr
    assert sum(json.loads(built.stdout)["links"].values()) <= 64 * 2_000


def test_an_encoder_that_gives_nan_is_named(command: Command, catalogue: Path, tmp_path: Path) -> None:
    def not_a_number(texts: Sequence[str]) -> tuple[int, Any]:
        rows = [{"index": place, "embedding": [1.0, float("nan")]} for place in range(len(texts))]
        return 200, {"data": rows}

    with EmbeddingServer(not_a_number) as server:
        encoder = f"{server.endpoint.base_url}#m"
        for start in (
            ("graph", "build", "-o", tmp_path / "graph"),
            ("synth", "-n", 1, "-o", tmp_path / "run"),
        ):
            done = command(
                *start, "--tools", catalogue, "--encoder", encoder, XDG_CACHE_HOME=str(tmp_path / "cache")
            )
            assert done.returncode == 1
            assert "not finite" in done.stderr
            assert "Traceback" not in done.stderr
    assert not (tmp_path / "graph").exists()
    assert not (tmp_path / "run").exists()


def test_an_endpoint_that_fails_half_way_is_paid_once(
    command: Command, catalogue: Path, tmp_path: Path
) -> None:
    with EmbeddingServer() as server:
        encoder = f"{server.endpoint.base_url}#m"
        build = ("graph", "build", "-o", tmp_path / "graph", "--threshold", 0.97, "--encoder", encoder)
        build_it = (*build, "--tools", catalogue)
        cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
        paid: list[str] = []

        def answer(texts: Sequence[str]) -> tuple[int, Any]:
            if len(paid) > 4:
                return 401, {"error": {"message": "the account is empty"}}
            paid.extend(texts)
            return good(texts)

        server.answer = answer
        failed = command(*build_it, **cache)
        assert failed.returncode == 1
        assert "are kept" in failed.stderr
        assert "Traceback" not in failed.stderr
        server.answer = good
        server.asked.clear()
        assert command(*build_it, **cache).returncode == 0
        assert paid
        assert not {*paid} & {*server.asked_texts}
        server.asked.clear()
        assert command(*build_it, **cache).returncode == 0
        assert not server.asked


def test_a_run_draws_from_the_graph_it_is_given(command: Command, catalogue: Path, tmp_path: Path) -> None:
    graph, run = tmp_path / "graph", tmp_path / "run"
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    command("graph", "build", "--tools", catalogue, "-o", graph, **cache)
    first = command("synth", "--graph", graph, "-n", 1, "-o", run, **cache)
    assert first.returncode == 0, first.stderr
    known = json.loads((run / "run.json").read_text())["fingerprint"]
    assert known["catalogue"]["tools"] == 60
    assert len(known["graph"]["hash"]) == 64
    again = command("synth", "--graph", graph, "--tools", catalogue, "-n", 2, "-o", run, **cache)
    assert again.returncode == 0, again.stderr
    other = command("synth", "--tools", catalogue, "-n", 2, "-o", run, **cache)
    assert other.returncode == 2
    assert "another configuration" in other.stderr


def test_a_graph_of_another_catalogue_is_refused(command: Command, catalogue: Path, tmp_path: Path) -> None:
    graph = tmp_path / "graph"
    command("graph", "build", "--limit-tools", 3, "-o", graph, "--no-cache")
    done = command("synth", "--graph", graph, "--tools", catalogue, "-n", 1, "-o", tmp_path / "run")
    assert done.returncode == 2
    assert "a graph of another catalogue: it holds 3 tools, the catalogue 60" in done.stderr
    assert not (tmp_path / "run").exists()
