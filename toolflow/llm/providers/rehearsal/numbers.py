"""Numbers inside the bounds of a schema."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

from toolflow.llm.providers.rehearsal.schemas import bound


def bounded(value: float, schema: Mapping[str, Any], *, whole: bool, draw: random.Random) -> float | int:
    """The number nearest to a value that the schema allows, or any that it allows where the value is far off.

    Args:
        value: What is wanted.
        schema: Of a number.
        whole: Whether it must be an integer.
        draw: The source of chance.
    """
    step = bound(schema, "multipleOf", 1.0 if whole else 0.0)
    gap = step or 0.01
    low = max(bound(schema, "minimum", -math.inf), bound(schema, "exclusiveMinimum", -math.inf) + gap)
    high = min(bound(schema, "maximum", math.inf), bound(schema, "exclusiveMaximum", math.inf) - gap)
    if not low <= value <= high:
        top = high if math.isfinite(high) else low + max(abs(low), 10)
        bottom = low if math.isfinite(low) else high - max(abs(high), 10)
        value = draw.uniform(bottom, top) if bottom <= top else bottom
    if step > 0:
        value = round(value / step) * step
        value = math.ceil(low / step) * step if value < low else value
        value = math.floor(high / step) * step if value > high else value
    else:
        value = min(max(round(value, 4 if 0 < abs(value) < 1 else 2), low), high)
    return int(value) if whole else value
