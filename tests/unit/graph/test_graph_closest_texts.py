"""How alike the closest fields of two tools are, and how much that says."""

from __future__ import annotations

import numpy as np
import pytest

from toolflow.graph.linking.closest_texts import NO_FIELDS, ClosestTexts
from toolflow.graph.linking.field_table import Floats, Ints


def unit(*angles: float) -> Floats:
    """Vectors at these angles, in degrees."""
    turned = np.radians(angles)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


def tools(*numbers: int) -> Ints:
    return np.array(numbers, dtype=np.int32)


def test_the_closest_fields_of_two_tools_count_and_tools_without_fields_have_none() -> None:
    taken = unit(0, 60, 90)
    texts = ClosestTexts(unit(0, 45), tools(0, 0), taken, tools(1, 1, 3), 4)
    assert texts.of(unit(0, 45) @ taken.T).tolist() == pytest.approx(
        [NO_FIELDS, 1, NO_FIELDS, np.cos(np.pi / 4)], abs=1e-3
    )
    assert texts.of(np.zeros((0, 3), dtype=np.float32)).tolist() == [NO_FIELDS] * 4


def test_one_cosine_says_more_where_few_pairs_have_it() -> None:
    def standing(angles: list[float]) -> float:
        given, taken = unit(0), unit(0, *angles)
        texts = ClosestTexts(given, tools(0), taken, tools(*range(1, len(taken) + 1)), len(taken) + 1)
        return float(texts.standing(np.array([np.cos(np.radians(30))], dtype=np.float32))[0])

    assert standing([80, 85, 88, 90]) > standing([10, 12, 15, 20]) + 0.1


@pytest.mark.parametrize("copies", [5, 100])
def test_the_share_and_not_the_number_of_pairs_counts(copies: int) -> None:
    """Every tool gives something at 0 degrees; half of the parameters are within 45 degrees of it."""
    angles, every = [0.0, 30.0, 60.0, 90.0] * copies, tools(*range(4 * copies))
    texts = ClosestTexts(unit(*[0] * len(angles)), every, unit(*angles), every, len(angles))
    standing = texts.standing(np.array([np.cos(np.pi / 4), NO_FIELDS], dtype=np.float32))
    assert standing.tolist() == pytest.approx([np.log(2), 0], abs=0.05)
