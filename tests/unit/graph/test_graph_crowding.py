from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from toolflow.graph.linking.likelihood import uncrowd

Scores = NDArray[np.float32]


def uncrowded(score: Scores, possible: NDArray[np.bool_]) -> Scores:
    score = score.copy()
    uncrowd(score, possible)
    return score


@pytest.mark.parametrize("tools", [20, 200])
def test_a_tool_that_is_likely_to_many_others_loses_more(tools: int) -> None:
    """The one pair of a tool with no other likely one goes before an equal pair of a hub."""
    score = np.zeros((tools, tools), dtype=np.float32)
    score[0, 1:] = score[1, 2] = 1.0  # 0 is a hub of producers
    score[3:, 4] = 1.0  # and 4 one of consumers
    after = uncrowded(score, ~np.eye(tools, dtype=np.bool_))
    assert after[1, 2] > after[0, 5]
    assert after[1, 2] > after[6, 4]
    assert after[0, 5] > after[0, 0]  # what is not possible had no score to lose


def test_it_means_the_same_in_a_small_and_a_large_catalogue() -> None:
    """Each tool stands there four times: the order stays, and all lose one amount more."""
    draw = np.random.default_rng(0)
    score = draw.random((60, 60), dtype=np.float32)
    possible = draw.random((60, 60)) < 0.8
    once = uncrowded(score, possible)
    copies = np.ones((4, 4), dtype=np.float32)
    often = uncrowded(np.kron(score, copies), np.kron(possible, copies).astype(np.bool_))
    more = np.kron(once, copies) - often
    assert np.ptp(more) < 1e-5
    assert more.min() > 0
