from __future__ import annotations

import random

import numpy as np
import pytest

from toolflow.graph.sampling.steps import by_ends


@pytest.mark.parametrize("tools", [50, 2**31 - 1])
def test_steps_are_ordered_by_source_then_target_then_place(tools: int) -> None:
    generator = random.Random(0)
    some = generator.sample(range(tools), 40)
    ends = [(generator.choice(some), generator.choice(some)) for _ in range(9_000)]
    order = by_ends(np.array([source for source, _ in ends]), np.array([target for _, target in ends]), tools)
    assert order.tolist() == sorted(range(len(ends)), key=lambda step: ends[step])
