"""What a value is about, told from the name that it stands under."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files
from typing import Final

import msgspec

from toolflow.llm.providers.rehearsal import lexicon
from toolflow.llm.providers.rehearsal.words import singular, split_name


# The first rule that matches wins. A rule reads the words of the name, in singular, joined by blanks.
class _Kinds(msgspec.Struct):
    lists: str
    rules: list[tuple[str, str]]


_KINDS: Final = msgspec.json.decode(files(lexicon).joinpath("kinds.json").read_bytes(), type=_Kinds)
# The first rule that matches wins. A rule reads the words of the name, in singular, joined by blanks.
_COMPILED: Final = tuple((kind, re.compile(pattern)) for kind, pattern in _KINDS.rules)
_BARE: Final = frozenset(
    ("price", "headline", "name", "title", "id", "type", "code", "number", "category", "text")
)

# What both ends of a journey have, and by what its holder is called.
_ENDS: Final = frozenset(("airport", "city"))
_ENDS_OF: Final = {
    "_from": frozenset(("departure", "origin", "from")),
    "_to": frozenset(("arrival", "destination", "to")),
}

LISTS: Final = frozenset(_KINDS.lists.split())
"""Kinds that are drawn from the list of the same name."""


@lru_cache(maxsize=65_536)
def kind_of(name: str, holder: str = "") -> str:
    """The kind of the value under a name; ``text`` where the name tells nothing.

    Args:
        name: The parameter or field.
        holder: What it belongs to (``hotels``): tells what a bare ``name`` or ``title`` names.
    """
    own = " ".join(singular(word) for word in split_name(name))
    if own in _BARE and holder:
        belongs = " ".join(singular(word) for word in split_name(holder))
        own = f"{belongs} {own}"
    kind = next((kind for kind, pattern in _COMPILED if pattern.search(own)), "text")
    if kind in _ENDS and holder:
        end = next((end for end, words in _ENDS_OF.items() if not words.isdisjoint(split_name(holder))), "")
        return f"{kind}{end}"
    return kind
