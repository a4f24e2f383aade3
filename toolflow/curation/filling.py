"""Fills in what a catalogue leaves out: descriptions of tools and parameters, and return schemas."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from toolflow.agents.voice import UnusableReply, read_json
from toolflow.catalog.tool import Schema, Tool
from toolflow.curation.invented import (
    MOST_FIELDS,
    InventedField,
    Text,
    closed_object,
    field_format,
    fields_format,
    plain_text,
    returns_schema,
    text_format,
)
from toolflow.llm.chat import ResponseFormat

Fill = Literal["descriptions", "returns"]
FILLS: Final[tuple[Fill, ...]] = ("descriptions", "returns")

_MOST_DESCRIBED: Final = 40
_PARAMETER: Final = "parameters."


@dataclass(frozen=True, slots=True)
class Gaps:
    """What a tool lacks.

    Attributes:
        description: Whether it has no description.
        parameters: Its top-level parameters without one; at most 40.
        returns: Whether its return schema is not known, or tells nothing.
    """

    description: bool
    parameters: tuple[str, ...]
    returns: bool

    def __bool__(self) -> bool:
        return self.description or self.returns or bool(self.parameters)


@dataclass(frozen=True, slots=True)
class Filling:
    """What was invented for a tool.

    Attributes:
        description: Its description, or None where it had one.
        parameters: Descriptions by parameter.
        returns: Its return schema, or None where it had one.
    """

    description: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    returns: Schema | None = None


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True)
    description: Text | None = None
    parameters: dict[str, Text] = Field(default_factory=dict)
    returns: tuple[InventedField, ...] | None = Field(default=None, min_length=1, max_length=MOST_FIELDS)


def gaps_of(tool: Tool, fills: Collection[Fill]) -> Gaps:
    """What a tool lacks of what shall be filled in."""
    descriptions = "descriptions" in fills
    undescribed = [name for name, schema in tool.properties.items() if _is_undescribed(schema)]
    return Gaps(
        description=descriptions and not tool.description.strip(),
        parameters=tuple(undescribed[:_MOST_DESCRIBED]) if descriptions else (),
        returns="returns" in fills and not tool.returns,
    )


def filling_format(gaps: Gaps) -> ResponseFormat:
    """The format of a reply that fills gaps, and nothing but them."""
    properties: dict[str, Any] = {}
    if gaps.description:
        properties["description"] = text_format()
    if gaps.parameters:
        properties["parameters"] = closed_object(dict.fromkeys(gaps.parameters, text_format()))
    if gaps.returns:
        properties["returns"] = fields_format(field_format())
    return ResponseFormat("filling", closed_object(properties))


def read_filling(text: str, tool: Tool, gaps: Gaps) -> Filling:
    """Read a model's reply.

    Raises:
        UnusableReply: A gap is left, or what should fill it cannot be used.
    """
    reply = read_json(_Reply, text)
    missing = ["description"] if gaps.description and reply.description is None else []
    missing += [f"parameters.{name}" for name in gaps.parameters if name not in reply.parameters]
    missing += ["returns"] if gaps.returns and reply.returns is None else []
    if missing:
        raise UnusableReply([f"{name}: is missing" for name in missing])
    description = reply.description if gaps.description else None
    if description is not None:
        plain_text(description, "description")
        if _bare(description) == _bare(tool.name):
            raise UnusableReply(["description: only repeats the tool's name"])
    return Filling(
        description,
        {name: plain_text(reply.parameters[name], f"parameters.{name}") for name in gaps.parameters},
        returns_schema(reply.returns) if gaps.returns and reply.returns is not None else None,
    )


def fill_in(tool: Tool, filling: Filling, inventor: str) -> Tool:
    """The tool with its gaps filled, and marks of what was invented."""
    provenance = dict(tool.provenance or {})
    changes: dict[str, Any] = {}
    if filling.description is not None:
        changes["description"] = filling.description
        provenance["description"] = inventor
    if filling.parameters:
        properties = {
            name: {**schema, "description": filling.parameters[name]}
            if name in filling.parameters
            else schema
            for name, schema in tool.properties.items()
        }
        changes["parameters"] = {**tool.parameters, "properties": properties}
        provenance |= {f"{_PARAMETER}{name}": inventor for name in filling.parameters}
    if filling.returns is not None:
        changes["returns"] = filling.returns
        provenance["returns"] = inventor
    return replace(tool, **changes, provenance=provenance or None)


def filled_before(tool: Tool, earlier: Tool, inventors: Collection[str]) -> Tool | None:
    """What an earlier run made of a tool, if that is all it is: the catalogue may have changed since.

    Args:
        tool: The tool as the catalogue has it now.
        earlier: The tool of that name in the earlier run's output.
        inventors: Whose inventions are taken over.
    """
    before = tool.provenance or {}
    marks = {what: who for what, who in (earlier.provenance or {}).items() if what not in before}
    if not marks or not set(marks.values()) <= set(inventors):
        return None
    filling = Filling(
        earlier.description if "description" in marks else None,
        {
            name: str(schema.get("description"))
            for name, schema in earlier.properties.items()
            if f"{_PARAMETER}{name}" in marks
        },
        earlier.returns if "returns" in marks else None,
    )
    # Equal only if all that was not invented is still what the catalogue says.
    again = replace(fill_in(tool, filling, ""), provenance=earlier.provenance)
    return earlier if again == earlier and _fills_gaps_only(tool, filling) else None


def _fills_gaps_only(tool: Tool, filling: Filling) -> bool:
    gaps = gaps_of(tool, FILLS)
    return (
        (filling.description is None or gaps.description)
        and (filling.returns is None or gaps.returns)
        and set(filling.parameters) <= set(gaps.parameters)
    )


def _is_undescribed(schema: object) -> bool:
    # A property's schema may be true or false; then there is no place for a description.
    return isinstance(schema, Mapping) and not str(schema.get("description") or "").strip()


def _bare(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
