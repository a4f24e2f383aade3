"""Sampling links for a check, telling a judge about them, dropping what it refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from toolflow.catalog.load import load_sample
from toolflow.graph.encoder import WordLlamaEncoder
from toolflow.graph.graph import ToolGraph, build_graph
from toolflow.graph.link import Link
from toolflow.graph.link_check import (
    Verdict,
    ask_about,
    drop_links,
    figures_by_band,
    identity,
    sample_links,
)


@pytest.fixture(scope="module")
def graph() -> ToolGraph:
    return build_graph(load_sample().tools[:40], WordLlamaEncoder(), threshold=0.3)


def band(link: Link) -> int:
    return next(number for number in range(5) if link.weight <= (number + 1) / 5)


def test_a_sample_is_spread_over_the_weights(graph: ToolGraph) -> None:
    there = Counter(map(band, graph.links()))
    assert len(there) > 1
    sampled = Counter(map(band, sample_links(graph, 20, seed=1)))
    assert sum(sampled.values()) == 20
    # A band has fewer than another only where it has no more links to give.
    most = max(sampled.values())
    assert all(sampled[number] >= min(most - 1, there[number]) for number in there)


def test_a_sample_depends_on_the_seed_alone_and_a_larger_one_goes_on(graph: ToolGraph) -> None:
    twenty = sample_links(graph, 20, seed=1)
    assert twenty == sample_links(graph, 20, seed=1)
    assert twenty != sample_links(graph, 20, seed=2)
    assert set(map(identity, twenty)) <= set(map(identity, sample_links(graph, 60, seed=1)))


def test_a_sample_larger_than_the_graph_is_the_graph(graph: ToolGraph) -> None:
    everything = sample_links(graph, 10**6, seed=0)
    assert sorted(map(identity, everything)) == sorted(map(identity, graph.links()))


def test_a_graph_without_links_gives_no_sample() -> None:
    assert sample_links(build_graph(load_sample().tools[:1], WordLlamaEncoder()), 10, seed=0) == ()


def test_a_judge_is_told_what_the_fields_mean_but_not_the_weight(graph: ToolGraph) -> None:
    link = next(link for link in graph.links() if link.kind == "return-parameter")
    (question,) = ask_about(graph, [link])
    told = question.to_json()
    assert told["kind"] == "return-parameter"
    assert told["from"]["tool"] == link.from_tool
    assert told["from"]["field"] == link.from_field
    assert told["to"]["about"] == graph.tool(link.to_tool).description[:300]
    assert {"type", "meaning"} <= told["to"].keys()
    assert "weight" not in str(told)


def test_the_key_of_a_question_changes_with_the_judge_and_the_link(graph: ToolGraph) -> None:
    first, second = ask_about(graph, sample_links(graph, 2, seed=0))
    assert len({first.key("a"), first.key("b"), second.key("a")}) == 3
    assert first.key("a") == ask_about(graph, [first.link])[0].key("a")


def test_dropped_links_are_gone_and_nothing_else(graph: ToolGraph, tmp_path: Path) -> None:
    refused = sample_links(graph, 7, seed=3)
    dropped = drop_links(graph, refused)
    gone = set(map(identity, refused))
    assert list(dropped.links()) == [link for link in graph.links() if identity(link) not in gone]
    assert dropped.tools == graph.tools
    dropped.save(tmp_path / "graph")
    assert list(ToolGraph.load(tmp_path / "graph").links()) == list(dropped.links())


def test_figures_count_by_band() -> None:
    def judged(weight: float, makes_sense: bool) -> tuple[Link, Verdict]:
        return Link("a", "b", "return-parameter", "x", "y", weight), Verdict(makes_sense, "")

    figures = figures_by_band([judged(0.2, False), judged(0.21, True), judged(0.4, False), judged(1.0, True)])
    assert [(band.above, band.most, band.judged, band.refused) for band in figures] == [
        (0.0, 0.2, 1, 1),
        (0.2, 0.4, 2, 1),
        (0.8, 1.0, 1, 0),
    ]
