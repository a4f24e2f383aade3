"""Evolves new tools from existing ones: a sibling in the domain, or a consumer of a result nobody takes."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from toolflow.agents.voice import UnusableReply, read_json
from toolflow.catalog.tool import Tool
from toolflow.clock import derive_random
from toolflow.curation.invented import (
    InventedParameter,
    InventedTool,
    is_field_name,
    parameters_schema,
    plain_text,
    returns_schema,
    tool_format,
)
from toolflow.graph.encoder import Encoder, encode_texts
from toolflow.graph.linking.fields import Field, parameter_fields, return_fields, type_name
from toolflow.llm.chat import ResponseFormat

_NEIGHBOURS: Final = 8
_LEAVES: Final = frozenset(("string", "number", "integer"))

_FORMATS: Final = {
    "sibling": ResponseFormat("tool", tool_format(consumer=False)),
    "consumer": ResponseFormat("tool", tool_format(consumer=True)),
}


@dataclass(frozen=True, slots=True)
class Seedling:
    """What a new tool shall grow from.

    Attributes:
        draw: Its number among all draws of its seed.
        kind: A sibling of a tool, or a consumer of one of its results.
        origin: The tool.
        field: Path of the result that the consumer takes; None for a sibling.
        parameter: Name of the parameter that takes it.
        type: Its JSON type.
        neighbours: Names of other tools of the domain, which the new one must not repeat.
    """

    draw: int
    kind: Literal["sibling", "consumer"]
    origin: Tool
    field: str | None
    parameter: str | None
    type: str | None
    neighbours: tuple[str, ...]

    @property
    def response_format(self) -> ResponseFormat:
        """The format of a reply that lets it grow."""
        return _FORMATS[self.kind]

    @property
    def story(self) -> str:
        """Where the tool comes from, for its provenance."""
        of = self.origin.name if self.field is None else f"{self.origin.name}.{self.field}"
        return f"{self.kind} of {of}"


class Nursery:
    """Draws what new tools grow from.

    Args:
        tools: The catalogue; at least one tool.
        encoder: Tells which results no parameter takes.
        seed: Of every draw.
    """

    def __init__(self, tools: Sequence[Tool], encoder: Encoder, seed: int) -> None:
        self._tools = tools
        self._encoder = encoder
        self._seed = seed
        taken = [_text(field) for tool in tools for field in parameter_fields(tool)]
        self._taken = encode_texts(encoder, list(dict.fromkeys(taken)))
        self._by_category: dict[str | None, list[str]] = {}
        for tool in tools:
            self._by_category.setdefault(tool.category, []).append(tool.name)

    def draw(self, number: int) -> Seedling:
        """The seedling of a number; depends on the catalogue, the seed and the number alone."""
        chance = derive_random(self._seed, number, "evolve")
        origin = chance.choice(self._tools)
        orphans = self.orphans(origin) if chance.random() < 0.5 else ()
        neighbours = self._neighbours(origin, chance)
        if not orphans:
            return Seedling(number, "sibling", origin, None, None, None, neighbours)
        orphan = chance.choice(orphans)
        return Seedling(
            number,
            "consumer",
            origin,
            orphan.path,
            _name_of(orphan),
            _type_of(orphan, origin),
            neighbours,
        )

    def orphans(self, tool: Tool) -> tuple[Field, ...]:
        """The single values in a tool's result that no parameter of the catalogue is like."""
        values = [
            field
            for field in return_fields(tool)
            if type_name(field.types) in _LEAVES
            and not field.path.endswith("]")  # an element of a list has no name of its own
            and is_field_name(_name_of(field))
        ]
        if not values or not len(self._taken):
            return tuple(values)
        vectors = encode_texts(self._encoder, [_text(field) for field in values])
        closest = np.max(vectors @ self._taken.T, axis=1)
        return tuple(
            field for field, cosine in zip(values, closest, strict=True) if cosine < self._encoder.threshold
        )

    def _neighbours(self, origin: Tool, chance: random.Random) -> tuple[str, ...]:
        others = [name for name in self._by_category[origin.category] if name != origin.name]
        return tuple(chance.sample(others, min(_NEIGHBOURS, len(others))))


def read_tool(text: str, seedling: Seedling, provenance: dict[str, str]) -> Tool:
    """Read a model's reply.

    Args:
        text: The reply.
        seedling: What the tool grew from.
        provenance: The marks that it shall carry.

    Raises:
        UnusableReply: It is no tool that can be used.
    """
    invented = read_json(InventedTool, text)
    parameters = parameters_schema(_parameters(invented, seedling))
    return Tool(
        name=invented.name,
        description=plain_text(invented.description, "description"),
        parameters=parameters,
        returns=returns_schema(invented.returns),
        category=seedling.origin.category,
        source=seedling.origin.source,
        provenance=provenance,
    )


def _parameters(invented: InventedTool, seedling: Seedling) -> list[InventedParameter]:
    """The tool's own parameters, after the one that takes the value of its origin."""
    own = [parameter for parameter in invented.parameters if parameter.name != seedling.parameter]
    if seedling.parameter is None:
        if not own:
            raise UnusableReply(["parameters: at least one is needed"])
        return own
    if invented.takes is None:
        raise UnusableReply(["takes: is missing"])
    taken = InventedParameter.model_validate(
        {"name": seedling.parameter, "type": seedling.type, "description": invented.takes}
    )
    return [taken, *own]


def _name_of(field: Field) -> str:
    """The name of a parameter that takes the field: a bare ``id`` says too little without its parent's."""
    steps = re.sub(r"\[\]|\.\*", "", field.path).split(".")
    return "_".join(steps[-2:] if len(field.words) == 1 else steps[-1:])


def _type_of(field: Field, tool: Tool) -> str | None:
    """The field's JSON type; fields alone do not tell integers from other numbers."""
    schema: Any = tool.returns
    for step in field.path.split("."):
        for key in (step.replace("[]", ""), *["[]"] * step.count("[]")):
            inside = schema.get("items") if key == "[]" else (schema.get("properties") or {}).get(key)
            schema = inside if isinstance(inside, dict) else {}
    return "integer" if schema.get("type") == "integer" else type_name(field.types)


def _text(field: Field) -> str:
    return f"{' '.join((*field.parent, *field.words))}: {field.description}"
