"""Links between tools, and the tool sets that samplers draw."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from toolflow.catalog.tool import Tool

LinkKind = Literal["return-parameter", "parameter-parameter"]

Shape = Literal["walk", "chain", "fan-out", "merge"]
"""How the tools of a set hang together: anyhow, in a row, around a producer, around a consumer."""


class Link(msgspec.Struct, frozen=True, gc=False):  # made by the hundred thousand a second
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


class ToolSet(msgspec.Struct, frozen=True):
    """Tools for one dialogue.

    Attributes:
        tools: Distinct tools, in the order in which they were drawn.
        links: The links that join them, strongest first.
        distractors: Tools that are offered beside them and that no plan is made for.
        shape: The shape that they were drawn in; none where they were drawn without regard to links.
    """

    tools: tuple[Tool, ...]
    links: tuple[Link, ...]
    distractors: tuple[Tool, ...] = ()
    shape: Shape | None = None

    def to_json(self) -> dict[str, Any]:
        """The set as a JSON object: the names of its tools, its links, and how it was drawn."""
        return {
            "shape": self.shape,
            "tools": [tool.name for tool in self.tools],
            "links": [link.to_json() for link in self.links],
            "distractors": [tool.name for tool in self.distractors],
        }
