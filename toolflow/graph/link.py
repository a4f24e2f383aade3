"""Links between tools, and the tool sets that samplers draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from toolflow.catalog.tool import Tool

LinkKind = Literal["return-parameter", "parameter-parameter"]


@dataclass(frozen=True, slots=True)
class Link:
    """Two tools joined by one field of each.

    Attributes:
        from_tool: Name of the producer for ``return-parameter``; for ``parameter-parameter``, which has no
            direction, of either end.
        to_tool: Name of the consumer, or of the other end.
        kind: What is joined.
        from_field: Dotted path of the joined field, arrays as ``[]``, such as ``flights[].flight_id``.
        to_field: Dotted path of the parameter it joins.
        weight: How likely the link is true, in (0, 1].
    """

    from_tool: str
    to_tool: str
    kind: LinkKind
    from_field: str
    to_field: str
    weight: float

    def to_json(self) -> dict[str, Any]:
        """The link as a JSON object with the attributes' names."""
        return {
            "from_tool": self.from_tool,
            "to_tool": self.to_tool,
            "kind": self.kind,
            "from_field": self.from_field,
            "to_field": self.to_field,
            "weight": self.weight,
        }


@dataclass(frozen=True, slots=True)
class ToolSet:
    """Tools for one dialogue.

    Attributes:
        tools: Distinct tools, in the order in which they were drawn.
        links: The links that join them, strongest first.
    """

    tools: tuple[Tool, ...]
    links: tuple[Link, ...]
