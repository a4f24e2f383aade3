"""Where planned values come from: which field of which earlier call gives what a parameter wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec

from toolflow.llm.providers.rehearsal.arguments import FREE, names_match, wanted_names
from toolflow.llm.providers.rehearsal.intents import thing_of
from toolflow.llm.providers.rehearsal.kinds import kind_of
from toolflow.llm.providers.rehearsal.matching import Offer, offer_of
from toolflow.llm.providers.rehearsal.prompt import as_object
from toolflow.llm.providers.rehearsal.schemas import as_schema, required_of, resolve, type_of
from toolflow.llm.providers.rehearsal.spoken import Slot

_DEEPEST: Final = 5
_MOST_FIELDS: Final = 120


@dataclass(frozen=True, slots=True)
class Returned:
    """A plain value somewhere in a tool's result.

    Attributes:
        path: Its dotted path, lists as ``[]``.
        name: Its own name.
        holder: The list or object that it stands in, or what the tool is about.
        listed: Whether it stands in a list.
        certain: Whether it is required all the way.
        type: Its JSON type.
    """

    path: str
    name: str
    holder: str
    listed: bool
    certain: bool
    type: str


@dataclass(frozen=True, slots=True)
class PlannedTool:
    """A tool as the planner knows it."""

    offer: Offer
    fields: tuple[Returned, ...]

    @property
    def name(self) -> str:
        return self.offer.name


@dataclass(frozen=True, slots=True)
class Origin:
    """The field of an earlier call that gives a value; whether the entries that hold it have prices."""

    tool: str
    field: Returned
    priced: bool = False


def planned_tool(row: Mapping[str, Any]) -> PlannedTool:
    """A tool of the planner's prompt."""
    name = str(row.get("name") or "")
    offer = offer_of(name, str(row.get("description") or ""), as_object(row.get("parameters")))
    returns = row.get("returns")
    encoded = msgspec.json.encode(returns) if isinstance(returns, dict) else b"{}"
    return PlannedTool(offer, _returned(encoded, name))


@lru_cache(maxsize=4_096)
def _returned(encoded: bytes, tool: str) -> tuple[Returned, ...]:
    root = msgspec.json.decode(encoded)
    found = []
    for one in _walk(root, root, "", thing_of(tool), "", listed=False, certain=True, depth=0):
        found.append(one)
        if len(found) == _MOST_FIELDS:
            break
    return tuple(found)


def _walk(
    schema: Mapping[str, Any],
    root: Mapping[str, Any],
    path: str,
    holder: str,
    name: str,
    *,
    listed: bool,
    certain: bool,
    depth: int,
) -> Iterator[Returned]:
    schema = resolve(schema, root)
    if depth > _DEEPEST:
        return
    properties = as_schema(schema.get("properties"))
    if properties:
        required = required_of(schema)
        inner_holder = name or holder
        for inner, below in properties.items():
            step = f"{path}.{inner}" if path else inner
            yield from _walk(
                as_schema(below),
                root,
                step,
                inner_holder if not inner_holder.startswith("result") else holder,
                inner,
                listed=listed,
                certain=certain and inner in required,
                depth=depth + 1,
            )
    elif type_of(schema) == "array":
        yield from _walk(
            as_schema(schema.get("items")),
            root,
            f"{path}[]",
            holder,
            name,
            listed=True,
            certain=certain,
            depth=depth + 1,
        )
    elif name and type_of(schema) in {"string", "number", "integer"} and not path.endswith("[]"):
        yield Returned(path, name, holder, listed, certain, type_of(schema))


def origin_of(slot: Slot, tool: str, called: Sequence[PlannedTool], *, listed: bool = False) -> Origin | None:
    """The newest earlier call that returns what a parameter wants; surest fields first.

    Args:
        slot: The parameter.
        tool: Its tool.
        called: Earlier calls, oldest first.
        listed: Whether only entries of lists count.
    """
    wanted = wanted_names(slot.name, tool)
    for earlier in reversed(called):
        found = [
            field
            for field in earlier.fields
            if _agree(field.type, slot.type if not slot.many else slot.inner_type)
            and names_match(field.name, field.holder, wanted)
            and (field.listed or not listed)
        ]
        if found:
            best = min(found, key=lambda field: not field.certain)
            around = best.path.rpartition(".")[0]
            prices = [field for field in earlier.fields if field.path.rpartition(".")[0] == around]
            return Origin(
                earlier.name, best, best.listed and any(kind_of(one.name) == "price" for one in prices)
            )
    return None


def _agree(returned: str, wanted: str) -> bool:
    return wanted in {returned, "any"} or (returned == "integer" and wanted == "number")


def is_learnt(slot: Slot) -> bool:
    """Whether people leave such a value to the assistant: ids and codes they have never seen."""
    return slot.kind in {"id", "code", "uuid", "hash"} and slot.kind not in FREE
