"""Writes JSON that is valid under a schema and believable under the names in it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from toolflow.llm.providers.rehearsal.kinds import LISTS, kind_of
from toolflow.llm.providers.rehearsal.numbers import bounded
from toolflow.llm.providers.rehearsal.scene import Scene
from toolflow.llm.providers.rehearsal.schemas import (
    as_schema,
    bound,
    choices_of,
    required_of,
    resolve,
    text_of,
    type_of,
    typed,
)
from toolflow.llm.providers.rehearsal.site import MISSING, Site, inside
from toolflow.llm.providers.rehearsal.texts import draw_text, matches
from toolflow.llm.providers.rehearsal.values import draw_kind
from toolflow.llm.providers.rehearsal.words import singular, split_name

_DEEPEST: Final = 7
_BOOLEAN_ODDS: Final = {
    "cancelled": 0.05,
    "error": 0.0,
    "more": 0.2,
    "success": 1.0,
    "ok": 1.0,
    "confirmed": 1.0,
}
_GOOD: Final = (
    "confirmed", "scheduled", "booked", "requested", "registered", "active", "accepted", "processing",
    "received", "completed", "success", "sent",
)  # fmt: skip
_BAD: Final = frozenset(("failed", "error", "rejected", "declined", "invalid", "unknown"))


def write_value(schema: Mapping[str, Any], site: Site) -> Any:
    """A value that fits the schema, as far as the usual keywords go."""
    schema = resolve(schema, site.root)
    known = site.known(site.name, site.listed) if site.name else MISSING
    if known is not MISSING and fits(known, schema, site.root):
        return known
    if isinstance(known, dict) and type_of(schema) == "object":
        site = replace(site, known=inside(known, site.known))
    choices = choices_of(schema)
    if choices:
        return _chosen(typed(choices, schema), site)
    for keyword in ("oneOf", "anyOf"):
        branches = schema.get(keyword)
        if isinstance(branches, Sequence) and branches:
            rest = {key: value for key, value in schema.items() if key != keyword}
            return write_value(_merged([rest, resolve(_best_branch(branches, site), site.root)]), site)
    if isinstance(schema.get("allOf"), Sequence) and schema["allOf"]:
        rest = {key: value for key, value in schema.items() if key != "allOf"}
        parts = [resolve(as_schema(part), site.root) for part in schema["allOf"]]
        return write_value(_merged([rest, *parts]), site)
    wanted = type_of(schema)
    if wanted == "any":
        wanted = "string"
    return _WRITERS[wanted](schema, site)


def fits(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    """Whether a known value may stand under a schema, told from type, choices and bounds."""
    schema = resolve(schema, root)
    choices = choices_of(schema)
    if choices:
        return value in choices
    wanted = type_of(schema)
    match value:
        case bool():
            return wanted in {"boolean", "any"}
        case int() | float():
            low, high = bound(schema, "minimum", -math.inf), bound(schema, "maximum", math.inf)
            typed = wanted in {"number", "any"} or (wanted == "integer" and float(value).is_integer())
            return typed and low <= value <= high
        case str():
            pattern = text_of(schema, "pattern")
            if pattern and not matches(pattern, value):
                return False
            sized = bound(schema, "minLength", 0) <= len(value) <= bound(schema, "maxLength", math.inf)
            return wanted in {"string", "any"} and sized
        case _:
            return False


def _chosen(choices: Sequence[Any], site: Site) -> Any:
    if not {"status", "state"}.isdisjoint(split_name(site.name)):
        # A service that has just done what it was asked reports a state that means success.
        good = next((one for one in _GOOD if one in choices), None)
        if good is not None:
            return good
        choices = [one for one in choices if one not in _BAD] or choices
    return site.scene.draw.choice(choices)


def _best_branch(branches: Sequence[Any], site: Site) -> Mapping[str, Any]:
    resolved = [as_schema(branch) for branch in branches]
    real = [branch for branch in resolved if resolve(branch, site.root).get("type") != "null"]
    return (real or resolved)[0]


def _merged(schemas: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    merged: dict[str, Any] = {}
    for schema in schemas:
        for key, value in schema.items():
            before = merged.get(key)
            if key == "properties" and isinstance(before, Mapping) and isinstance(value, Mapping):
                merged[key] = {**before, **value}
            elif key == "required" and isinstance(before, list):
                merged[key] = [*before, *value]
            else:
                merged[key] = value
    return merged


def _object(schema: Mapping[str, Any], site: Site) -> dict[str, Any]:
    properties = as_schema(schema.get("properties"))
    required = required_of(schema)
    written: dict[str, Any] = {}
    for name, inner in properties.items():
        # Of an object that requires nothing, the fewest are still all: an empty one would say nothing.
        bare = site.fewest and not required and site.depth < _DEEPEST - 2
        needed = name in required or bare
        if not needed and (
            site.fewest or site.depth >= _DEEPEST or (required and site.scene.draw.random() < 0.15)
        ):
            continue
        if not isinstance(inner, Mapping) and inner is not True:
            continue
        # A chain of required references that never ends cannot be satisfied: it is cut.
        if site.depth > _DEEPEST + 3:
            continue
        below = replace(
            site,
            name=name,
            holder=site.name or site.holder,
            depth=site.depth + 1,
            fewest=site.fewest or site.depth + 1 >= _DEEPEST - 2,
        )
        written[name] = write_value(as_schema(inner), below)
    for name in required:
        written.setdefault(name, draw_text(name, as_schema(schema.get("additionalProperties")), site))
    if not properties and not written and isinstance(schema.get("additionalProperties"), Mapping):
        written = _mapping(schema["additionalProperties"], site)
    return written


def _mapping(values: Mapping[str, Any], site: Site) -> dict[str, Any]:
    keys = ("standard", "express", "premium")[: site.scene.draw.randint(1, 3)]
    below = replace(site, depth=site.depth + 1)
    return {key: write_value(values, below) for key in keys} if site.depth < _DEEPEST else {}


def _array(schema: Mapping[str, Any], site: Site) -> list[Any]:
    prefix = schema.get("prefixItems")
    if isinstance(prefix, list):
        return [write_value(as_schema(one), replace(site, depth=site.depth + 1)) for one in prefix]
    known = site.known(site.name, site.listed) if site.name else MISSING
    told = known if isinstance(known, list) else []
    least = _whole(bound(schema, "minItems", 0))
    most = max(_whole(bound(schema, "maxItems", max(4, least))), least)
    told = told[:most]
    size = max(least, min(most, len(told) or site.scene.draw.randint(2, 4)))
    if site.depth >= _DEEPEST - 1:
        size = least
    elif site.fewest and not told:
        size = max(least, min(1, most))
    items = resolve(as_schema(schema.get("items")), site.root)
    entries: list[Any] = []
    for attempt in range(size * _TRIES_PER_ENTRY):
        if len(entries) == size:
            break
        known_entry = told[len(entries)] if len(entries) < len(told) and attempt < size else MISSING
        entry = _entry(items, site, len(entries), known_entry)
        # Neighbours in a list bear different names, while there are enough to choose from.
        clash = attempt < size * 2 and _name_in(entry) and _name_in(entry) in map(_name_in, entries)
        last_chance = attempt >= size * 3 and len(entries) < least and not schema.get("uniqueItems")
        if not clash and (entry not in entries or last_chance):
            entries.append(entry)
    return entries


def _entry(items: Mapping[str, Any], site: Site, place: int, known: Any) -> Any:
    """One entry of a list; an object gets a scene of its own, for entries are different things."""
    if known is not MISSING and not isinstance(known, dict) and fits(known, items, site.root):
        return known
    holds_object = type_of(items) == "object"
    below = replace(
        site,
        scene=entry_scene(site.scene, place),
        name="" if holds_object else singular(site.name),
        holder=site.name or site.holder,
        depth=site.depth + 1,
        place=place,
        listed=True,
    )
    if isinstance(known, dict):
        below = replace(below, known=inside(known, site.known))
    return write_value(items, below)


_TRIES_PER_ENTRY: Final = 6


def _whole(value: float) -> int:
    """A number of entries that can be written."""
    return int(min(max(value, 0), _MOST_ENTRIES))


def _name_in(entry: object) -> str:
    """What tells an entry from its neighbours at a glance: the first text in it that is no id."""
    if not isinstance(entry, dict):
        return ""
    return next(
        (value for name, value in entry.items() if isinstance(value, str) and kind_of(name) in _NAMING), ""
    )


_NAMING: Final = LISTS | {
    "person",
    "other_person",
    "title",
    "name",
    "product",
    "document",
    "subject",
    "weekday",
}
_MOST_ENTRIES: Final = 200


def entry_scene(scene: Scene, place: int) -> Scene:
    """A scene for one entry of a list: the same town and days, another person and product."""
    inner = Scene(random.Random(f"{scene.draw.random()}/{place}"))
    inner.settle("city", scene.place.city)
    inner.settle("date", scene.start.isoformat())
    if scene.wanted:
        inner.settle("keyword", scene.wanted)
    return inner


def _boolean(_schema: Mapping[str, Any], site: Site) -> bool:
    odds = next((odds for word, odds in _BOOLEAN_ODDS.items() if word in split_name(site.name)), 0.7)
    return site.scene.draw.random() < odds


def _number(schema: Mapping[str, Any], site: Site) -> float | int:
    drawn = draw_kind(kind_of(site.name, site.holder), site.scene)
    value = float(drawn) if isinstance(drawn, (int, float)) else float(site.scene.draw.randint(1, 100))
    return bounded(value, schema, whole=False, draw=site.scene.draw)


def _integer(schema: Mapping[str, Any], site: Site) -> int:
    drawn = draw_kind(kind_of(site.name, site.holder), site.scene)
    value = float(drawn) if isinstance(drawn, (int, float)) else float(site.scene.draw.randint(1, 60))
    if kind_of(site.name, site.holder) in {"id", "code"}:
        value = float(site.scene.draw.randint(1_000, 99_999))
    return int(bounded(value, schema, whole=True, draw=site.scene.draw))


def _string(schema: Mapping[str, Any], site: Site) -> str:
    return draw_text(site.name, schema, site)


_WRITERS: Final[Mapping[str, Callable[[Mapping[str, Any], Site], Any]]] = {
    "object": _object,
    "array": _array,
    "boolean": _boolean,
    "number": _number,
    "integer": _integer,
    "string": _string,
    "null": lambda _schema, _site: None,
}
