"""Values as people write them, and back: dates, times, amounts, lists, yes and no."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Final

import msgspec

from toolflow.llm.providers.rehearsal.kinds import kind_of
from toolflow.llm.providers.rehearsal.schemas import (
    as_schema,
    choices_of,
    required_of,
    resolve,
    text_of,
    type_of,
)
from toolflow.llm.providers.rehearsal.site import MISSING
from toolflow.llm.providers.rehearsal.words import listed

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November",
    "December",
)  # fmt: skip
_ISO_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_ISO_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::00(?:\.0+)?)?(Z|[+-]\d\d:\d\d)?")
_LONG_DAY: Final = rf"(?:{'|'.join(_MONTHS)}) \d{{1,2}}, \d{{4}}"
DAY: Final = rf"(?:{_LONG_DAY}|\d{{4}}-\d\d-\d\d)"
"""A day as it is written in conversations."""
_MOMENT: Final = re.compile(rf"({DAY})(?:,? at |[T ])(\d\d:\d\d)(?::\d\d)?(Z|[+-]\d\d:\d\d)?", re.I)
_DAY: Final = re.compile(DAY, re.I)
_CLOCK: Final = re.compile(r"\d{1,2}:\d\d(?:\s?[APap][Mm])?")
_SNAKE: Final = re.compile(r"[a-z]+(?:_[a-z]+)+")
_NUMBER: Final = re.compile(r"-?[$€£]?\s?(\d[\d,]*(?:\.\d+)?)")
_AND: Final = re.compile(r",\s*(?:and\s+)?|\s+and\s+")
_YES: Final = frozenset(("yes", "true", "on", "sure", "please do", "definitely", "yes please"))
_NO: Final = frozenset(("no", "false", "off", "not needed", "no thanks"))


@dataclass(frozen=True, slots=True)
class Slot:
    """A value to be told: what a parameter's schema says that matters in talk.

    Attributes:
        name: The parameter.
        kind: What it is about.
        type: Its JSON type, or ``any``.
        choices: The allowed values, if they are listed.
        style: The schema's ``format``.
        inner: For an object, or a list of objects: the slots inside.
        many: Whether it is a list.
        inner_type: For a list of plain values: their type.
    """

    name: str
    kind: str
    type: str = "any"
    choices: tuple[Any, ...] = ()
    style: str = ""
    inner: tuple[Slot, ...] = ()
    many: bool = False
    inner_type: str = "string"

    @property
    def is_day(self) -> bool:
        return self.style == "date" or (
            not self.style and self.kind in {"date", "date_start", "date_end", "birth_date"}
        )

    @property
    def unsaid(self) -> Any:
        """What it holds where nothing is said of it: an object of which no field is known; else MISSING."""
        if self.inner or "object" not in {self.type, self.inner_type}:
            return MISSING
        return [{}] if self.many else {}

    @property
    def is_moment(self) -> bool:
        return self.style == "date-time" or (not self.style and self.kind == "datetime")


def slot_of(
    name: str, schema: Mapping[str, Any], root: Mapping[str, Any], holder: str = "", depth: int = 0
) -> Slot:
    """The slot of a parameter."""
    schema = resolve(schema, root)
    for keyword in ("anyOf", "oneOf", "allOf"):
        branches = schema.get(keyword)
        if isinstance(branches, list) and branches:
            real = [one for one in map(as_schema, branches) if one.get("type") != "null"] or [{}]
            schema = {**schema, **resolve(real[0], root)}
    kind, json_type = kind_of(name, holder), type_of(schema)
    items = resolve(as_schema(schema.get("items")), root) if json_type == "array" else schema
    properties = as_schema(items.get("properties")) if depth < 3 else {}
    required = required_of(items) or tuple(properties)
    inner = tuple(
        slot_of(inside, as_schema(one), root, name, depth + 1)
        for inside, one in properties.items()
        if inside in required
    )
    choices = tuple(choices_of(items))
    return Slot(
        name,
        kind,
        json_type,
        choices if all(isinstance(one, (str, int, float, bool)) for one in choices) else (),
        text_of(schema, "format"),
        inner,
        json_type == "array",
        type_of(items) if json_type == "array" else "string",
    )


def slot_for(name: str, value: Any) -> Slot:
    """The slot that a value would fill: what can be told without its schema."""
    json_type = {
        bool: "boolean",
        int: "integer",
        float: "number",
        str: "string",
        list: "array",
        dict: "object",
    }.get(type(value), "any")
    style = ""
    if isinstance(value, str):
        style = "date-time" if (found := _ISO_MOMENT.fullmatch(value)) and found.group(3) else ""
        style = "date" if _ISO_DAY.fullmatch(value) else style
    entry = value[0] if isinstance(value, list) and value else value
    inner = tuple(slot_for(name, one) for name, one in entry.items()) if isinstance(entry, dict) else ()
    inner_type = slot_for("", entry).type if isinstance(value, list) and value else "string"
    return Slot(name, kind_of(name), json_type, (), style, inner, isinstance(value, list), inner_type)


def say(value: Any, *, long_dates: bool = True) -> str:
    """A value as a person would write it; :func:`unsay` gives it back."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() else str(value)
        case str():
            return _say_text(value, long_dates=long_dates)
        case list() if value and all(isinstance(one, (str, int, float)) for one in value):
            return listed([say(one, long_dates=long_dates) for one in value])
        case _:
            return msgspec.json.encode(value).decode()


def _say_text(text: str, *, long_dates: bool) -> str:
    if _ISO_DAY.fullmatch(text):
        return long_day(text) if long_dates else text
    moment = _ISO_MOMENT.fullmatch(text)
    if moment:
        day = long_day(moment.group(1)) if long_dates else moment.group(1)
        return f"{day} at {moment.group(2)}"
    return text.replace("_", " ") if _SNAKE.fullmatch(text) else text


def long_day(text: str) -> str:
    """``2026-03-14`` as ``March 14, 2026``; other text as it is."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return text
    return f"{_MONTHS[day.month - 1]} {day.day}, {day.year}"


def _short_day(text: str) -> str | None:
    """A written day as ISO."""
    if _ISO_DAY.fullmatch(text):
        return text
    month, day, year = text.replace(",", "").split()
    number = next(place for place, name in enumerate(_MONTHS, 1) if name.lower() == month.lower())
    return f"{year}-{number:02d}-{int(day):02d}"


def unsay(text: str, slot: Slot) -> Any:  # noqa: PLR0911  one return a type
    """The value that was said for a slot, or MISSING where the text is none that fits."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not text:
        return MISSING
    if slot.choices and not slot.many:
        return _choice(text, slot.choices)
    match slot.type:
        case "boolean":
            plain = text.lower()
            return True if plain in _YES else False if plain in _NO else MISSING
        case "integer" | "number":
            return _number(text, whole=slot.type == "integer")
        case "array":
            return _entries(text, slot)
        case "object":
            value = _json(text)
            return value if isinstance(value, dict) else MISSING
        case _:
            return _text(text, slot)


def _text(text: str, slot: Slot) -> Any:
    moment, day = _MOMENT.fullmatch(text), _DAY.fullmatch(text)
    if slot.is_moment or (moment and slot.kind in _TIMES and slot.style in {"", "date-time"}):
        if moment is None:
            return MISSING
        zone = moment.group(3) or ("Z" if slot.style == "date-time" else "")
        return f"{_short_day(moment.group(1))}T{moment.group(2)}:00{zone}"
    if slot.is_day or day:
        if day:
            return _short_day(text) if slot.is_day or slot.type == "any" or slot.kind in _TIMES else MISSING
        # A catalogue may want days written in its own way: digits and separators pass as they are.
        return text if re.fullmatch(r"[\d./-]{6,10}", text) else MISSING
    if slot.kind in _TIMES or slot.kind in SITES:  # "at 09:15" says when, and not where
        return text if (_CLOCK.fullmatch(text) is not None) == (slot.kind in _TIMES) else MISSING
    return text


_TIMES: Final = frozenset(("time", "time_end", "datetime"))
SITES: Final = frozenset(("street", "city", "city_from", "city_to", "venue", "place_name", "stop"))
"""Kinds that say where."""


def _choice(text: str, choices: Sequence[Any]) -> Any:
    plain = _plain(text)
    return next((one for one in choices if plain in {_plain(str(one)), _plain(say(one))}), MISSING)


@lru_cache(maxsize=8_192)
def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", " ", text).strip().lower()


def _number(text: str, *, whole: bool) -> Any:
    found = _NUMBER.match(text)
    if found is None:
        return MISSING
    digits = found.group(1).replace(",", "")
    value = -float(digits) if text.startswith("-") else float(digits)
    if value.is_integer() and (whole or "." not in digits):
        return int(value)
    return MISSING if whole else value


def _entries(text: str, slot: Slot) -> Any:
    value = _json(text)
    if isinstance(value, list):
        return value
    inner = Slot(slot.name, slot.kind, slot.inner_type, slot.choices)
    entries = [unsay(part, inner) for part in _AND.split(text) if part.strip()]
    return MISSING if MISSING in entries or not entries else entries


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


_EITHER: Final = re.compile(r"\b(\w+) or (\w+)\b")  # who says "on or off" has chosen neither


@lru_cache(maxsize=8_192)
def _plain_set(choices: tuple[Any, ...]) -> frozenset[str]:
    return frozenset(_plain(str(one)) for one in choices)


def mentions(text: str, slot: Slot) -> Any:
    """The one allowed value that a text mentions as whole words, or MISSING for none or several."""
    plain = f" {_plain(re.sub(r'[^A-Za-z0-9_ -]', ' ', text))} "
    plain = _EITHER.sub(
        lambda pair: " " if {pair[1], pair[2]} <= _plain_set(slot.choices) else pair[0], plain
    )
    found = [
        one for one in slot.choices if isinstance(one, str) and len(one) > 2 and f" {_plain(one)} " in plain
    ]
    if len(found) > 1:  # "premium economy" also mentions "economy"
        longest = max(found, key=len)
        found = [one for one in found if one == longest or _plain(one) not in _plain(longest)]
    return found[0] if len(found) == 1 else MISSING
