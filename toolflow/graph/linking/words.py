"""Identifiers as words: ``flightIDs``, ``flight_id`` and ``flight-ids`` all say *flight id*."""

from __future__ import annotations

import re
from functools import lru_cache

_PLURAL_ACRONYM = re.compile(r"([A-Z]{2,})s(?![a-z])")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z]{4})(?=[0-9](?![0-9a-z]))")
_SEPARATORS = re.compile(r"[\W_]+")
_LONGEST_IDENTIFIER = 200

_ALIASES = {
    "acct": ("account",),
    "addr": ("address",),
    "amt": ("amount",),
    "dest": ("destination",),
    "fullname": ("full", "name"),
    "identifier": ("id",),
    "identifiers": ("id",),
    "ids": ("id",),
    "img": ("image",),
    "lat": ("latitude",),
    "lng": ("longitude",),
    "lon": ("longitude",),
    "nr": ("number",),
    "num": ("number",),
    "orderid": ("order", "id"),
    "org": ("organization",),
    "organisation": ("organization",),
    "photo": ("image",),
    "pic": ("image",),
    "picture": ("image",),
    "postal": ("zip",),
    "postalcode": ("zip", "code"),
    "postcode": ("zip", "code"),
    "productid": ("product", "id"),
    "qty": ("quantity",),
    "src": ("source",),
    "telephone": ("phone",),
    "uri": ("url",),
    "userid": ("user", "id"),
    "username": ("user", "name"),
    "usr": ("user",),
    "zipcode": ("zip", "code"),
}
_IRREGULAR = {
    "bonuses": "bonus",
    "brownies": "brownie",
    "buses": "bus",
    "calories": "calorie",
    "campuses": "campus",
    "children": "child",
    "cookies": "cookie",
    "hoodies": "hoodie",
    "indices": "index",
    "movies": "movie",
    "people": "person",
    "rookies": "rookie",
    "smoothies": "smoothie",
    "statuses": "status",
    "viruses": "virus",
    "zombies": "zombie",
}
_NOT_PLURAL = frozenset(
    {"news", "series", "gps", "sms", "dns", "css", "aws", "rss", "cms", "pos", "https", "plus"}
)


@lru_cache(maxsize=262_144)
def split_identifier(name: str) -> tuple[str, ...]:
    """The lower-case words of an identifier, as written."""
    name = _PLURAL_ACRONYM.sub(lambda match: match[1].capitalize() + "s", name[:_LONGEST_IDENTIFIER])
    spaced = _SEPARATORS.sub(" ", _CAMEL.sub(" ", name))
    return tuple(spaced.casefold().split())


@lru_cache(maxsize=262_144)
def normal_words(name: str) -> tuple[str, ...]:
    """The words of an identifier with plurals, common abbreviations and numbering folded away.

    Fields whose normal words are equal form one name cluster.
    """
    words = split_identifier(name)
    unnumbered = [word for word in words if not word.isdigit()] or words
    return tuple(normal for word in unnumbered for normal in _normal(word))


def _normal(word: str) -> tuple[str, ...]:
    alias = _ALIASES.get(word)
    if alias is not None:
        return alias
    single = singular(word)
    return _ALIASES.get(single, (single,))


def singular(word: str) -> str:
    """The singular of an English noun, by spelling alone; other words come back as they are."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")) or word in _NOT_PLURAL:
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word[:-1]
