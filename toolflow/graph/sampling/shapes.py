"""The shapes of tool sets, and how often each is drawn."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import accumulate

from toolflow.errors import GraphError
from toolflow.graph.link import Shape


@dataclass(frozen=True, slots=True)
class ShapeWeights:
    """How often tool sets are drawn in each shape, relative to each other.

    Attributes:
        walk: A random walk along links of any kind.
        chain: Each tool's result goes into the next one's call.
        fan_out: One tool's result goes into the calls of the others.
        merge: The results of the others go into one tool's call.

    Raises:
        GraphError: A weight is negative or not finite, or all are 0.
    """

    walk: float = 4
    chain: float = 3
    fan_out: float = 1.5
    merge: float = 1.5

    def __post_init__(self) -> None:
        weights = [getattr(self, field.name) for field in fields(self)]
        if not (all(0 <= weight < float("inf") for weight in weights) and any(weights)):
            raise GraphError(
                f"tool sets cannot be drawn in shapes of the weights {', '.join(map(str, weights))}",
                hint="Weights are 0 or more, and at least one is above 0.",
            )

    @classmethod
    def only(cls, shape: Shape) -> ShapeWeights:
        """Every set in one shape."""
        return cls(**{field.name: float(field.name == shape.replace("-", "_")) for field in fields(cls)})

    def cumulative(self) -> dict[Shape, float]:
        """The weight of each shape and of those before it."""
        weights = accumulate((self.walk, self.chain, self.fan_out, self.merge))
        shapes: tuple[Shape, ...] = ("walk", "chain", "fan-out", "merge")
        return dict(zip(shapes, weights, strict=True))
