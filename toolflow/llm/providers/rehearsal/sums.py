"""Makes the amounts of a result agree: with prices and counts, and with what was paid before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final, TypeGuard

from toolflow.llm.providers.rehearsal.kinds import kind_of
from toolflow.llm.providers.rehearsal.lexicon import rates
from toolflow.llm.providers.rehearsal.site import MISSING
from toolflow.llm.providers.rehearsal.words import split_name
from toolflow.llm.providers.rehearsal.world import World, own_id

UNIT_PRICES: Final = ("price", "price_per_night", "fare", "unit_price", "price_per_ticket", "rate")
"""Fields that tell what one of something costs."""

_TOTALS: Final = ("amount", "total", "total_price", "total_amount", "total_cost")
_COUNTS: Final = (
    "ticket_count",
    "quantity",
    "passenger_count",
    "number_of_tickets",
    "travelers",
    "passengers",
    "num_tickets",
)
_FEES: Final = ("fee", "cancellation_fee", "penalty")
_ADDING: Final = frozenset(("deposit", "add", "receive", "top", "refund"))


def add_up(value: dict[str, Any], world: World) -> None:
    """Correct the amounts of an object in place.

    Args:
        value: The object.
        world: Tells what the call is about.
    """
    _total(value, world)
    _refund(value, world)
    _balance(value, world)
    _flows(value)
    _convert(value, world)


def _total(value: dict[str, Any], world: World) -> None:
    total = next((name for name in _TOTALS if is_number(value.get(name))), None)
    if total is None or total in world.arguments:
        return
    thing = own_id(value)
    if thing in world.arguments and is_number(world.about(total)):
        return  # what a known thing comes to was told before
    amount = _of_items(value, world)
    if amount is None:
        price = _price(value, world)
        amount = None if price is None else price * _units(value, world)
    if amount is not None:
        _put(value, total, amount)


def _of_items(value: Mapping[str, Any], world: World) -> float | None:
    """What the listed items come to; None where none are listed or a price is not known."""
    for listed in (*value.values(), *world.arguments.values()):
        if isinstance(listed, list) and listed and all(isinstance(item, dict) for item in listed):
            costs = [_cost(item, world) for item in listed]
            known = [cost for cost in costs if cost is not None]
            if len(known) == len(costs):
                return sum(known)
    return None


def _cost(item: Mapping[str, Any], world: World) -> float | None:
    count = item.get("quantity")
    tell = [item, *(world.thing(value) for value in item.values() if isinstance(value, str))]
    price = next((one[name] for one in tell for name in UNIT_PRICES if is_number(one.get(name))), None)
    return price * count if is_number(price) and is_number(count) else None


def _price(value: Mapping[str, Any], world: World) -> float | None:
    told = (one for name in UNIT_PRICES for one in (value.get(name, MISSING), world.about(name)))
    return next(filter(is_number, told), None)


def _units(value: Mapping[str, Any], world: World) -> int:
    for name in _COUNTS:
        told = world.arguments.get(name, value.get(name))
        if isinstance(told, int) and not isinstance(told, bool) and told > 0:
            return told
        if isinstance(told, list) and told:
            return len(told)
    first = world.arguments.get("check_in_date", value.get("check_in_date", world.about("check_in_date")))
    last = world.arguments.get("check_out_date", value.get("check_out_date", world.about("check_out_date")))
    try:
        return max((date.fromisoformat(last) - date.fromisoformat(first)).days, 1)
    except (TypeError, ValueError):
        return 1


def _refund(value: dict[str, Any], world: World) -> None:
    """One gets back what was paid, or the price of what goes back; less a fee."""
    name = next((name for name in _named(value, "refund") if name not in world.arguments), None)
    if name is None:
        return
    count, price = world.arguments.get("quantity"), _price({}, world)
    paid = next(filter(is_number, map(world.about, _TOTALS)), None)
    if is_number(count) and price is not None:
        paid = price * count if paid is None else min(price * count, paid)
    if paid is None:
        return
    fee = next((value[fee] for fee in _FEES if is_number(value.get(fee))), 0)
    _put(value, name, max(paid - fee, 0))


def _balance(value: dict[str, Any], world: World) -> None:
    """What is left of a known balance when an amount goes or comes."""
    amount = world.arguments.get("amount", value.get("amount"))
    for name in _named(value, "balance"):
        before = next(filter(is_number, (world.about(name), world.about("balance"))), None)
        if name == "balance" or before is None or not is_number(amount):
            continue
        _put(value, name, max(before + amount if world.verb in _ADDING else before - amount, 0))


def _flows(value: dict[str, Any]) -> None:
    """``money_in`` and ``money_out`` are what the listed movements in either direction come to."""
    for listed in list(value.values()):
        if not isinstance(listed, list) or not all(
            isinstance(one, dict) and "direction" in one and is_number(one.get("amount")) for one in listed
        ):
            continue
        for name, told in value.items():
            words = split_name(name)
            if len(words) == 2 and words[1] in {"in", "out"} and is_number(told):
                _put(value, name, sum(one["amount"] for one in listed if one["direction"] == words[1]))


def _convert(value: dict[str, Any], world: World) -> None:
    """What an amount is in another currency follows from the rate, and the rate from the currencies."""
    name = "exchange_rate" if "exchange_rate" in value else "rate"
    told = {
        kind_of(one): code for one, code in {**value, **world.arguments}.items() if _is_currency(one, code)
    }
    base = told.get("currency_from", told.get("currency", ""))
    if "currency_to" in told and base and is_number(value.get(name)) and name not in world.arguments:
        value[name] = float(f"{rates()[told['currency_to']] / rates()[base]:.4g}")
    rate, amount = value.get(name), world.arguments.get("amount")
    for converted in ("converted_amount", "converted", "result"):
        if is_number(value.get(converted)) and isinstance(rate, float) and is_number(amount):
            value[converted] = round(amount * rate, 2)


def _is_currency(name: str, code: object) -> bool:
    return isinstance(code, str) and code in rates() and kind_of(name).startswith("currency")


def _named(value: Mapping[str, Any], word: str) -> Iterator[str]:
    """The numbers whose names hold a word."""
    return (name for name, one in value.items() if word in split_name(name) and is_number(one))


def _put(value: dict[str, Any], name: str, amount: float) -> None:
    """Write an amount in cents, as a whole number where one stood."""
    amount = round(amount, 2)
    whole = isinstance(value[name], int) and float(amount).is_integer()
    value[name] = int(amount) if whole else amount


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number, which true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
