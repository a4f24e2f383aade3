"""Which fields of a result are worth a word, and in what currency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from toolflow.llm.providers.rehearsal.conversation import Called
from toolflow.llm.providers.rehearsal.kinds import kind_of
from toolflow.llm.providers.rehearsal.telling import is_telling, tell

_WEIGHT: Final = {
    "status": 9, "night_price": 8, "condition": 9, "temperature": 8, "total": 8, "price": 8, "amount": 8,
    "balance": 9,
    "time": 7, "datetime": 7, "date": 6,
    "time_end": 6, "rating": 6, "hotel": 7, "restaurant": 7, "film": 7, "event": 7, "person": 6,
    "street": 6, "phone": 5, "percent": 5,
    "minutes": 6, "company": 5, "airline": 6, "artist": 6, "exchange": 6, "message": 6, "description": 5,
    "amenity": 4, "hours": 4,
}  # fmt: skip


def currency_of(result: Mapping[str, Any], call: Called) -> str:
    """The currency of a result's amounts, as its code; empty where nothing tells it."""
    for source in (result, call.arguments):
        for name in ("target_currency", "currency"):
            if isinstance(source.get(name), str):
                return str(source[name])
    return ""


def worth_telling(entry: Mapping[str, Any], call: Called, used: str) -> list[tuple[str, Any]]:
    """The fields worth telling: not what the user said, not what names the entry."""
    flat: dict[str, Any] = {}
    for name, value in entry.items():
        if isinstance(value, dict):
            flat.update({inner: one for inner, one in value.items() if inner not in flat})
        else:
            flat[name] = value
    given = {str(value).lower() for value in call.arguments.values()}
    return [
        (name, value)
        for name, value in flat.items()
        if name != used
        and name not in call.arguments
        and is_telling(name, value)
        and str(value).lower() not in given
    ]


def weight_of(name: str) -> int:
    """How much a field matters to a user."""
    return _WEIGHT.get(kind_of(name), 3)


def weightiest(entry: Mapping[str, Any], call: Called, used: str, most: int) -> list[tuple[str, Any]]:
    """The weightiest fields, in the order in which they stand."""
    worth = worth_telling(entry, call, used)
    best = sorted(worth, key=lambda one: -weight_of(one[0]))[:most]
    return [one for one in worth if one in best]


def told_as(fields: Sequence[tuple[str, Any]], currency: str) -> list[str]:
    """Fields as clauses."""
    return list(dict.fromkeys(tell(name, value, currency) for name, value in fields))
