"""What a configuration says of tools and sampling is what a run draws, and what it cannot mean is refused."""

from __future__ import annotations

from typing import Any

import pytest

from toolflow.assembly import read_material
from toolflow.config import load_config
from toolflow.errors import UsageError


def sets(**sampler: Any) -> list[Any]:
    drawer = read_material(load_config(None, {"sampler": sampler, "seed": 3})).sampler
    return [drawer.sample(index) for index in range(40)]


def test_sizes_shapes_and_distractors_reach_the_sampler() -> None:
    drawn = sets(
        fewest_tools=3,
        most_tools=4,
        size_weights=[1, 0],
        shapes={"walk": 0, "chain": 0, "fan_out": 0, "merge": 1},
        fewest_distractors=1,
        most_distractors=2,
    )
    assert {len(one.tools) for one in drawn} == {3}
    assert {"merge"} <= {one.shape for one in drawn} <= {"merge", "walk"}
    assert {len(one.distractors) for one in drawn} == {1, 2}


def test_random_sets_have_distractors_too() -> None:
    drawn = sets(kind="random", fewest_distractors=2, most_distractors=2)
    assert {len(one.distractors) for one in drawn} == {2}
    assert {one.shape for one in drawn} == {None}


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        ({"fewest_tools": 5, "most_tools": 2}, "fewest_tools is above most_tools"),
        ({"fewest_distractors": 2}, "fewest_distractors is above most_distractors"),
        ({"size_weights": [1, 2]}, "size_weights must be 5 numbers"),
        ({"shapes": {"walk": 0, "chain": 0, "fan_out": 0, "merge": 0}}, "at least one shape"),
        ({"shapes": {"walk": -1}}, "sampler.shapes.walk"),
        ({"shapes": {"ring": 1}}, "sampler.shapes.ring"),
    ],
)
def test_what_cannot_be_meant_is_refused(sampler: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load_config(None, {"sampler": sampler})


def test_a_limit_holds_for_the_sample_catalogue_too() -> None:
    material = read_material(load_config(None, {"limit_tools": 5}))
    assert len(material.catalogue) == 5
    assert any("5 tools of the sample catalogue" in notice for notice in material.notices)
