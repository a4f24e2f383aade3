"""How a pair of tools leans on the neighbours of both."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.graph.word_encoder import TEXT, WordEncoder, make_tool
from toolflow.graph.linking.field_table import Floats
from toolflow.graph.linking.joining import Closeness
from toolflow.graph.linking.neighbours import Neighbours, find_neighbours, lean_on_neighbours


def next_of(*tools: int) -> Neighbours:
    """One neighbour of each tool."""
    return Neighbours(np.array(tools, dtype=np.int32)[:, None], np.ones((len(tools), 1), dtype=np.float32))


def leant(score: list[list[float]], neighbours: Neighbours, *impossible: int) -> Floats:
    possible = ~np.eye(len(score), dtype=np.bool_)
    possible[:, list(impossible)] = False
    return lean_on_neighbours(
        np.array(score, dtype=np.float32), neighbours, possible, [range(1), range(1, len(score))]
    )


def test_a_pair_whose_tools_have_neighbours_that_are_linked_is_the_likelier() -> None:
    score = [[0.0] * 4 for _ in range(4)]
    score[0][2] = 1
    moved = leant(score, next_of(1, 0, 3, 2))
    assert moved[1, 2] > moved[1, 3]
    assert moved[0, 3] > moved[1, 3]
    assert 0 < moved[1, 2] < moved[0, 2] < 1


def test_pairs_of_one_score_keep_it() -> None:
    moved = leant([[2.0] * 4 for _ in range(4)], next_of(1, 0, 3, 2))
    assert moved.tolist() == [[2.0] * 4] * 4


def test_neighbours_that_cannot_have_the_link_do_not_count() -> None:
    score = [[-9.0, 1.0, -9.0], [1.0, -9.0, -9.0], [1.0, 1.0, -9.0]]
    moved = leant(score, next_of(1, 2, 0), 2)
    assert moved[0, 1] == 1
    assert moved[1, 0] == pytest.approx(1)


def test_neighbours_are_of_the_own_category_first_and_as_few_as_the_catalogue() -> None:
    words = ("send mail", "send letter", "boil egg", "boil rice", "count stars", "name stars", "draw map")
    tools = [
        make_tool(name.replace(" ", "_"), {"word": TEXT}, description=name, category=category)
        for name, category in zip(words, ("post", "post", None, None, "sky", "sky", "post"), strict=True)
    ]
    encoder = WordEncoder()
    found = find_neighbours(Closeness(tools, encoder, encoder.threshold), [range(3), range(3, 7)])
    assert found.tool[:, 0].tolist()[:6] == [1, 0, 3, 2, 5, 4]
    assert found.share.tolist() == [[1.0]] * 7
    few = find_neighbours(Closeness(tools[:3], encoder, encoder.threshold), [range(3)])
    assert few.tool.shape == (3, 0)
