"""Puts the user's messages together: opener, request, facts, in the person's style; checked to be read."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from toolflow.llm.providers.rehearsal.manners import (
    GENERIC,
    NO,
    YES,
    clauses,
    fill_names,
    manner,
    with_value,
)
from toolflow.llm.providers.rehearsal.phrasing import flattened, read_fact
from toolflow.llm.providers.rehearsal.prompt import Said, as_object
from toolflow.llm.providers.rehearsal.smalltalk import message_for
from toolflow.llm.providers.rehearsal.spoken import Slot, say, slot_for
from toolflow.llm.providers.rehearsal.styles import ALSO, FIRST, SEGUES, THEN, Style, asks_of, reaction_to
from toolflow.llm.providers.rehearsal.wishes import wish_of
from toolflow.llm.providers.rehearsal.words import capitalised, listed

_JOIN: Final = re.compile(r",\s+and (also|then)\s+")
_ANSWERS: Final = ("Sure, {}.", "{}.", "{}, please.", "Oh right, {}.", "Of course: {}.", "{}.")
_MOST_INLINE: Final = 3
_MOST_FACTS: Final = 6
_LONGEST: Final = 560
_TRIES: Final = 3

_ORDER: Final = {
    way: place
    for place, way in enumerate(
        ("keyword", "topic", "titled", "saying", "city_from", "airport_from", "city_to", "airport_to",
        "city", "check_in",
         "check_out", "leaving", "returning", "date_start", "date_end", "date", "moment", "moment_end",
         "time", "people",
         "measured", "level", "min_price", "max_price", "person", "street")
    )
}  # fmt: skip


def open_goal(goal: Mapping[str, Any], said: Sequence[Said], style: Style, draw: random.Random) -> str:
    """The message that opens a goal, after a word on the answer before it."""
    request = str(goal.get("request") or "")
    talk = message_for(request, draw)
    if talk is not None:
        reaction = "" if "thank" in talk.lower() else reaction_to(said, style, draw)
        return _finish(" ".join(filter(None, (reaction, talk))), {}, style)
    told = as_object(goal.get("facts"))
    facts = [(name, value) for name, value in told.items() if not _is_in(name, value, request)]
    held = sorted({say(one) for value in told.values() for one in _each(value)}, key=len, reverse=True)
    flat = [inner for fact in facts for inner in flattened(*fact)][:_MOST_FACTS]
    message = ""
    for attempt in range(_TRIES + 1):
        lead = reaction_to(said, style, draw) if said else draw.choice(FIRST) if not style.terse else ""
        values: dict[str, str] = {}
        wish = wish_of(request)
        for text in held:  # what the request says word for word stays word for word
            if len(text) > 2:
                wish = re.sub(rf"(?<![\w\0]){re.escape(text)}(?!\w)", _holder(values), wish)
        message = _composed(wish, flat, lead, style, draw, values=values, surest=attempt == _TRIES)
        if len(message) > _LONGEST and len(flat) > 1:
            flat = flat[: len(flat) // 2]  # the rest is told when it is asked for
        elif all(_reads(message, name, value) for name, value in flat):
            break
    return message


def _holder(values: dict[str, str]) -> Callable[[re.Match[str]], str]:
    return lambda found: _hold(found[0], values)


def _each(value: Any) -> Sequence[Any]:
    """The values of a fact: two calls of a goal that differ in one parameter make it a list."""
    if isinstance(value, list):
        return [inner for one in value for inner in _each(one)]
    return [inner for one in value.values() for inner in _each(one)] if isinstance(value, dict) else [value]


def _is_in(name: str, value: Any, request: str) -> bool:
    """Whether a request says a fact already; a fact of several calls must stand there value by value."""
    if read_fact(request, slot_for(name, value)) == value:
        return True
    each = _each(value)
    return len(each) > 1 and all(re.search(rf"(?<!\w){re.escape(say(one))}(?!\w)", request) for one in each)


def answer_with(facts: Mapping[str, Any], style: Style, draw: random.Random, *, plain: bool) -> str:
    """The answer to a question: the facts, and hardly more.

    Args:
        facts: What is told.
        style: Of the person.
        draw: The source of chance.
        plain: Whether to be as clear as can be, since the assistant asks again.
    """
    flat = [inner for fact in facts.items() for inner in flattened(*fact)]
    values: dict[str, str] = {}
    frame = "{}." if plain or style.terse else draw.choice(_ANSWERS)
    if len(flat) == 1 and not plain:
        name, value = flat[0]
        bare = _bare(name, value, draw)
        return _finish(frame.format(bare.replace("{v}", _hold(say(value), values))), values, style)
    told = [_clause(name, value, draw, values, surest=plain) for name, value in flat]
    if not told:
        return "There is nothing more to say of it."
    text = listed(
        [
            told[0],
            *(
                f"{one[0].lower()}{one[1:]}" if one[:2] != "I " and one[:2] != "I'" else one
                for one in told[1:]
            ),
        ]
    )
    message = _finish(f"{capitalised(text)}.", values, style)
    if all(_reads(message, name, value) for name, value in flat):
        return message
    return _finish(" ".join(f"{_surest(name, value, values)}." for name, value in flat), values, style)


def _bare(name: str, value: Any, draw: random.Random) -> str:
    """A template for a value that answers a question: alone, or after the word that goes before it."""
    slot = slot_for(name, value)
    inline = clauses(slot, inline=True)
    if inline and draw.random() < 0.4 and manner(slot.name, slot.kind, slot.type, slot.style) != "email":
        clause = with_value(next((one for one in inline if not one.startswith("with ")), "{v}"), value, "{v}")
        if read_fact(f"{clause.replace('{v}', say(value))}.", slot) == value:
            return clause
    return "{v}"


def insist_on(goal: Mapping[str, Any], style: Style, draw: random.Random) -> str:
    """The request once more, as plainly as can be."""
    values: dict[str, str] = {}
    facts = {**as_object(goal.get("facts")), **as_object(goal.get("only_when_asked"))}
    flat = [inner for fact in facts.items() for inner in flattened(*fact)]
    wish = wish_of(str(goal.get("request") or ""))
    opening = draw.choice(("Let me put it differently: I want to {}.", "What I mean is that I need to {}."))
    told = " ".join(f"{_surest(name, value, values)}." for name, value in flat)
    return _finish(f"{opening.format(wish)} {told}".strip(), values, style)


def _composed(
    wish: str,
    flat: Sequence[tuple[str, Any]],
    lead: str,
    style: Style,
    draw: random.Random,
    *,
    values: dict[str, str],
    surest: bool,
) -> str:
    pieces = _JOIN.split(wish)
    inline, rest = _sorted_facts(flat, surest=surest)
    head = pieces[0] + "".join(f" {_inline(name, value, draw, values)}" for name, value in inline)
    ask = draw.choice(asks_of(style))
    segue = draw.choice(SEGUES) if lead and lead not in FIRST and not style.terse else ""
    first = ask.format(head)
    if segue and not re.match(r"(?:I\b|I')", first):
        first = first[0].lower() + first[1:]
    elif not segue:
        first = (
            capitalised(first)
            if not lead.endswith(",") or first.startswith("I")
            else first[0].lower() + first[1:]
        )
    sentences = [" ".join(filter(None, (lead, segue, first)))]
    for joint, piece in zip(pieces[1::2], pieces[2::2], strict=False):
        sentences.append(draw.choice(THEN if joint == "then" else ALSO).format(piece))
    told = [
        _surest(name, value, values) if surest else _clause(name, value, draw, values, surest=False)
        for name, value in rest
    ]
    sentences += _joined(told, draw)
    return _finish(" ".join(sentences), values, style)


def _sorted_facts(
    flat: Sequence[tuple[str, Any]], *, surest: bool
) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """What goes into the request's own sentence, in speaking order, and what follows it."""
    ways = [(_way(name, value), name, value) for name, value in flat]
    inline = [
        one
        for one in ways
        if not surest and one[0] in _ORDER and [way for way, _, _ in ways].count(one[0]) == 1
    ]
    inline = sorted(inline, key=lambda one: _ORDER[one[0]])[:_MOST_INLINE]
    chosen = {name for _, name, _ in inline}
    return [(name, value) for _, name, value in inline], [one for one in flat if one[0] not in chosen]


def _way(name: str, value: Any) -> str:
    slot = slot_for(name, value)
    if isinstance(value, str) and (len(value) > 40 or "\n" in value):
        return "long"
    return manner(slot.name, slot.kind, slot.type, slot.style)


def _hold(text: str, values: dict[str, str]) -> str:
    """A mark that stands for a value until the style is done: values are kept as they are."""
    key = str(len(values))
    values[key] = text
    return f"\0{key}\0"


def _inline(name: str, value: Any, draw: random.Random, values: dict[str, str]) -> str:
    slot = slot_for(name, value)
    spoken = _quoted_if_needed(slot, value)
    return with_value(draw.choice(clauses(slot, inline=True)), value, _hold(spoken, values))


def _quoted_if_needed(slot: Slot, value: Any) -> str:
    spoken = say(value)
    loose = isinstance(value, str) and manner(slot.name, slot.kind, slot.type, slot.style) in {
        "titled",
        "saying",
        "keyword",
        "topic",
    }
    clear = re.fullmatch(r"[\w'-]+(?: [\w'-]+){0,2}", spoken) and not re.search(
        r"\b(?:and|the|of|in|on|to|for|at|from)\b", spoken, re.I
    )
    return f'"{spoken}"' if loose and not clear else spoken


def _clause(name: str, value: Any, draw: random.Random, values: dict[str, str], *, surest: bool) -> str:
    slot = slot_for(name, value)
    if surest:
        return _surest(name, value, values)
    if isinstance(value, bool):
        return fill_names(draw.choice(YES if value else NO), slot)
    for template in (draw.choice(clauses(slot, inline=False)), fill_names(GENERIC[0], slot)):
        for spoken in (say(value), f'"{say(value)}"'):
            plain = with_value(template, value, spoken)
            if _same(read_fact(f"{plain}.", slot), value):
                return with_value(template, value, _hold(spoken, values))
    return _surest(name, value, values)


def _surest(name: str, value: Any, values: dict[str, str]) -> str:
    """The clause that is read for certain, its value in quotation marks where it must be."""
    slot = slot_for(name, value)
    if isinstance(value, bool):
        return fill_names(YES[0] if value else NO[0], slot)
    template, spoken = fill_names(GENERIC[0], slot), say(value)
    plain = re.fullmatch(r"[\w@.+:/-]*\w", spoken)
    safe = plain or slot.is_day or slot.is_moment or not isinstance(value, str)
    if not safe or not _same(read_fact(f"{template.replace('{v}', spoken)}.", slot), value):
        spoken = spoken if '"' in spoken else f'"{spoken}"'
    return template.replace("{v}", _hold(spoken, values))


def _joined(told: Sequence[str], draw: random.Random) -> list[str]:
    """Sentences of the clauses, two to a sentence now and then."""
    sentences: list[str] = []
    rest = list(told)
    while rest:
        one = rest.pop(0)
        if (
            rest
            and one.startswith("The ")
            and rest[0].startswith(("The ", "I ", "I'", "My ", "It's "))
            and draw.random() < 0.85
        ):
            other = rest.pop(0)
            other = other if other.startswith(("I ", "I'")) else other[0].lower() + other[1:]
            one = f"{one} and {other}"
        sentences.append(f"{one}.")
    return sentences


def _finish(text: str, values: Mapping[str, str], style: Style) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    text = text.lower() if style.lower else capitalised(text)
    return re.sub(r"\0(\d+)\0", lambda found: values.get(found.group(1), ""), text)


def _reads(message: str, name: str, value: Any) -> bool:
    return _same(read_fact(message, slot_for(name, value)), value)


def _same(read: Any, value: Any) -> bool:
    if isinstance(read, str) and isinstance(value, str):
        return read.replace("_", " ").lower() == value.replace("_", " ").lower()
    return bool(read == value)
