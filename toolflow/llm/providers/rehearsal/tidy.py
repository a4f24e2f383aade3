"""Makes the fields of a result agree: ends after beginnings, counts that count, amounts that add up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from toolflow.llm.providers.rehearsal.kinds import kind_of
from toolflow.llm.providers.rehearsal.sums import UNIT_PRICES, add_up, is_number
from toolflow.llm.providers.rehearsal.words import singular, split_name
from toolflow.llm.providers.rehearsal.world import World

_PAIRS: Final = (
    ("departure", "arrival"),
    ("start", "end"),
    ("opens", "closes"),
    ("from", "until"),
    ("earliest", "latest"),
    ("pickup", "dropoff"),
    ("low", "high"),
    ("min", "max"),
    ("begin", "end"),
)
_LIMITS: Final = (
    "max_results",
    "limit",
    "count",
    "top",
    "top_k",
    "size",
    "per_page",
    "page_size",
    "num_results",
)


_FREEZING: Final = frozenset(("snow", "snowy", "sleet", "ice", "icy", "blizzard"))
_FAHRENHEIT: Final = frozenset(("f", "fahrenheit"))
_MELTS: Final = 2
_SPREAD: Final = 6


def tidy(value: Any, world: World, minutes: int = 90) -> None:
    """Correct a result in place.

    Args:
        value: The result.
        world: Tells what the call is about.
        minutes: How long something lasts that does not say.
    """
    if isinstance(value, list):
        for one in value:
            tidy(one, world, minutes)
        return
    if not isinstance(value, dict):
        return
    for inner in value.values():
        if isinstance(inner, list):
            _cut(inner, world.arguments)
            _keep_in_range(inner, world.arguments)
            _sort(inner)
        tidy(inner, world, _minutes(value, minutes))
    _weather(value)
    _order(value, _minutes(value, minutes))
    _count(value, world)
    add_up(value, world)


def _minutes(value: Mapping[str, Any], otherwise: int) -> int:
    told = next(
        (one for name, one in value.items() if name.endswith("minutes") and isinstance(one, int)), otherwise
    )
    return max(told, 15)


def _cut(entries: list[Any], arguments: Mapping[str, Any]) -> None:
    for name in _LIMITS:
        limit = arguments.get(name)
        if isinstance(limit, int) and 0 < limit < len(entries):
            del entries[limit:]


def _keep_in_range(entries: list[Any], arguments: Mapping[str, Any]) -> None:
    """What costs more than was allowed would not be listed: its price is brought below."""
    most = next(
        (
            value
            for name, value in arguments.items()
            if kind_of(name) == "max_price" and isinstance(value, (int, float))
        ),
        None,
    )
    for place, entry in enumerate(entries):
        if most is None or not isinstance(entry, dict):
            continue
        for name in UNIT_PRICES:
            if isinstance(entry.get(name), (int, float)) and entry[name] > most:
                entry[name] = round(most * (0.95 - 0.11 * (place % 5)), 0)


def _sort(entries: list[Any]) -> None:
    """Services list by price, or by time; the values move, the entries keep their own."""
    if not all(isinstance(one, dict) for one in entries):
        return
    for name in ("price", "price_per_night", "start_time", "departure_time"):
        if all(isinstance(one.get(name), (int, float)) for one in entries):
            entries.sort(key=lambda one: one[name])
            return


def _order(value: dict[str, Any], minutes: int) -> None:
    names = list(value)
    for first, last in _PAIRS:
        for begin in names:
            if first not in split_name(begin):
                continue
            end = begin.replace(first, last)
            if end == begin or end not in value:
                continue
            _put_in_order(value, begin, end, minutes)


def _put_in_order(value: dict[str, Any], begin: str, end: str, minutes: int) -> None:
    low, high = value[begin], value[end]
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and not isinstance(low, bool):
        value[begin], value[end] = min(low, high), max(low, high)
    elif isinstance(low, str) and isinstance(high, str) and "T" in low and "T" in high:
        try:
            start, stop = datetime.fromisoformat(low), datetime.fromisoformat(high)
            if (start.tzinfo is None) == (stop.tzinfo is None) and (
                stop <= start or stop - start > timedelta(hours=12)
            ):
                value[end] = (start + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
        except ValueError:
            return
    elif isinstance(low, str) and isinstance(high, str) and kind_of(begin) == kind_of(end) and low > high:
        value[begin], value[end] = high, low


def _weather(value: dict[str, Any]) -> None:
    """It does not snow at 20 degrees, and feels about as warm as it is."""
    told = {name: split_name(name) for name, one in value.items() if is_number(one)}
    degrees = [name for name in told if kind_of(name) == "temperature" and told[name][-1] not in _FAHRENHEIT]
    air = next((name for name in degrees if "feels" not in told[name]), None)
    if air is None:
        return
    sky = next((one for name, one in value.items() if kind_of(name) == "condition"), "")
    for name in degrees:
        if not _FREEZING.isdisjoint(str(sky).lower().split()) and value[name] > _MELTS:
            value[name] = value[name] % _SPREAD - _SPREAD / 2
        if "feels" in told[name] and abs(value[name] - value[air]) > _SPREAD:
            value[name] = value[air] - abs(value[name]) % _SPREAD


def _count(value: dict[str, Any], world: World) -> None:
    lists = {name: one for name, one in {**world.arguments, **value}.items() if isinstance(one, list)}
    for name, told in value.items():
        if isinstance(told, bool) or not isinstance(told, int) or name in world.arguments:
            continue
        words = split_name(name)
        if words == ("total", "results") or words in {("total",), ("count",), ("total", "count")}:
            if len(lists) == 1:
                value[name] = len(next(iter(lists.values())))
        elif words[-1:] == ("count",):
            for listed, entries in lists.items():
                if singular(split_name(listed)[-1]) == words[0] and len(words) == 2:
                    value[name] = len(entries)
    if lists and value.get("has_more") is True:
        value["has_more"] = False
