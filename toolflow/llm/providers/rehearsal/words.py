"""English at the level of words: names taken apart, stems, plurals, articles, lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_WORD = re.compile(r"[\W_]+")
_LETTERS_DIGITS = re.compile(r"(?<=[a-z]{2})(?=\d)")
_WORD = re.compile(r"[^\W_]+(?:'[a-z]+)?")
_ACRONYMS = frozenset(
    ("id", "url", "ip", "uri", "pdf", "gps", "iban", "sku", "isbn", "dna", "nba", "nfl", "tv", "vat")
)

# Words of a family are one word to the matcher: people say "book" where a tool says "reserve".
_FAMILIES = (
    "get pull retrieve fetch obtain show see view display check look lookup read",
    "find search discover locate browse",
    "list enumerate",
    "book reserve reservation booking",
    "create add make new register insert open start",
    "update change modify edit adjust set",
    "delete remove erase clear",
    "cancel abort",
    "buy purchase order",
    "send deliver dispatch share message text",
    "schedule arrange plan",
    "calculate compute work estimate",
    "convert translate turn",
    "hotel accommodation",
    "film movie",
    "picture photo image",
    "pay payment",
    "weather forecast",
    "restaurant table",
    "cost price fare",
    "car vehicle",
    "analyze analyse analysis analyz analys",
    "song track music",
)
_STOP = frozenset(
    "a an the of to for in on at by with from and or is are be can could would you i me my mine we our us "
    "it its this that "
    "these those please like want need help do does did have has had will your yours their them they user "
    "users given "
    "specific specified using use used based about as what which who how when where into any all some if "
    "not no yes api "
    "tool function endpoint let also then after before so just more one also provide return returns".split()
)


@lru_cache(maxsize=65_536)
def split_name(name: str) -> tuple[str, ...]:
    """The lower-case words of an identifier: ``checkInDate`` gives ``check in date``; one at least of any."""
    spaced = _LETTERS_DIGITS.sub(" ", _CAMEL.sub(" ", name))
    return tuple(word.lower() for word in _NOT_WORD.split(spaced) if word) or ((name,) if name else ())


@lru_cache(maxsize=65_536)
def spoken_name(name: str) -> str:
    """An identifier as a person would say it: ``user_id`` gives ``user ID``."""
    words = split_name(name)
    return " ".join(word.upper() if word in _ACRONYMS else word for word in words) or name


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A crude stem, alike for the forms of a word and for the members of a word family."""
    return _FAMILY_OF.get(word) or _FAMILY_OF.get(_plain_stem(word)) or _plain_stem(word)


def _plain_stem(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    for ending in ("ations", "ation", "ments", "ment", "ings", "ing", "ies", "ers", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)]
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


_FAMILY_OF: dict[str, str] = {"news": "news"}  # they are not several "new"
for _family in _FAMILIES:
    _members = _family.split()
    for _member in _members:
        _FAMILY_OF[_member] = _FAMILY_OF[_plain_stem(_member)] = f"={_members[0]}"


@lru_cache(maxsize=16_384)
def content_stems(text: str) -> frozenset[str]:
    """The stems of the words that carry meaning."""
    return frozenset(stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP)


def singular(word: str) -> str:
    """One of them: ``flights`` gives ``flight``."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    if word in _OF_U:
        return word[:-1]
    if word.endswith("s") and not word.endswith(("ss", "us", "is", "news", "series")) and len(word) > 3:
        return word[:-1]
    return word


def plural(word: str) -> str:
    """Many of them: ``flight`` gives ``flights``; only the last word changes."""
    if word.split()[-1:] and word.rsplit(maxsplit=1)[-1] in _UNCOUNTED:
        return word
    if word.endswith(("s", "x", "ch", "sh")):
        return word if singular(word) != word else word + "es"
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return word[:-1] + "ies"
    return word + "s"


_OF_U = frozenset(("menus", "gurus"))
_UNCOUNTED = frozenset(
    "weather news music information traffic money history advice data media quality status contact-info "
    "progress balance availability".split()
)


def is_plural(word: str) -> bool:
    """Whether a noun stands for many."""
    return singular(word) != word


def with_article(noun: str) -> str:
    """``a flight``, ``an order``."""
    return f"{'an' if noun[:1].lower() in tuple('aeio') else 'a'} {noun}"


def listed(items: Sequence[str], last: str = "and") -> str:
    """``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def capitalised(text: str) -> str:
    """The text with its first letter in upper case, the rest untouched."""
    return text[:1].upper() + text[1:]
