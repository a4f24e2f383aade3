"""The ranking of a catalogue that is too large to weigh every pair of while its graph is built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.graph.word_encoder import TEXT, WordEncoder, make_tool
from toolflow.errors import GraphError
from toolflow.graph.graph import ToolGraph, build_graph, with_candidates
from toolflow.graph.linking.ranking import MOST_TOOLS, SMALL, strongest

TOOLS = 1_600


def letters(number: int) -> str:
    return "".join(chr(97 + int(digit)) for digit in f"{number:04}")


@pytest.fixture(scope="module")
def graph() -> ToolGraph:
    """Tools that no field joins, but for a pair; each takes one thing and gives another."""
    tools = [
        make_tool(f"do{letters(number)}", {f"in{letters(number)}": TEXT}, {f"out{letters(number)}": TEXT})
        for number in range(TOOLS - 3)
    ]
    joined = (
        make_tool("find_flight", None, {"flight_id": TEXT}),
        make_tool("book_flight", {"flight_id": TEXT}),
    )
    told = make_tool("hand_in", None, None, description="Returns the inaaaa of a parcel.")
    return build_graph([*tools, *joined, told], WordEncoder())


@pytest.fixture(scope="module")
def ranked(graph: ToolGraph) -> ToolGraph:
    return with_candidates(graph, WordEncoder())


def test_a_build_finds_links_alone_and_a_ranking_the_pairs_beyond(
    graph: ToolGraph, ranked: ToolGraph
) -> None:
    assert len(graph.candidates) == 0
    assert len(ranked.table) + len(ranked.candidates) == SMALL * (SMALL - 1)
    assert list(ranked.links()) == list(graph.links())


def test_every_pair_comes_once_strongest_first_and_none_beyond_weighs_as_a_link(ranked: ToolGraph) -> None:
    table, beyond = ranked.table, ranked.candidates
    assert (np.diff(beyond.weight) <= 0).all()
    assert 0 < beyond.weight.min() <= beyond.weight.max() < 0.25 <= table.weight.min()
    pairs = {
        (start, end)
        for one in (table, beyond)
        for start, end in zip(one.from_tool.tolist(), one.to_tool.tolist(), strict=True)
    }
    assert len(pairs) == len(table) + len(beyond)
    assert all(start != end for start, end in pairs)


def test_what_documentation_tells_ranks_high_without_any_field(ranked: ToolGraph) -> None:
    beyond = ranked.candidates
    producer, consumer = ranked.index("hand_in"), ranked.index("doaaaa")
    (place,) = np.flatnonzero((beyond.from_tool == producer) & (beyond.to_tool == consumer))
    others = beyond.weight[beyond.to_tool == consumer]
    assert (others >= beyond.weight[place]).sum() < TOOLS / 10
    link = list(ranked.all_pairs())[len(ranked.table) + place]
    assert (link.from_tool, link.from_field, link.to_field) == ("hand_in", "$", "inaaaa")


def test_a_ranked_graph_can_be_saved(ranked: ToolGraph, tmp_path: Path) -> None:
    ranked.save(tmp_path / "ranked.graph")
    loaded = ToolGraph.load(tmp_path / "ranked.graph")
    assert loaded.candidates.weight.tolist() == ranked.candidates.weight.tolist()
    assert list(loaded.links()) == list(ranked.links())


def test_another_encoder_than_that_of_the_links_is_refused(graph: ToolGraph) -> None:
    with pytest.raises(GraphError, match="another-encoder"):
        with_candidates(replace(graph, encoder="another-encoder"), WordEncoder())


def test_above_the_bound_a_graph_has_its_links_alone(graph: ToolGraph) -> None:
    large = replace(graph, tools=graph.tools * 7)
    assert len(large) > MOST_TOOLS
    assert with_candidates(large, WordEncoder()) is large


@pytest.mark.parametrize(
    ("most", "kept"), [(0, []), (1, [1]), (2, [1, 4]), (3, [1, 2, 4]), (4, [1, 2, 3, 4]), (9, [1, 2, 3, 4])]
)
def test_the_strongest_are_kept_and_of_equals_the_first(most: int, kept: list[int]) -> None:
    weight = np.array([[0.0, 0.9, 0.2], [0.2, 0.3, 0.0]], dtype=np.float32)

    assert strongest(weight, most).tolist() == kept
