"""Facts in English, both ways: a clause is said from a template, and read back by the same template.

What a person says of a parameter follows from its name alone, for the person knows no schema; what the
assistant reads follows from the name and the schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from toolflow.llm.providers.rehearsal.intents import is_verb
from toolflow.llm.providers.rehearsal.manners import (
    GENERIC,
    INLINE,
    SENTENCES,
    TERSE,
    fill_names,
    manner,
    spoken_parameter,
)
from toolflow.llm.providers.rehearsal.site import MISSING
from toolflow.llm.providers.rehearsal.spoken import DAY, Slot, mentions, say, unsay
from toolflow.llm.providers.rehearsal.words import split_name

# A value ends where the next clause begins.
_STOP_WORDS: Final = (
    "from|to|in|on|at|for|with|without|under|until|through|leaving|going|checking|arriving|staying|coming|returning|starting|"
    "departing|about|called|titled|named|saying|that|matching|using|around|into|of|ending|please|and|but|if|when|as|"
    "thanks|is|are|would|should"
)
_END: Final = r"(?=\s*(?:[,;!?](?:\s|$)|\.(?:\s|$)|\n|$)"
# A list goes on over its commas, to the end of the sentence or a clause of another subject.
_LIST_END: Final = (
    r"(?=\s*(?:[;!?](?:\s|$)|\.(?:\s|$)|\n|$)|\s+(?:and (?:the|my|it's|with|without|no|yes)|as the)\b)"
)
_INLINE_END: Final = rf"{_END}|\s+(?:{_STOP_WORDS})\b)"
_GENERIC_END: Final = (
    rf"{_END}|\s+(?:and (?:the|my|use|for|let's|it's|with|without|no|yes|please)|as the|please)\b)"
)
_QUOTED: Final = r'"[^"\n]+"'
_SHAPES: Final = {
    "day": DAY,
    "moment": rf"{DAY}(?:,? at |[T ])\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?",
    "clock": r"\d{1,2}:\d\d(?:\s?[APap][Mm])?",
    "number": r"-?[$€£]?\d[\d,]*(?:\.\d+)?",
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "phone": r"\+?\d[\d\s()-]{6,}\d",
}


def _shape(slot: Slot, way: str) -> str:
    """The expression that a value of the slot matches."""
    if slot.choices and not slot.many:
        names = {text for one in slot.choices for text in (str(one), say(one))}
        spoken = sorted((re.escape(text).replace("_", "[_ ]") for text in names), key=len, reverse=True)
        return f"(?:{'|'.join(spoken)})\\b"
    if slot.type in {"integer", "number"}:
        return _SHAPES["number"]
    if slot.is_moment or way.startswith("moment"):
        return _SHAPES["moment"]
    if slot.is_day and way != "generic":
        return rf"(?:{_SHAPES['day']}|[\d./-]{{8,10}})"
    if slot.kind in {"time", "time_end"}:
        return rf"(?:{_SHAPES['moment']}|{_SHAPES['clock']})"
    return _SHAPES.get(slot.kind, "")


@lru_cache(maxsize=8_192)
def _readers(slot: Slot) -> tuple[re.Pattern[str], ...]:
    """The expressions that read a slot's value, surest first."""
    way = manner(slot.name, slot.kind, slot.type, slot.style)
    shape = _shape(slot, way)
    patterns: list[str] = []
    generic = [*GENERIC, TERSE, "with {v} as the {w}", "My {w} is {v}", "{w} is {v}", "{w} {v}"]
    if not shape and len(split_name(slot.name)) < 2:
        generic.pop()
    for templates, end in (
        (generic, _GENERIC_END),
        (SENTENCES.get(way, ()), _GENERIC_END),
        (INLINE.get(way, ()), _INLINE_END),
    ):
        for template in templates:
            before, after = _split_template(fill_names(template, slot))
            free = shape or rf"{_QUOTED}|(?:(?! as the )[^\n])+?"
            tail = (
                rf"\s+{after}\b"
                if after
                else ("" if shape else _LIST_END if slot.many and not slot.choices else end)
            )
            quoted_first = f"{_QUOTED}|" if not shape else ""
            patterns.append(rf"(?<!\w){before}({quoted_first}{free}){tail}")
    if slot.kind in {"email", "phone"}:
        patterns.append(rf"(?<![\w@.+-])({_SHAPES[slot.kind]})")
    return tuple(re.compile(pattern, re.I) for pattern in patterns)


def _split_template(template: str) -> tuple[str, str]:
    before, _, after = template.partition("{v}")
    after = (
        after.strip().rstrip("s") + "s?"
        if after.strip() and not after.strip().startswith("as ")
        else after.strip()
    )
    after = (
        after.replace("peoples?", "(?:people|persons?)").replace("people", "(?:people|persons?)")
        if "people" in after
        else after
    )
    return re.escape(before).replace(r"\ ", r"\s+"), after.replace(" ", r"\s+")


def read_fact(text: str, slot: Slot) -> Any:
    """What a text says of a slot, or MISSING."""
    if slot.type == "boolean":
        return _read_boolean(text, slot)
    if slot.inner:
        return _read_inner(text, slot)
    proper = slot.kind in _PROPER and slot.type in {"string", "any"}
    second_best: Any = MISSING
    for pattern in _readers(slot):
        for found in pattern.finditer(text):
            value = unsay(found.group(1), slot)
            quoted = found.group(1).startswith('"')
            if value is MISSING or (not quoted and _is_filler(value)):
                continue
            if not proper or not isinstance(value, str) or not value[0].islower():
                return value
            # "to find hotels" is no destination where "to Rome" follows.
            second_best = value if second_best is MISSING and not _is_verbal(value) else second_best
    if second_best is not MISSING:
        return second_best
    if slot.choices and not slot.many:
        return mentions(text, slot)
    return MISSING


_PROPER: Final = frozenset(
    "city city_from city_to airport_from airport_to country currency_from currency_to street".split()
)


def _is_verbal(value: str) -> bool:
    """Whether it is part of a phrase and no name: "in force there" names no place."""
    first, *_, last = value.split() * 2
    return is_verb(first) or first in {"the", "a", "an"} or last in {"there", "here", "it", "that"}


def _is_filler(value: Any) -> bool:
    """Whether what was caught is the beginning of another clause, or a word that points."""
    return isinstance(value, str) and _FILLER.match(value) is not None


_FILLER: Final = re.compile(
    rf"(?:(?:{_STOP_WORDS})\s|(?:it|that|me|this|them|there|now|you|my|which|a|an|one)(?:\s|$)"
    r"|(?:the|that|my)\s+(?:first|second|third|cheapest|last)\b)",
    re.I,
)


def _read_boolean(text: str, slot: Slot) -> Any:
    spoken = re.escape(spoken_parameter(slot.name))
    if re.search(rf"\b(?:without|no|no to|don't want)\s+{spoken}\b", text, re.I):
        return False
    if re.search(rf"\b(?:with|include|yes to)\s+{spoken}\b", text, re.I):
        return True
    found = re.search(rf"\b{spoken}(?: is|:| should be) (yes|no|true|false|on|off)\b", text, re.I)
    return unsay(found.group(1), slot) if found else MISSING


def _read_inner(text: str, slot: Slot) -> Any:
    """An object that was told field by field."""
    said = {one.name: value for one in slot.inner if (value := read_fact(text, one)) is not MISSING}
    entry = {
        one.name: value for one in slot.inner if (value := said.get(one.name, one.unsaid)) is not MISSING
    }
    if not said or len(entry) < len(slot.inner):
        return MISSING
    return [entry] if slot.many else entry


def flattened(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The facts inside a fact: the fields of an object, or of the one object in a list."""
    entry = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(entry, dict):  # of an empty one nothing is said
        for inner, one in entry.items():
            yield from flattened(inner, one)
    else:
        yield name, value
