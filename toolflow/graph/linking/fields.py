"""The fields of a tool: what a call takes and what its result holds, flattened to dotted paths."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from toolflow.catalog.tool import Schema, Tool
from toolflow.graph.linking.words import normal_words, split_identifier

Progress = Callable[[str, int, int], None]
"""Called with the stage of a work, how much of it is done, and of how much."""

_TYPE_BITS: Final[Mapping[str, int]] = {
    "string": 1,
    "number": 2,
    "integer": 2,
    "boolean": 4,
    "array": 8,
    "object": 16,
}
_TYPE_NAMES: Final[Mapping[int, str]] = {bit: name for name, bit in _TYPE_BITS.items() if name != "integer"}
ANY_TYPE: Final = 31
"""The type bits of a field whose schema does not tell its type: it may join anything."""
BOOLEAN: Final = 4
"""The type bits of a field that can only be true or false."""

_COMPOSING = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
_MOST_FIELDS = 256
_MOST_STEPS = 4_096
_DEEPEST = 10
_LONGEST_NAME = 200
_LONGEST_DESCRIPTION = 200


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter, or one named value inside a result.

    Attributes:
        path: Where it stands, such as ``passengers[].first_name``; ``[]`` is any element, ``.*`` any key.
        words: Normal words of its own name, the last named step of the path; may be empty.
        parent: Normal words of the named step before it; empty at the top level.
        description: Its description, cut to what an encoder should see.
        types: Which JSON types it can have, as bits: two fields are compatible where their bits meet.
        required: Whether the schema requires it and all that it stands in.
    """

    path: str
    words: tuple[str, ...]
    parent: tuple[str, ...]
    description: str
    types: int
    required: bool


def parameter_fields(tool: Tool) -> tuple[Field, ...]:
    """The parameters of a tool, nested ones with their path, shallow ones first; at most 256."""
    return _flatten(tool.parameters)


def in_context(fields: tuple[Field, ...], tool: Tool) -> tuple[Field, ...]:
    """The fields with the name of their tool behind their descriptions: equal ones of two tools differ."""
    of_tool = f"of {' '.join(split_identifier(tool.name))}"
    return tuple(
        replace(field, description=f"{field.description}, {of_tool}" if field.description else of_tool)
        for field in fields
    )


def read_fields(
    tools: Sequence[Tool], progress: Progress, *, with_tool: bool = False
) -> tuple[list[tuple[Field, ...]], list[tuple[Field, ...]]]:
    """The parameters and the returns of every tool, told apart by their tools if wanted."""
    taken: list[tuple[Field, ...]] = []
    given: list[tuple[Field, ...]] = []
    for done, tool in enumerate(tools, 1):
        for fields, found in ((parameter_fields(tool), taken), (return_fields(tool), given)):
            found.append(in_context(fields, tool) if with_tool else fields)
        progress("reading fields", done, len(tools))
    return taken, given


def return_fields(tool: Tool) -> tuple[Field, ...]:
    """The named values in a tool's result, containers too, shallow ones first; at most 256.

    Empty where no return schema is known or the result has no names (a bare string).
    """
    return () if tool.returns is None else _flatten(tool.returns)


def bare_types(tool: Tool) -> int:
    """The type bits of a result without names: of a bare value, and of the elements if it is a list.

    Any type where the result is not known or may hold named values.
    """
    return ANY_TYPE if tool.returns is None else _bare_types(tool.returns, tool.returns, _DEEPEST)


def _bare_types(schema: Schema, root: Schema, depth: int) -> int:
    types = 0
    for variant in _variants(schema, root, frozenset())[0]:
        of_variant = _type_bits(variant)
        if of_variant & _TYPE_BITS["array"]:
            inner = variant.get("items")
            of_variant |= (
                _bare_types(inner, root, depth - 1) if isinstance(inner, dict) and depth else ANY_TYPE
            )
        types |= of_variant
    return ANY_TYPE if not types or types & _TYPE_BITS["object"] else types


def type_name(types: int) -> str | None:
    """The one JSON type that type bits stand for; None for several or none."""
    return _TYPE_NAMES.get(types)


class _Step(NamedTuple):
    """A schema that is still to be flattened, and how it was reached; a tuple, as there are very many."""

    schema: Schema
    path: str = ""
    words: tuple[str, ...] = ()
    parent: tuple[str, ...] = ()
    required: bool = True
    description: str = ""
    depth: int = 0
    references: frozenset[str] = frozenset()


def _flatten(root: Schema) -> tuple[Field, ...]:
    """Breadth first, so that the bound on the number of fields cuts the deepest."""
    found: dict[str, Field] = {}
    steps = deque([_Step(root)])
    for _ in range(_MOST_STEPS):
        if not steps or len(found) >= _MOST_FIELDS:
            break
        step = steps.popleft()
        variants, references = _variants(step.schema, root, step.references)
        if step.words:
            _add(found, step, variants)
        if step.depth < _DEEPEST:
            for schema in variants:
                steps.extend(_inside(schema, step, references))
    return tuple(found.values())


def _add(found: dict[str, Field], step: _Step, variants: list[Schema]) -> None:
    """Variants of a schema (``anyOf``) may reach one path more than once: what they say is merged."""
    types = 0
    description = ""
    for schema in variants:
        types |= _type_bits(schema)
        description = description or _short(schema.get("description"))
    description = description or step.description
    known = found.get(step.path)
    if known is not None:
        types |= known.types
        description = known.description or description
    found[step.path] = Field(step.path, step.words, step.parent, description, types, step.required)


def _variants(
    schema: Schema, root: Schema, references: frozenset[str]
) -> tuple[list[Schema], frozenset[str]]:
    """The plain schemas that a schema stands for: itself, what it refers to, and what it combines.

    ``references`` are those followed on the way here; they come back with those followed now. None is
    followed twice: a schema may refer to itself.
    """
    variants = [schema]
    if _COMPOSING.isdisjoint(schema):
        return variants, references
    followed = set(references)
    for variant in variants:  # grows while it is read
        reference = variant.get("$ref")
        if isinstance(reference, str) and reference not in followed:
            followed.add(reference)
            target = _resolve(reference, root)
            if target is not None:
                variants.append(target)
        for keyword in ("allOf", "anyOf", "oneOf"):
            parts = variant.get(keyword)
            if isinstance(parts, list):
                variants.extend(part for part in parts if isinstance(part, dict))
    return variants, frozenset(followed)


def _resolve(reference: str, root: Schema) -> Schema | None:
    """What a reference inside the schema points to (RFC 6901); None for any other reference."""
    if reference == "#":
        return root
    if not reference.startswith("#/"):
        return None
    target: Any = root
    for part in reference[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(target, dict):
            target = target.get(key)
        elif isinstance(target, list) and key.isdecimal() and len(key) < 10 and int(key) < len(target):
            target = target[int(key)]
        else:
            return None
    return target if isinstance(target, dict) else None


def _inside(schema: Schema, step: _Step, references: frozenset[str]) -> Iterator[_Step]:
    """What stands inside an object or an array."""
    properties = schema.get("properties")
    required = schema.get("required")
    if isinstance(properties, dict):
        for full_name, inner in properties.items():
            if isinstance(inner, dict):
                name = str(full_name)[:_LONGEST_NAME]
                yield _Step(
                    inner,
                    path=f"{step.path}.{name}" if step.path else name,
                    words=normal_words(name),
                    parent=step.words,
                    required=step.required and isinstance(required, list) and full_name in required,
                    depth=step.depth + 1,
                    references=references,
                )
    # Elements bear the name of what holds them: `flight_ids[]` is a flight id.
    description = _short(schema.get("description")) or step.description
    for keyword, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        inner = schema.get(keyword)
        if isinstance(inner, dict):
            yield _Step(
                inner,
                path=step.path + suffix,
                words=step.words,
                parent=step.parent,
                required=step.required,
                description=description,
                depth=step.depth + 1,
                references=references,
            )


def _type_bits(schema: Schema) -> int:
    declared = schema.get("type")
    if isinstance(declared, str):
        return _TYPE_BITS.get(declared, 0)
    names = declared if isinstance(declared, list) else []
    return sum({_TYPE_BITS.get(name, 0) for name in names if isinstance(name, str)})


def _short(description: object) -> str:
    """The start of a description, blanks folded; cut before the folding, as it may be of any length."""
    if not isinstance(description, str):
        return ""
    return " ".join(description[: 2 * _LONGEST_DESCRIPTION].split())[:_LONGEST_DESCRIPTION]
