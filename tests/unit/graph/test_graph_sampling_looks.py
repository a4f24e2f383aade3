from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from toolflow.graph.sampling.looks import DRAWN, ROW, look_ahead
from toolflow.graph.sampling.steps import Steps, make_steps


@pytest.fixture
def steps() -> Steps:
    """Tool 0 leads to 1, 2 and 3 with strengths of 1, 2 and 7; tool 2 to 0; the others nowhere."""
    return make_steps(
        np.array([0, 0, 0, 2]), np.array([1, 2, 3, 0]), np.array([1.0, 2.0, 7.0, 1e-9]), tools=4
    )


def test_strong_steps_are_looked_at_in_proportion(steps: Steps) -> None:
    generator = random.Random(0)
    looked_at = Counter(look_ahead(steps, generator).drawn[generator.randrange(DRAWN)] for _ in range(4_000))
    assert {tool: round(times / 4_000, 1) for tool, times in looked_at.items()} == {1: 0.1, 2: 0.2, 3: 0.7}


def test_looks_that_stand_together_come_from_all_parts_of_the_strength(steps: Steps) -> None:
    for seed in range(50):
        drawn = look_ahead(steps, random.Random(seed)).drawn[:ROW]
        assert all(len(set(drawn[first : first + 4])) > 1 for first in range(ROW - 3))


def test_a_tool_without_steps_has_nothing_to_look_at(steps: Steps) -> None:
    drawn = look_ahead(steps, random.Random(0)).drawn
    assert set(drawn[ROW : 2 * ROW]) == set(drawn[3 * ROW :]) == {-1}
    assert set(drawn[2 * ROW : 3 * ROW]) == {0}
