"""What a model invents about tools: asked for as short lists of fields, checked, made into JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from toolflow.agents.voice import UnusableReply
from toolflow.catalog.schema import compile_schema
from toolflow.errors import CatalogueError
from toolflow.text import printable

MOST_FIELDS: Final = 12
_LONGEST_TEXT: Final = 400
_FIELD_NAME: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,39}$"
_TOOL_NAME: Final = r"^[a-z][a-z0-9_]{3,47}$"
_LEAF_TYPES: Final = ("string", "number", "integer", "boolean", "array")

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=_LONGEST_TEXT)]
FieldName = Annotated[str, StringConstraints(pattern=_FIELD_NAME)]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True)


class InventedLeaf(_Shape):
    """A field that holds no other; an array is one of strings."""

    name: FieldName
    type: Literal["string", "number", "integer", "boolean", "array"]
    description: Text


class InventedField(_Shape):
    """A field of a result; an object, or an array of objects, where it has fields of its own."""

    name: FieldName
    type: Literal["string", "number", "integer", "boolean", "array", "object"]
    description: Text
    fields: tuple[InventedLeaf, ...] = Field(default=(), max_length=MOST_FIELDS)


class InventedParameter(InventedLeaf):
    """A parameter of an invented tool."""

    required: bool = True


AnyField = TypeVar("AnyField", InventedLeaf, InventedField, InventedParameter)


class InventedTool(_Shape):
    """A tool that no catalogue has.

    Attributes:
        name: Its name.
        description: What it does.
        takes: What to pass as the parameter that was given to it; None for a sibling.
        parameters: Its own parameters.
        returns: The fields of its result.
    """

    name: Annotated[str, StringConstraints(pattern=_TOOL_NAME)]
    description: Text
    takes: Text | None = None
    parameters: tuple[InventedParameter, ...] = Field(max_length=MOST_FIELDS)
    returns: tuple[InventedField, ...] = Field(min_length=1, max_length=MOST_FIELDS)


def parameters_schema(parameters: Sequence[InventedParameter]) -> dict[str, Any]:
    """The JSON Schema of a call's arguments.

    Raises:
        UnusableReply: A text holds what no text should.
    """
    distinct = _distinct(parameters)
    required = [parameter.name for parameter in distinct if parameter.required]
    return _object({one.name: _leaf(one) for one in distinct}, required)


def returns_schema(fields: Sequence[InventedField]) -> dict[str, Any]:
    """The JSON Schema of a result that always has all its fields.

    Raises:
        UnusableReply: A field has fields that cannot have any, or a text holds what no text should.
    """
    properties = {one.name: _field(one) for one in _distinct(fields)}
    return _object(properties, list(properties))


def is_field_name(text: str) -> bool:
    """Whether an invented field may have this name."""
    return re.match(_FIELD_NAME, text) is not None


def plain_text(text: str, where: str) -> str:
    """A description as it may stand in a catalogue.

    Raises:
        UnusableReply: It holds control characters or the like.
    """
    if printable(text) != text:
        raise UnusableReply([f"{where}: holds control characters"])
    return text


def closed_object(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of an object with just these properties."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def leaf_format(**more: Any) -> dict[str, Any]:
    """The JSON Schema by which a model is asked for a field without fields."""
    properties = {
        "name": {"type": "string", "pattern": _FIELD_NAME},
        "type": {"enum": list(_LEAF_TYPES)},
        "description": text_format(),
        **more,
    }
    return closed_object(properties)


def field_format() -> dict[str, Any]:
    """The JSON Schema by which a model is asked for a field of a result."""
    properties = {
        "name": {"type": "string", "pattern": _FIELD_NAME},
        "type": {"enum": ["object", "array"]},
        "description": text_format(),
        "fields": fields_format(leaf_format()),
    }
    return {"anyOf": [leaf_format(), closed_object(properties)]}


def fields_format(field: Mapping[str, Any], fewest: int = 1) -> dict[str, Any]:
    """The JSON Schema of a list of such fields."""
    return {"type": "array", "items": field, "minItems": fewest, "maxItems": MOST_FIELDS}


def text_format() -> dict[str, Any]:
    """The JSON Schema of a description."""
    return {"type": "string", "minLength": 3, "maxLength": _LONGEST_TEXT}


def tool_format(*, consumer: bool) -> dict[str, Any]:
    """The JSON Schema by which a model is asked for a tool.

    Args:
        consumer: Whether the tool has a parameter already, of which only the description is asked for.
    """
    takes = {"takes": text_format()} if consumer else {}
    own = fields_format(leaf_format(required={"type": "boolean"}), fewest=0 if consumer else 1)
    return closed_object(
        {
            "name": {"type": "string", "pattern": _TOOL_NAME},
            "description": text_format(),
            **takes,
            "parameters": own,
            "returns": fields_format(field_format()),
        }
    )


def _field(field: InventedField) -> dict[str, Any]:
    if not field.fields:
        if field.type == "object":
            raise UnusableReply([f"{field.name}: an object must tell its fields"])
        return _leaf(field)
    if field.type not in {"object", "array"}:
        raise UnusableReply([f"{field.name}: of type {field.type!r}, it has no fields"])
    properties = {one.name: _leaf(one) for one in _distinct(field.fields)}
    inside = _object(properties, list(properties))
    described = {"type": field.type, "description": plain_text(field.description, field.name)}
    return {**inside, **described} if field.type == "object" else {**described, "items": inside}


def _leaf(field: InventedLeaf | InventedField) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": field.type,
        "description": plain_text(field.description, field.name),
    }
    return schema | ({"items": {"type": "string"}} if field.type == "array" else {})


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required}
    try:
        compile_schema(schema)
    except CatalogueError as error:
        raise UnusableReply([error.message]) from error
    return schema


def _distinct(fields: Sequence[AnyField]) -> list[AnyField]:
    """The fields without repeats, whatever their spelling: small models like to list a name again."""
    by_name: dict[str, AnyField] = {}
    for field in fields:
        by_name.setdefault(field.name.replace("_", "").casefold(), field)
    return list(by_name.values())
