"""Fields of results as clauses of English: ``price_per_night: 120`` as ``the price per night is $120``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from toolflow.llm.providers.rehearsal.kinds import kind_of
from toolflow.llm.providers.rehearsal.spoken import long_day
from toolflow.llm.providers.rehearsal.words import (
    is_plural,
    listed,
    plural,
    singular,
    split_name,
    spoken_name,
)

_SYMBOLS: Final = {"USD": "$", "EUR": "€", "GBP": "£"}
_MONEY: Final = frozenset(
    ("price", "night_price", "total", "amount", "balance", "salary", "min_price", "max_price")
)
_SKIPPED: Final = frozenset(
    (
        "id",
        "uuid",
        "hash",
        "latitude",
        "longitude",
        "url",
        "image_url",
        "page",
        "limit",
        "timezone",
        "currency",
        "country_code",
        "datetime_made",
    )
)
_NOISE: Final = frozenset(
    "has more|total results|total|page|limit|offset|next page|success|ok|currency|created at|updated "
    "at|observed at|cancelled at|deleted at|sent at|booked at|saved at|count|"
    "snippet|message id|language code".split("|")
)
_UNIT_WORDS: Final = {
    "minutes": "minutes", "seconds": "seconds", "hours": "hours", "percent": "percent", "c": "°C",
    "kph": "km/h", "km": "km", "kg": "kg",
    "mm": "mm", "cm": "cm", "kb": "KB", "mb": "MB", "days": "days", "nights": "nights", "miles": "miles",
    "celsius": "°C",
}  # fmt: skip
_TEMPERATURES: Final = frozenset(("temperature",))
_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?")
_ISO_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_SNAKE: Final = re.compile(r"[a-z]+(?:_[a-z]+)+")
_LONG: Final = 160
_LABELS: Final = frozenset(("name", "title", "headline", "label", "subject"))


def is_money(name: str) -> bool:
    """Whether numbers under a name are amounts of money."""
    return kind_of(name) in _MONEY


def shown(name: str, value: Any, currency: str = "") -> str:
    """A value as it is written in an answer."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return _figure(name, value, currency)
        case str():
            return _text(value)
        case list():
            return listed(
                [
                    shown(singular(name), one, currency)
                    for one in value[:4]
                    if not isinstance(one, (dict, list))
                ]
            )
        case _:
            return ""


def _figure(name: str, value: float, currency: str) -> str:
    if is_money(name):
        plain = f"{value:,.2f}".removesuffix(".00")
        symbol = _SYMBOLS.get(currency, "" if currency else "$")
        return f"{symbol}{plain}" if symbol else f"{plain} {currency}"
    words = split_name(name)
    unit = _UNIT_WORDS.get(words[-1] if words else "", "")
    plain = f"{int(value):,}" if float(value).is_integer() else f"{value:g}"
    if kind_of(name) in {"year", "id", "code"}:
        plain = str(value)
    if unit:
        return f"{plain} {unit[:-1] if value == 1 and unit.endswith('s') else unit}"
    return plain


def _text(value: str) -> str:
    moment = _MOMENT.fullmatch(value)
    if moment:
        return f"{long_day(moment.group(1))} at {moment.group(2)}"
    if _ISO_DAY.fullmatch(value):
        return long_day(value)
    if _SNAKE.fullmatch(value):
        return value.replace("_", " ")
    value = value.removesuffix(".") if value.count(".") == 1 else value
    return value if len(value) <= _LONG else f"{value[:_LONG].rsplit(' ', 1)[0]} …"


def is_telling(name: str, value: Any) -> bool:
    """Whether a field is worth a word to a user."""
    if value is None or value in ("", [], {}) or isinstance(value, dict):
        return False
    if isinstance(value, list):
        return all(not isinstance(one, (dict, list)) for one in value)
    words = " ".join(split_name(name))
    return words not in _NOISE and kind_of(name) not in _SKIPPED and not words.endswith((" id", " ids"))


def tell(name: str, value: Any, currency: str = "") -> str:  # noqa: PLR0911  one return a kind of field
    """A field as a clause without capital or full stop."""
    noun = noun_of(name)
    if isinstance(value, bool):
        return _yes_or_no(name, value)
    text = shown(name, value, currency)
    kind = kind_of(name)
    if isinstance(value, list):
        return f"the {plural(noun)} are {text}" if len(value) > 1 else f"the {noun} is {text}"
    if isinstance(value, str):
        return _tell_text(name, value)
    words = split_name(name)
    if words[:2] == ("feels", "like"):
        return f"it feels like {text}"
    if words[-1] == "count" or words[:2] == ("number", "of") or words[-1] == "left":
        thing = " ".join(word for word in words if word not in {"count", "number", "of", "left"}) or "item"
        counted = singular(thing) if value == 1 else plural(singular(thing))
        return (
            f"there {'is' if value == 1 else 'are'} {text} {counted}{' left' if words[-1] == 'left' else ''}"
        )
    if kind == "rating" and isinstance(value, (int, float)):
        return (
            f"it's rated {text}"
            if words[-1] in {"rating", "stars"} and "star" not in words
            else f"it has {text} stars"
        )
    return f"the {noun} is {text}"


def _tell_text(name: str, value: str) -> str:
    noun, text, kind = noun_of(name), _text(value), kind_of(name)
    if _CLOCKED.fullmatch(value) and split_name(name)[-1:] in {("at",), ("from",), ("by",), ("until",)}:
        return _when(name, text)
    if kind == "message" and " " in text:
        return f'the {noun} says "{text}"'
    if kind == "condition":
        return f"it's {text}" if len(text.split()) < 4 else f"the {noun} is {text}"
    if kind == "status" or split_name(name)[-1:] in {("status",), ("state",)}:
        return f"it's {text}" if " " not in text or "_" in value else f"the {noun} is {text}"
    return f"the {noun} {'are' if is_plural(noun.split()[-1]) else 'is'} {text}"


def _when(name: str, text: str) -> str:
    """``opens_at`` as ``it opens at 09:00``, ``check_in_from`` as ``check-in is from 15:00``."""
    *words, joint = split_name(name)
    verb = words[-1] if words else ""
    moment = joint == "at" and " at " in text
    if verb.endswith("s"):
        return f"it {verb} {'on' if moment else joint} {text}"
    if verb in _NOUNS:
        return f"the {_NOUNS[verb]} is {'on' if moment else joint} {text}"
    if verb not in _STATES and not verb.endswith("ed"):
        return f"the {verb} time is {text}"
    if len(words) > 1 or joint != "at":
        return f"{'-'.join(words)} is {joint} {text}"
    return f"it {'was' if verb.endswith('ed') else 'will be'} {verb} {'on' if moment else joint} {text}"


_NOUNS: Final = {"leave": "departure", "arrive": "arrival", "remind": "reminder"}
_STATES: Final = frozenset(("ready", "due", "available", "sent", "open", "free", "in", "out"))


_CLOCKED: Final = re.compile(r"(?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d.*|\d{4}-\d\d-\d\d")


def noun_of(name: str) -> str:
    """A field as a noun, without the unit that its value is shown with."""
    words = list(split_name(name))
    while len(words) > 1 and (words[-1] in _UNIT_WORDS or words[-1] in {"text", "value", "at"}):
        words.pop()
    if words[-1] in {"flight", "travel", "wait", "walk"} and len(words) < len(split_name(name)):
        words.append("time")
    return spoken_name("_".join(words))


def _yes_or_no(name: str, value: bool) -> str:  # noqa: FBT001  the field's value itself
    words = [
        word
        for word in split_name(name)
        if word not in {"is", "has", "includes", "include", "are", "can", "offers"}
    ]
    noun = " ".join(words) or name
    last = words[-1] if words else ""
    if (
        last.endswith(("ed", "able", "ible", "free", "open", "online", "full", "in", "new", "read", "only"))
        or len(words) == 1
    ):
        subject = f"the {' '.join(words[:-1])} is" if len(words) > 1 else "it's"
        return f"{subject} {'' if value else 'not '}{last}"
    return f"{noun} {'is' if not is_plural(last) else 'are'} {'included' if value else 'not included'}"


def label_of(entry: Mapping[str, Any], holder: str = "") -> tuple[str, str]:
    """The name by which an entry is called, and the field that holds it; empty where nothing names it."""
    texts = [(name, value) for name, value in entry.items() if isinstance(value, str) and value]
    for name, value in texts:
        words = split_name(name)
        if words[-1] in _LABELS and kind_of(name, holder) not in {"status", "datetime"}:
            return _text(value), name
    for name, value in texts:
        if split_name(name)[-1] in {"number", "code", "reference"} and split_name(name)[0] not in {
            "phone",
            "country",
            "currency",
        }:
            return _text(value), name
    telling = [
        (name, value) for name, value in texts if is_telling(name, value) and kind_of(name) != "status"
    ]
    if not telling:
        return "", ""
    name, value = min(telling, key=lambda one: kind_of(one[0]) != "email")
    return _text(value), name
