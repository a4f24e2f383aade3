from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.unit import invoking
from toolflow.catalog.load import load_sample
from toolflow.catalog.write import write_canonical
from toolflow.errors import CatalogueError, GraphError, ToolFlowError, UsageError
from toolflow.graph.graph import ToolGraph


def run(*arguments: str | Path) -> str:
    """Standard output of a command of ``toolflow graph`` that succeeds."""
    return invoking.run("graph", *arguments).stdout


def fail(error: type[ToolFlowError], *arguments: str | Path) -> ToolFlowError:
    """The error of one that fails."""
    return invoking.fail(error, "graph", *arguments)


@pytest.fixture(scope="module")
def graph_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "sample.graph"
    run("build", "-o", path)
    return path


def test_build_writes_the_graph_of_the_sample_unless_told_otherwise(graph_file: Path) -> None:
    assert ToolGraph.load(graph_file).tools == load_sample().tools


def test_build_reads_catalogues(tmp_path: Path) -> None:
    tools = load_sample().tools
    write_canonical(tools[:5], tmp_path / "a.jsonl")
    write_canonical(tools[5:9], tmp_path / "b.jsonl")
    both: list[str | Path] = ["--tools", tmp_path / "a.jsonl", "--tools", tmp_path / "b.jsonl"]
    facts = json.loads(run("build", *both, "-o", tmp_path / "g", "--threshold", "0.6", "--json"))
    assert (facts["tools"], facts["threshold"], facts["output"]) == (9, 0.6, str(tmp_path / "g"))
    assert "7 tools" in run("build", *both, "-o", tmp_path / "g", "--limit-tools", "7")
    assert ToolGraph.load(tmp_path / "g").tools == tools[:7]


def test_wrong_entries_stop_the_build_unless_they_may_be_skipped(tmp_path: Path) -> None:
    catalogue = tmp_path / "tools.jsonl"
    write_canonical(load_sample().tools[:2], catalogue)
    catalogue.write_text(catalogue.read_text() + '{"name": "", "description": "", "parameters": {}}\n')
    fail(CatalogueError, "build", "--tools", catalogue, "-o", tmp_path / "g")
    run("build", "--tools", catalogue, "-o", tmp_path / "g", "--skip-invalid")
    assert len(ToolGraph.load(tmp_path / "g")) == 2


def test_stats_tells_the_figures_of_the_graph(graph_file: Path) -> None:
    figures = json.loads(run("stats", graph_file, "--json"))
    statistics = ToolGraph.load(graph_file).statistics()
    assert figures == figures | statistics.to_json()
    text = run("stats", graph_file)
    assert f"{statistics.links['return-parameter']:,}" in text
    assert statistics.hubs[0].tool in text


def test_stats_of_tools_without_links_says_how_sets_are_drawn() -> None:
    assert "uniformly" in run("stats", "--limit-tools", "1")


def test_show_tells_what_flows_in_and_out(graph_file: Path) -> None:
    shown = json.loads(run("show", "book_flight", graph_file, "--json"))
    assert shown["tool"]["name"] == "book_flight"
    assert all(link["to_tool"] == "book_flight" for link in shown["in"])
    assert all(link["from_tool"] == "book_flight" for link in shown["out"])
    assert {link["kind"] for link in shown["shared"]} == {"parameter-parameter"}
    flows = {(link["from_tool"], link["from_field"], link["to_field"]) for link in shown["in"]}
    assert ("search_flights", "flights[].flight_id", "flight_id") in flows
    assert len(shown["in"]) + len(shown["out"]) + len(shown["shared"]) == len(
        ToolGraph.load(graph_file).links_of("book_flight")
    )


def test_show_prints_own_field_first(graph_file: Path) -> None:
    text = run("show", "book_flight", graph_file, "--all")
    assert "search_flights  flight_id ← flights[].flight_id" in text
    assert "get_flight_booking  booking_reference → booking_reference" in text


def test_show_of_an_unknown_tool_gives_names_like_it(graph_file: Path) -> None:
    for name in ("book_fligth", "BOOK_FLIGHT", "book_flight_and_hotel"):
        assert "book_flight" in (fail(GraphError, "show", name, graph_file).hint or "")
    # Where no name is like it, it tells some that are there.
    assert ToolGraph.load(graph_file).tools[0].name in (fail(GraphError, "plot", "?", graph_file).hint or "")


def test_files_that_are_not_there_are_told_with_what_makes_them(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert "toolflow graph build -o GRAPH" in (fail(GraphError, "stats", gone).hint or "")
    assert "--gold" in (fail(GraphError, "score", "--gold", gone).hint or "")


@pytest.mark.parametrize("command", ["show", "plot"])
def test_arguments_in_the_wrong_order_are_put_right(graph_file: Path, command: str) -> None:
    wrong = fail(UsageError, command, graph_file, "book_flight")
    assert f"TOOL comes first, then GRAPH: book_flight {graph_file}" in (wrong.hint or "")


def test_show_of_a_graph_alone_asks_for_a_tool(graph_file: Path) -> None:
    assert "TOOL comes first" in (fail(UsageError, "show", graph_file).hint or "")


@pytest.mark.parametrize("command", ["show", "plot"])
def test_a_graph_file_that_is_not_there_is_no_tool(tmp_path: Path, command: str) -> None:
    assert str(fail(UsageError, command, tmp_path / "gone.graph")).startswith("there is no graph file")


def test_sample_draws_the_sets_that_were_asked_for(graph_file: Path) -> None:
    lines = run("sample", graph_file, "-n", "4", "--seed", "3", "--json").splitlines()
    sets: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert len(sets) == 4
    assert all(3 <= len(drawn["tools"]) <= 7 for drawn in sets)
    for drawn in sets:
        assert {link["from_tool"] for link in drawn["links"]} <= set(drawn["tools"])
    assert run("sample", graph_file, "-n", "4", "--seed", "3", "--json").splitlines() == lines
    assert run("sample", graph_file, "-n", "4", "--seed", "4", "--json").splitlines() != lines
    assert sets[0]["tools"][0] in run("sample", graph_file, "-n", "1", "--seed", "3")


def test_sample_draws_any_tools_where_told_so(graph_file: Path) -> None:
    options = ("-n", "40", "--fewest", "2", "--most", "2", "--json")
    related, any_tools = (
        [json.loads(line) for line in run("sample", graph_file, *options, *more).splitlines()]
        for more in ((), ("--sampler", "random"))
    )

    def strength(sets: list[dict[str, Any]]) -> float:
        return sum(max((link["weight"] for link in drawn["links"]), default=0) for drawn in sets)

    assert strength(related) > 1.2 * strength(any_tools)
    assert {drawn["shape"] for drawn in any_tools} == {None}


def test_sample_draws_one_shape_and_distractors_where_told_so(graph_file: Path) -> None:
    options = ("--shape", "chain", "--fewest", "3", "--most", "3", "--distractors", "1")
    sets = [json.loads(line) for line in run("sample", graph_file, *options, "--json").splitlines()]
    for drawn in sets:
        flows = {(link["from_tool"], link["to_tool"]) for link in drawn["links"]}
        assert drawn["shape"] == "walk" or set(pairwise(drawn["tools"])) <= flows
        assert not set(drawn["distractors"]) & set(drawn["tools"])
    assert {"chain"} <= {drawn["shape"] for drawn in sets} <= {"chain", "walk"}
    text = run("sample", graph_file, *options)
    assert all(name in text for drawn in sets for name in drawn["distractors"])
    fail(UsageError, "sample", graph_file, "--sampler", "random", "--shape", "chain")


def test_plot_draws_a_tool_or_a_tool_set(graph_file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert "12 tools" in run("plot", "book_flight", graph_file, "-o", page, "--most", "12")
    assert "book_flight" in page.read_text("utf-8")
    assert "drawn to" in run("plot", graph_file, "-o", page)
    run("plot", graph_file, "--seed", "5", "-o", page)
    first = json.loads(run("sample", graph_file, "-n", "1", "--seed", "5", "--json"))
    assert all(name in page.read_text("utf-8") for name in first["tools"])
    fail(GraphError, "plot", "book_fligth", graph_file, "-o", page)
    fail(UsageError, "plot", "book_flight", graph_file, "--seed", "5", "-o", page)


def test_what_cannot_go_together_is_refused(graph_file: Path, tmp_path: Path) -> None:
    fail(UsageError, "stats", graph_file, "--threshold", "0.5")
    fail(GraphError, "sample", graph_file, "--fewest", "5", "--most", "2")
    fail(GraphError, "stats", tmp_path / "missing.graph")


def test_text_of_a_catalogue_cannot_steer_the_terminal(tmp_path: Path) -> None:
    catalogue = tmp_path / "tools.jsonl"
    parameters = {"type": "object", "properties": {"[red]flight_id\u001b[31m": {"type": "string"}}}
    tools = [
        {
            "name": f"{name}\u001b]0;x\u0007[bold]",
            "description": "\u001b[2J[/red]",
            "parameters": parameters,
            "returns": parameters,
        }
        for name in ("one", "two")
    ]
    catalogue.write_text("".join(f"{json.dumps(tool)}\n" for tool in tools))
    for command in (
        ("show", tools[0]["name"], "--tools", catalogue),
        ("sample", "--tools", catalogue),
        ("stats", "--tools", catalogue),
    ):
        text = run(*[str(part) for part in command])
        assert "\u001b" not in text
        assert "[bold]" in text
