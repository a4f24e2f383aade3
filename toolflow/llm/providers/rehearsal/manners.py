"""The templates of what people say: for each manner of speaking of a parameter, its clauses.

A template holds ``{v}`` for the value, ``{w}`` for the spoken name and ``{n}`` for the thing that is counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from toolflow.llm.providers.rehearsal.spoken import Slot
from toolflow.llm.providers.rehearsal.words import plural, singular, split_name, spoken_name

_UNITS: Final = {
    "minutes": "minutes", "mins": "minutes", "hours": "hours", "days": "days", "nights": "nights",
    "weeks": "weeks",
    "months": "months", "years": "years", "seconds": "seconds", "km": "km", "kilometers": "km",
    "miles": "miles",
    "kg": "kg", "percent": "percent", "percentage": "percent", "grams": "grams", "calories": "calories",
    "cm": "cm",
    "celsius": "degrees", "c": "degrees", "meters": "metres", "metres": "metres",
}  # fmt: skip

INLINE: Final[dict[str, tuple[str, ...]]] = {
    "city_from": ("from {v}", "leaving from {v}", "starting from {v}"),
    "airport_from": ("from {v}", "leaving from {v}"),
    "currency_from": ("from {v}",),
    "city_to": ("to {v}", "going to {v}"),
    "airport_to": ("to {v}", "going to {v}"),
    "currency_to": ("to {v}", "into {v}"),
    "city": ("in {v}",),
    "country": ("in {v}",),
    "date": ("on {v}", "for {v}"),
    "date_start": ("from {v}", "starting {v}"),
    "date_end": ("until {v}", "through {v}"),
    "check_in": ("checking in on {v}", "arriving on {v}"),
    "check_out": ("checking out on {v}", "staying until {v}"),
    "leaving": ("leaving on {v}", "departing on {v}"),
    "returning": ("coming back on {v}", "returning on {v}"),
    "time": ("at {v}",),
    "time_end": ("until {v}", "ending at {v}"),
    "moment": ("on {v}", "for {v}"),
    "moment_end": ("until {v}", "ending on {v}"),
    "people": ("for {v} {n}", "for a total of {v} {n}"),
    "measured": ("for {v} {n}", "of {v} {n}"),
    "level": ("at {v} {n}", "to {v} {n}"),
    "max_price": ("for at most {v}", "for no more than {v}", "with a budget of {v}"),
    "min_price": ("for at least {v}",),
    "topic": ("about {v}", "on the topic of {v}"),
    "keyword": ("matching {v}", "with something like {v}"),
    "street": ("at {v}", "with {v} as the address"),
    "titled": ("called {v}", "titled {v}", "named {v}"),
    "saying": ("saying {v}", "that says {v}"),
    "person": ("under the name {v}", "in the name of {v}"),
    "email": ("using {v}",),
    "room": ("in the {v}",),
    "artist": ("by {v}",),
    "author": ("by {v}",),
    "flight": ("for flight {v}",),
    "tag": ("tagged {v}",),
    "seat_class": ("in {v} class",),
    "power": ("so that it's {v}",),
    "before": ("going off {v} {n} before",),
    "language": ("in the {v} language",),
}  # fmt: skip
"""Clauses that follow a request within its sentence."""

SENTENCES: Final[dict[str, tuple[str, ...]]] = {
    "city_from": ("I'm leaving from {v}", "I'd be starting from {v}"),
    "city_to": ("I'm going to {v}",),
    "date": ("It would be on {v}", "The day is {v}"),
    "before": ("It should go off {v} {n} before",),
    "people": ("There will be {v} {n}", "It's for {v} {n}"),
    "max_price": ("I can spend at most {v}", "My budget is {v}"),
    "min_price": ("It should cost at least {v}",),
    "email": ("My email is {v}", "You can use {v}", "The email address is {v}"),
    "phone": ("The phone number is {v}", "You can use the number {v}"),
    "titled": ("Call it {v}", "The title should be {v}"),
    "saying": ("It should say {v}", "The wording is {v}"),
    "person": ("The name is {v}", "Put it under the name {v}"),
    "cuisine": ("I'm in the mood for {v}", "I'd prefer {v}"),
    "genre": ("I'm in the mood for {v}", "I'd prefer {v}"),
    "quantity": ("Make it {v}", "{v} of those is enough"),
    "reason": ("The reason is {v}", "The reason would be {v}"),
    "note": ("One note: {v}", "A note on that: {v}"),
    "keyword": ("Something like {v} is right", "The search words are {v}"),
    "expression": ("It's {v}",),
    "room": ("It's the {v}", "I mean the {v}"),
    "task": ("It's to {v}", "The {w} is to {v}"),
    "power": ("It should be {v}",),
    "specialty": ("It's about {v}", "The field is {v}"),
    "flight": ("It's flight {v}", "The flight number is {v}"),
    "language": ("{v} would be the best language",),
    "id": ("It's {w} {v}", "The {w} is {v}", "My {w} is {v}"),
}  # fmt: skip
"""Clauses that are sentences of their own."""

GENERIC: Final = (
    "The {w} is {v}",
    "The {w} should be {v}",
    "I'd go with {v} as the {w}",
)
TERSE: Final = "{w}: {v}"
"""What can be said of any parameter."""

YES: Final = ("Include {w} as well", "With {w}", "Yes to {w}")
NO: Final = ("Without {w}", "No {w} needed", "No to {w}")

_TITLE_KINDS: Final = frozenset(("title", "subject", "playlist", "task", "name", "event", "headline"))


@lru_cache(maxsize=32_768)
def manner(name: str, kind: str, json_type: str, style: str = "") -> str:
    """How a parameter is spoken of: the key of its clauses; ``generic`` where only the general ones fit."""
    words = split_name(name)
    if json_type in {"integer", "number"}:
        return _manner_of_number(name, kind)
    if json_type not in {"string", "any"}:
        return "generic"
    if style == "date-time" or kind == "datetime":
        return "moment_end" if kind in {"time_end", "date_end"} or "end" in words else "moment"
    if kind in {"date_start", "date_end"}:
        return _manner_of_date(words, kind)
    if words[-1:] == ("title",) or (
        kind in _TITLE_KINDS and words[-1] in {"name", "subject"} and len(words) > 1
    ):
        return "titled"
    kind = {"code": "id", "message": "saying"}.get(kind, kind)
    return kind if kind in INLINE or kind in SENTENCES else "generic"


def _manner_of_number(name: str, kind: str) -> str:
    unit = unit_of(name)
    if unit and kind != "before":
        return "level" if unit in {"percent", "degrees"} else "measured"
    kind = {"small": "people", "count": "people"}.get(kind, kind)
    return kind if kind in {"people", "quantity", "before", "max_price", "min_price"} else "generic"


def _manner_of_date(words: Sequence[str], kind: str) -> str:
    if {"check", "checkin", "checkout"} & set(words):
        return "check_in" if kind == "date_start" else "check_out"
    if words[0] in {"departure", "depart", "outbound", "leaving"}:
        return "leaving"
    return "returning" if words[0] in {"return", "inbound"} else kind


def unit_of(name: str) -> str:
    """The unit that a name ends in, as it is spoken; empty where it ends in none."""
    return _UNITS.get((split_name(name) or ("",))[-1], "")


@lru_cache(maxsize=16_384)
def counted(name: str) -> str:
    """The thing that a number counts: ``passenger_count`` gives ``passengers``."""
    if unit := unit_of(name):
        return unit
    if "before" in split_name(name):
        return plural(singular(split_name(name)[0]))
    words = [
        word
        for word in split_name(name)
        if word not in {"count", "number", "num", "of", "no", "total", "size", "qty"}
    ]
    noun = words[-1] if words else "people"
    return "people" if noun in {"party", "group", "people", "person", "capacity"} else plural(singular(noun))


@lru_cache(maxsize=16_384)
def spoken_parameter(name: str) -> str:
    """A parameter as a person would call it."""
    words = list(split_name(name))
    while len(words) > 1 and words[-1] in {"text", "value", "str"}:
        words.pop()
    if words[:2] in (["is"], ["has"]) or (
        len(words) > 1 and words[0] in {"is", "has", "include", "with", "needs", "add", "want"}
    ):
        words = words[1:]
    return spoken_name("_".join(words)) if words else name


def clauses(slot: Slot, *, inline: bool) -> Sequence[str]:
    """The templates with which a fact can be said, with all but the value filled in."""
    way = manner(slot.name, slot.kind, slot.type, slot.style)
    templates = (INLINE if inline else SENTENCES).get(way, () if inline else GENERIC)
    return [fill_names(template, slot) for template in templates]


def fill_names(template: str, slot: Slot) -> str:
    """A template with the spoken name and the counted thing put in."""
    return template.replace("{w}", spoken_parameter(slot.name)).replace("{n}", counted(slot.name))


def with_value(template: str, value: Any, spoken: str) -> str:
    """A clause with its value put in; one of a kind is no plural: ``for 1 guest``."""
    if str(value) in {"1", "1.0"}:
        template = _COUNTED.sub(_one_of, template)
    return template.replace("{v}", spoken)


def _one_of(found: re.Match[str]) -> str:
    return f"{{v}} {'person' if found[1] == 'people' else singular(found[1])}"


_COUNTED: Final = re.compile(r"\{v\} (\w+)")
