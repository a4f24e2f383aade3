"""Fills the arguments of a call from what was said and what earlier calls returned; never makes one up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from toolflow.llm.providers.rehearsal.conversation import Called, Conversation, Step
from toolflow.llm.providers.rehearsal.intents import thing_of
from toolflow.llm.providers.rehearsal.kinds import kind_of
from toolflow.llm.providers.rehearsal.manners import spoken_parameter
from toolflow.llm.providers.rehearsal.matching import Offer, Part
from toolflow.llm.providers.rehearsal.phrasing import read_fact
from toolflow.llm.providers.rehearsal.schema_values import fits
from toolflow.llm.providers.rehearsal.schemas import as_schema, resolve
from toolflow.llm.providers.rehearsal.site import MISSING
from toolflow.llm.providers.rehearsal.spoken import SITES, Slot, unsay
from toolflow.llm.providers.rehearsal.words import singular, split_name, stem

Found = tuple[Any, Mapping[str, Any] | None]
"""A value, and the list entry that it stands in, if any."""

FREE: Final = frozenset(
    "message title subject note reason name keyword quantity hash description expression task topic "
    "review issue limit page text "
    "amount playlist min_price max_price file word goal_name".split()
)
"""Kinds that are new in every request: an earlier call's value is not taken over."""
_ORDINALS: Final = (("second", 1), ("third", 2), ("fourth", 3), ("first", 0))
_CHEAPEST: Final = re.compile(r"\b(?:cheapest|least expensive|lowest[- ]priced)\b", re.I)
_BEST: Final = re.compile(r"\b(?:best[- ]rated|top[- ]rated|highest[- ]rated)\b", re.I)
_LAST: Final = re.compile(r"\b(?:the|that) (?:last|final)\b", re.I)
_POINTER: Final = (
    r"\b(?:first|second|third|fourth|last|final|cheapest|(?:least|lowest|best|top|highest)[- ]\w+)"
)
_WORDLESS: Final = frozenset(("id", "code", "uuid"))
_NUMBERED: Final = frozenset(("id", "number", "reference", "code"))
_BARE: Final = re.compile(
    r"^(?:(?:sure|okay|ok|yes|oh|right|of course|no problem)[,.!:]*\s+)*(?:(?:it's|it is|that's|that "
    r"would be|let's say|make it|i'd say|"
    r"let's go with|let's do|go with)\s+)?(.+?)(?:,? please)?[.!]?(?:\s+thanks?[.!]?)?$",
    re.I | re.S,
)
_UNKNOWN: Final = re.compile(
    r"\b(?:don't know|do not know|no idea|not sure|up to you|anything reasonable)\b", re.I
)
_THERE: Final = re.compile(r"\bthere\b", re.I)
_ONE: Final = frozenset(("quantity", "people", "small"))


def fill(
    offer: Offer, part: Part, conversation: Conversation, done: Sequence[Called]
) -> tuple[dict[str, Any], list[Slot]]:
    """The arguments that are known for a call, and the required parameters that are not.

    Args:
        offer: The tool.
        part: The part of the request that it serves.
        conversation: All that was said.
        done: The calls made for this request so far.
    """
    arguments: dict[str, Any] = {}
    missing: list[Slot] = []
    properties = as_schema(offer.schema.get("properties"))
    for slot in offer.slots:
        value = _said(slot, part, conversation)
        required = slot.name in offer.required
        if value is MISSING and required:
            value = _learned(slot, offer, part.text, [*conversation.earlier, *done])
        if value is MISSING and required:
            default = resolve(as_schema(properties.get(slot.name)), offer.schema).get("default")
            value = slot.unsaid if default is None else default
        if not required and _is_anothers(value, arguments, slot, part.text):
            continue
        if value is not MISSING and _acceptable(value, slot, offer):
            arguments[slot.name] = value
        elif required:
            missing.append(slot)
    if len(missing) == 1 and len(conversation.replies) > 1 and missing[0].type != "object":
        value = _bare_answer(conversation.replies[-1], missing[0])
        if value is not MISSING and _acceptable(value, missing[0], offer):
            arguments[missing[0].name] = value
            missing = []
    return arguments, missing


def _is_anothers(value: Any, arguments: Mapping[str, Any], slot: Slot, text: str) -> bool:
    """Whether what was read for an optional parameter was said of a required one that is like it."""
    plain = value[0] if isinstance(value, list) and len(value) == 1 else value
    named = spoken_parameter(slot.name).lower() in text.lower()
    return isinstance(plain, str) and plain in arguments.values() and not named


def _acceptable(value: Any, slot: Slot, offer: Offer) -> bool:
    schema = resolve(as_schema(as_schema(offer.schema.get("properties")).get(slot.name)), offer.schema)
    return isinstance(value, (list, dict)) or slot.many or fits(value, schema, offer.schema)


def _said(slot: Slot, part: Part, conversation: Conversation) -> Any:
    """What the request says of a parameter: its own part first, the newest words last but surest."""
    for reply in reversed(conversation.replies[1:]):
        value = read_fact(reply, slot)
        if value is not MISSING:
            return value
    value = read_fact(part.text, slot)
    if value is not MISSING or not conversation.replies or (slot.kind in SITES and _THERE.search(part.text)):
        return value  # "there" is where the last part of the talk was about, not where the next one is
    return read_fact(conversation.replies[0], slot)


def _bare_answer(reply: str, slot: Slot) -> Any:
    """An answer that is the value and hardly a word more."""
    found = _BARE.match(reply.strip())
    if found is None or len(found.group(1)) > 120 or _UNKNOWN.search(reply):
        return MISSING
    value = unsay(found.group(1), slot)
    return MISSING if slot.kind in _WORDLESS and " " in str(value) else value


def _learned(slot: Slot, offer: Offer, text: str, steps: Sequence[Step]) -> Any:
    """What earlier calls and results tell of a parameter, newest first."""
    if slot.inner:
        return _learned_inside(slot, offer, text, steps)
    calls = [step for step in reversed(steps) if isinstance(step, Called)]
    # Who says "the second one" means a list that was shown, whatever was done with its first one since.
    value = _pointed_at(slot, offer, text, calls)
    if value is MISSING:
        known = (_from_call(slot, offer, text, call) for call in calls)
        value = next((one for one in known if one is not MISSING), MISSING)
    return value if value is MISSING or isinstance(value, list) or not slot.many else [value]


def _pointed_at(slot: Slot, offer: Offer, text: str, calls: Sequence[Called]) -> Any:
    """What the text points at in lists that calls have returned; who points at a bill means no account."""
    thing = [word for word in split_name(slot.name) if word not in _NUMBERED][-1:]
    if not thing or not re.search(rf"{_POINTER}\s+(?:\w+\s+)?{re.escape(thing[0])}\b", text, re.I):
        return MISSING
    for call in calls:
        listed = [one for one in _found(slot, offer, call) if one[1] is not None]
        value = _pointed(listed, text) if listed else MISSING
        if value is not MISSING:
            return value
    return MISSING


def _found(slot: Slot, offer: Offer, call: Called) -> list[Found]:
    """What a call has returned for a parameter."""
    return list(find_fields(call.result, wanted_names(slot.name, offer.name), thing_of(call.tool)))


def _learned_inside(slot: Slot, offer: Offer, text: str, steps: Sequence[Step]) -> Any:
    entry: dict[str, Any] = {}
    for inner in slot.inner:
        value = read_fact(text, inner)
        if value is MISSING:
            value = _learned(inner, offer, text, steps)
        if value is MISSING and inner.kind in _ONE and inner.type in {"integer", "number"}:
            value = 1  # who orders a dish and gives no number means one
        value = inner.unsaid if value is MISSING else value
        if value is MISSING:
            return MISSING
        entry[inner.name] = value
    return [entry] if slot.many else entry


def _from_call(slot: Slot, offer: Offer, text: str, call: Called) -> Any:
    if found := _found(slot, offer, call):
        return _picked(found, text)
    if slot.kind in FREE or slot.type == "boolean" or slot.choices:
        return MISSING
    kinds = wanted_names(slot.name, offer.name)
    return next((value for name, value in call.arguments.items() if names_match(name, "", kinds)), MISSING)


def wanted_names(name: str, tool: str) -> tuple[tuple[str, ...], ...]:
    """The names, as stems, under which a result may hold what a parameter wants."""
    words = tuple(stem(word) for word in split_name(name))
    names = [words]
    if (
        len(words) > 1
        and words[-1] == "id"
        and words[0] in {"from", "to", "source", "target", "new", "destination"}
    ):
        names.append(words[1:])
    if len(words) == 1:  # a bare `id` is the id of what the tool is about
        names.append((stem(thing_of(tool)), *words))
    return tuple(names)


def names_match(name: str, holder: str, wanted: tuple[tuple[str, ...], ...]) -> bool:
    """Whether a field is what a parameter wants: the same words, or the holder's and its own."""
    words = tuple(stem(word) for word in split_name(name))
    if words == wanted[0] and len(words) > 1:
        return True
    if words == wanted[0] and len(wanted) > 1 and _TELLING.issuperset(words):
        return True
    full = (stem(singular(holder)), *words) if holder else words
    return (
        full in wanted or (len(wanted) > 1 and words == wanted[1]) or (len(wanted) > 1 and full == wanted[1])
    )


_TELLING: Final = frozenset(
    stem(word)
    for word in "city country email phone address currency latitude longitude lat lon location date "
    "symbol airport language "
    "username url domain iban zip ticker destination origin".split()
)


def find_fields(
    value: Any,
    wanted: tuple[tuple[str, ...], ...],
    holder: str,
    entry: Mapping[str, Any] | None = None,
    depth: int = 0,
) -> Iterator[Found]:
    """The values of fields that a parameter wants, each with the list entry that it stands in."""
    if depth > 6:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, (str, int, float)) and not isinstance(inner, bool):
                if names_match(name, holder, wanted):
                    yield inner, entry
            else:
                yield from find_fields(
                    inner, wanted, name if not name.startswith("result") else holder, entry, depth + 1
                )
    elif isinstance(value, list):
        for one in value:
            yield from find_fields(one, wanted, holder, one if isinstance(one, dict) else entry, depth + 1)


def _picked(found: Sequence[Found], text: str) -> Any:
    """One of several values: the one that the request points at or names, else the first."""
    if len(found) == 1:
        return found[0][0]
    value = _pointed(found, text)
    if value is not MISSING:
        return value
    told = text.lower()
    for value, entry in found:
        if entry and any(
            isinstance(one, str) and len(one) > 3 and one.lower() in told for one in entry.values()
        ):
            return value
    return found[0][0]


def _pointed(found: Sequence[Found], text: str) -> Any:
    """The value that the text points at by its place or its figures, or MISSING."""
    told = text.lower()
    if _CHEAPEST.search(told):
        kinds = ("price", "max_price", "min_price", "total")
        return min(found, key=lambda one: _figure(one[1], kinds, 1e12))[0]
    if _BEST.search(told):
        return max(found, key=lambda one: _figure(one[1], ("rating",), -1.0))[0]
    if _LAST.search(told):
        return found[-1][0]
    for word, place in _ORDINALS:
        if re.search(rf"\b(?:the|that) {word}\b", told) and place < len(found):
            return found[place][0]
    return MISSING


def _figure(entry: Mapping[str, Any] | None, kinds: tuple[str, ...], otherwise: float) -> float:
    for name, value in (entry or {}).items():
        if isinstance(value, (int, float)) and kind_of(name) in kinds:
            return float(value)
    return otherwise
