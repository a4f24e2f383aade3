"""The rehearsal model's general knowledge: places, people, products and many lists of ordinary words."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import msgspec


class Place(NamedTuple):
    """A city and what goes with it."""

    city: str
    country: str
    country_code: str
    state: str
    timezone: str
    latitude: float
    longitude: float
    airport: str
    currency: str
    language: str


class Product(NamedTuple):
    """Something a shop sells; the price is in whatever currency the dialogue uses."""

    name: str
    brand: str
    category: str
    price: float


def _read(name: str) -> bytes:
    return files(__name__).joinpath(name).read_bytes()


@cache
def places() -> tuple[Place, ...]:
    """Well-known cities of all continents."""
    return msgspec.json.decode(_read("places.json"), type=tuple[Place, ...])


@cache
def _words() -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(_read("words.json"), type=dict[str, msgspec.Raw])


@cache
def rates() -> dict[str, float]:
    """About how much of each currency, by its ISO 4217 code, a US dollar buys."""
    return msgspec.json.decode(_read("rates.json"), type=dict[str, float])


@cache
def products() -> tuple[Product, ...]:
    """Things that shops sell."""
    return msgspec.json.decode(_words()["product"], type=tuple[Product, ...])


@cache
def words(name: str) -> tuple[str, ...]:
    """One list of words, such as ``hotel``; empty where there is no such list."""
    if name == "product":
        return tuple(product.name for product in products())
    raw = _words().get(name)
    return () if raw is None else msgspec.json.decode(raw, type=tuple[str, ...])
