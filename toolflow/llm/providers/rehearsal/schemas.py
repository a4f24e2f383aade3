"""Reads JSON Schemas: references, alternatives, the type of a value, examples told in prose."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from toolflow.catalog.schema import Validator, compile_schema
from toolflow.errors import CatalogueError

Schema = Mapping[str, Any]

_EXAMPLE: Final = re.compile(
    r"(?:\be\.?g\.?[,:]?|\bsuch as|\bfor example[,:]?|\bexamples?:?|\bex:)\s+(.{1,120}?)(?:\)|;|\.\s|\.?$)",
    re.I,
)
_SPLIT: Final = re.compile(r",\s+(?:or\s+|and\s+)?|\s+or\s+|\s+and\s+")
_QUOTED: Final = re.compile(r"""['"`‘“]([^'"`’”]{1,60})['"`’”]""")
_JSON_TYPES: Final = ("object", "array", "string", "number", "integer", "boolean", "null")


def as_schema(value: object) -> Schema:
    """The schema itself, or one that allows anything where there is none."""
    return value if isinstance(value, Mapping) else {}


def resolve(schema: Schema, root: Schema, depth: int = 0) -> Schema:
    """A schema with its ``$ref`` followed; what cannot be followed allows anything."""
    reference = schema.get("$ref")
    if not isinstance(reference, str) or depth > 8:
        return schema
    target: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        target = target.get(key) if isinstance(target, Mapping) else None
    rest = {key: value for key, value in schema.items() if key != "$ref"}
    return resolve({**as_schema(target), **rest}, root, depth + 1)


def type_of(schema: Schema) -> str:
    """The JSON type that a value should have; ``any`` where the schema leaves it open."""
    declared = schema.get("type")
    if isinstance(declared, Sequence) and not isinstance(declared, str):
        declared = next((one for one in declared if one != "null"), "null")
    if isinstance(declared, str) and declared in _JSON_TYPES:
        return declared
    for keyword, implied in (
        ("properties", "object"),
        ("items", "array"),
        ("pattern", "string"),
        ("format", "string"),
        ("minimum", "number"),
        ("maximum", "number"),
    ):
        if keyword in schema:
            return implied
    return "any"


def required_of(schema: Schema) -> tuple[str, ...]:
    """The names that an object must have; what is no name is passed over."""
    declared = schema.get("required")
    return tuple(one for one in declared if isinstance(one, str)) if isinstance(declared, list) else ()


def bound(schema: Schema, keyword: str, otherwise: float) -> float:
    """A numeric bound of a schema, or what holds where it is none."""
    value = schema.get(keyword)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else otherwise


def text_of(schema: Schema, keyword: str) -> str:
    """A keyword's text, such as the description; empty where it is none."""
    value = schema.get(keyword)
    return value if isinstance(value, str) else ""


def choices_of(schema: Schema) -> Sequence[Any]:
    """The values that a schema lists as the only ones; empty where it lists none."""
    if "const" in schema:
        return (schema["const"],)
    listed = schema.get("enum")
    return listed if isinstance(listed, Sequence) and not isinstance(listed, str) else ()


def typed(choices: Sequence[Any], schema: Schema) -> Sequence[Any]:
    """The choices of the declared type: catalogues list ``"True"`` under a boolean."""
    wanted = type_of(schema)
    fitting = [
        one
        for one in choices
        if wanted == "any" or _TYPE_NAMES.get(type(one)) in {wanted, _WIDER.get(wanted)}
    ]
    if fitting:
        return fitting
    cast = (
        [_CASTS[wanted](one) for one in choices]
        if wanted in _CASTS and all(isinstance(one, str) for one in choices)
        else []
    )
    return [one for one in cast if one is not None] or choices


_TYPE_NAMES: Final = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_WIDER: Final = {"number": "integer"}
_CASTS: Final[Mapping[str, Callable[[str], Any]]] = {
    "boolean": lambda text: {"true": True, "false": False}.get(text.lower()),
    "array": lambda text: [text],
}


@lru_cache(maxsize=16_384)
def examples_in(description: str) -> tuple[str, ...]:
    """The example values that a description tells: ``such as FL48213`` gives ``FL48213``."""
    found = _EXAMPLE.search(description)
    if found is None:
        return ()
    told = found.group(1).strip()
    quoted = _QUOTED.findall(told)
    parts: Sequence[str] = quoted or [part.strip(" '\"`") for part in _SPLIT.split(told)]
    return tuple(
        part for part in parts if part and len(part) <= 40 and part.lower() not in {"etc", "etc.", "..."}
    )[:12]


def like(example: str, draw: random.Random) -> str:
    """Another code of the shape of an example: its digits drawn anew, the rest kept."""
    first = True
    digits: list[str] = []
    for letter in example:
        if letter.isascii() and letter.isdigit():
            digits.append(str(draw.randint(1, 9) if first else draw.randint(0, 9)))
            first = False
        else:
            digits.append(letter)
    return "".join(digits)


_validators: dict[bytes, Validator | None] = {}
_VALIDATORS_KEPT: Final = 2_048


def is_valid(value: object, schema: Schema) -> bool:
    """Whether a value is valid; nothing is under a schema that is itself wrong."""
    key = msgspec.json.encode(schema)
    if key not in _validators:
        if len(_validators) >= _VALIDATORS_KEPT:
            _validators.clear()
        try:
            _validators[key] = compile_schema(schema)
        except CatalogueError:
            _validators[key] = None
    validator = _validators[key]
    return validator is not None and validator.is_valid(value)
