"""``toolflow tools enrich``, ``toolflow graph check-links`` and ``--encoder`` on the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.unit import invoking
from tests.unit.curation.embedding_server import EmbeddingServer, good
from tests.unit.invoking import fail, invoke
from toolflow.catalog.load import load_catalogue, load_sample
from toolflow.catalog.write import write_canonical
from toolflow.errors import LLMError, UsageError
from toolflow.graph.graph import ToolGraph


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TOOLFLOW_CACHE", str(tmp_path / "cache"))


def run(*arguments: str | Path, code: int = 0) -> str:
    """Standard output of a command that ends with this exit code."""
    return invoking.run(*arguments, code=code).stdout


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    path = tmp_path / "bare.jsonl"
    lines = [tool.to_canonical() | {"returns": None} for tool in load_sample().tools[:5]]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    write_canonical(load_sample().tools[:20], tmp_path / "tools.jsonl")
    run("graph", "build", "--tools", tmp_path / "tools.jsonl", "-o", tmp_path / "graph")
    return tmp_path / "graph"


def test_enrich_rehearses_when_nothing_is_configured(bare: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    result = invoke("tools", "enrich", bare, "-o", output, "--evolve", "1", "--json")
    summary = json.loads(result.stdout)
    assert summary["rehearsal"] is True
    assert "rehearsal model answers" in result.stderr
    assert "filling in: 5 of 5" in result.stderr
    tools = load_catalogue([output]).catalogue.tools
    assert summary["tools"] == len(tools)
    filled = [tool for tool in tools[:5] if tool.returns is not None]
    assert len(filled) == summary["filled"]["returns"] > 0
    assert {(tool.provenance or {})["returns"] for tool in filled} == {"rehearsal"}
    assert result.exit_code == (3 if summary["missing"] else 0)


def test_enrich_without_a_call_says_what_is_missing(bare: Path, tmp_path: Path) -> None:
    text = run("tools", "enrich", bare, "-o", tmp_path / "out.jsonl", "--max-calls", "0", code=3)
    assert "still missing: 5" in text


def test_enrich_fills_what_it_is_told_to(bare: Path, tmp_path: Path) -> None:
    summary = run("tools", "enrich", bare, "-o", tmp_path / "out.jsonl", "--fill", "descriptions", "--json")
    assert json.loads(summary)["calls"] == 0
    summary = run("tools", "enrich", bare, "-o", tmp_path / "out.jsonl", "--fill", "none", "--json")
    assert json.loads(summary)["calls"] == 0
    fail(UsageError, "tools", "enrich", bare, "-o", tmp_path / "out.jsonl", "--fill", "gaps")


def test_enrich_says_that_an_endpoint_is_missing(bare: Path, tmp_path: Path) -> None:
    error = fail(UsageError, "tools", "enrich", bare, "-o", tmp_path / "out.jsonl", "--model", "some-model")
    assert "--base-url" in (error.hint or "")


def test_check_links_tells_figures_by_weight_and_marks_rehearsal(graph: Path) -> None:
    text = run("graph", "check-links", graph, "-n", "20")
    assert "20 of 20 links judged" in text
    assert "mean nothing" in text
    summary = json.loads(run("graph", "check-links", graph, "-n", "20", "--json"))
    assert (summary["rehearsal"], summary["known_before"], summary["calls"]) == (True, 20, 0)
    assert sum(band["judged"] for band in summary["bands"]) == 20


def test_check_links_drops_nothing_by_rehearsal_unless_forced(graph: Path, tmp_path: Path) -> None:
    output = tmp_path / "checked"
    fail(UsageError, "graph", "check-links", graph, "-o", output)
    assert not output.exists()
    command: Sequence[str | Path] = ("graph", "check-links", graph, "-n", "30", "-o", output, "--json")
    summary = json.loads(run(*command, "--force"))
    links = [list(ToolGraph.load(path).links()) for path in (graph, output)]
    assert len(links[0]) - len(links[1]) == len(summary["refused"]) > 0


def test_check_links_within_a_budget_says_that_verdicts_are_missing(graph: Path) -> None:
    text = run("graph", "check-links", graph, "-n", "20", "--max-calls", "1", code=3)
    assert "10 of 20 links judged" in text


def test_check_links_of_a_graph_without_links_says_so(tmp_path: Path) -> None:
    run("graph", "build", "--limit-tools", "1", "-o", tmp_path / "graph")
    assert "no two tools are linked" in str(fail(UsageError, "graph", "check-links", tmp_path / "graph"))


def test_a_graph_is_built_with_a_remote_encoder_and_goes_on_after_a_failure(tmp_path: Path) -> None:
    with EmbeddingServer() as server:
        failing: list[Any] = []

        def answer(texts: Sequence[str]) -> tuple[int, Any]:
            failing.append(texts)
            return good(texts) if len(failing) <= 2 else (400, {"error": "enough"})

        server.answer = answer
        encoder = f"{server.endpoint.base_url}#m"
        build = ("graph", "build", "--limit-tools", "8", "--encoder", encoder, "-o", tmp_path / "graph")
        assert "are kept" in str(fail(LLMError, *build, "--threshold", "0.97"))
        done = set(server.asked[0]) | set(server.asked[1])
        server.answer = good
        server.asked.clear()
        facts = json.loads(run(*build, "--threshold", "0.97", "--json"))
        assert facts["encoder"] == f"m@{server.endpoint.base_url}"
        assert not done & set(server.asked_texts)


def test_a_threshold_that_was_not_measured_is_told_once(tmp_path: Path) -> None:
    with EmbeddingServer() as server:
        server.answer = good
        build = ["graph", "build", "--limit-tools", "4", "--encoder", f"{server.endpoint.base_url}#m"]
        build += ["-o", str(tmp_path / "graph")]
        told = invoke(*build).stderr
        assert told.count("No threshold was measured for m@") == 1
        assert "--calibrate" in told
        told = invoke(*build, "--threshold", "0.9").stderr
        assert "threshold was measured" not in told


def test_an_encoder_and_a_graph_file_exclude_each_other(graph: Path) -> None:
    fail(UsageError, "graph", "stats", graph, "--encoder", "wordllama")
    fail(UsageError, "graph", "stats", "--encoder", "glove", "--limit-tools", "3")
