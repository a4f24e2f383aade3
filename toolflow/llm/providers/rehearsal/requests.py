"""Words the request of a goal in everyday English, checked against the assistant's own way of reading it."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from toolflow.llm.providers.rehearsal.intents import base_form, intents, is_verb, thing_of
from toolflow.llm.providers.rehearsal.manners import clauses, fill_names, spoken_parameter, with_value
from toolflow.llm.providers.rehearsal.matching import Offer, parts_of, scores
from toolflow.llm.providers.rehearsal.planned_call import DraftArgument, DraftCall
from toolflow.llm.providers.rehearsal.sources import is_learnt
from toolflow.llm.providers.rehearsal.spoken import Slot, say
from toolflow.llm.providers.rehearsal.words import singular, split_name, spoken_name

OPENINGS: Final = (
    "The user wants to",
    "The user would like to",
    "The user needs to",
    "The user asks to",
    "The user is hoping to",
)
_TRIES: Final = 5
_LONGEST: Final = 400
_PICKS: Final = ("first", "first", "first", "second")
_GENERAL: Final = frozenset(("result", "results", "data", "items", "list", "entries", "response", "records"))


def word_request(drafts: Sequence[DraftCall], offers: Sequence[Offer], draw: random.Random) -> str:
    """One sentence about the user that holds what all the calls of a goal are for.

    The values of several calls stand in the sentence, for the facts of a goal do not tell whose they are.

    Args:
        drafts: The calls, in order.
        offers: All tools of the dialogue, which the wording must tell apart.
        draw: The source of chance.
    """
    wanted = [draft.tool.name for draft in drafts]
    request = ""
    for attempt in range(_TRIES):
        last = attempt == _TRIES - 1
        request = f"{draw.choice(OPENINGS)} {_worded(drafts, offers, draw, spelled=last)}."
        if len(request) > _LONGEST:
            continue
        if [part.tool for part in parts_of(request, offers)] == wanted:
            break
    return request if len(request) <= _LONGEST else f"{request[: _LONGEST - 1].rpartition(' ')[0]}."


def _worded(
    drafts: Sequence[DraftCall], offers: Sequence[Offer], draw: random.Random, *, spelled: bool
) -> str:
    worded = ""
    for place, draft in enumerate(drafts):
        phrase = _spelled(draft.tool.offer) if spelled else _intent(draft, offers, draw)
        phrase = _pointed(f"{phrase}{_values(draft, draw) if len(drafts) > 1 else ''}", draft, draw)
        earlier = {one.tool.name for one in drafts[:place]}
        waits = any(one.origin and one.origin.tool in earlier for one in draft.arguments)
        worded += (", and then " if waits else ", and also ") + phrase if place else phrase
    return worded


def _spelled(offer: Offer) -> str:
    """The tool's name as words: no beauty, but it is understood."""
    words = split_name(offer.name) or ("thing",)
    return (
        " ".join(words)
        if base_form(words[0]) == words[0] and is_verb(words[0])
        else f"get the {' '.join(words)}"
    )


def _intent(draft: DraftCall, offers: Sequence[Offer], draw: random.Random) -> str:
    """A phrase that the matcher takes for this tool and for no other."""
    offer = draft.tool.offer
    names = {other.name.lower() for other in offers}
    phrases = [
        phrase for phrase in intents(offer.name, offer.description) if not names & set(phrase.lower().split())
    ]
    phrases = draw.sample(phrases, len(phrases)) or [f"get help with {spoken_name(offer.name)}"]
    things = [
        _thing(one.origin.field.holder, one.origin.field.name, one.origin.tool)
        for one in draft.arguments
        if one.origin
    ]
    if things:  # phrases that speak of the thing can point at it: "cancel that order"
        phrases.sort(key=lambda phrase: next(_placed(phrase, things[0], ""), None) is None)
    own = offers.index(offer)
    best, margin = phrases[0], -9.0
    for phrase in phrases:
        found = scores(f"can you {phrase}", offers)
        others = max((score for place, score in enumerate(found) if place != own), default=0.0)
        if found[own] - others > 0.15 and found[own] > 0.5:
            return phrase
        if found[own] - others > margin:
            best, margin = phrase, found[own] - others
    return best if margin > 0 else _spelled(offer)


def _values(draft: DraftCall, draw: random.Random) -> str:
    """The values of a call, said within the request."""
    said = ""
    for argument in draft.arguments:
        if argument.source == "user":
            for slot, value in _facts(argument.slot, argument.value):
                options = clauses(slot, inline=True) or ["with {v} as the " + fill_names("{w}", slot)]
                said += " " + with_value(draw.choice(options), value, _spoken(value))
    return said


def _facts(slot: Slot, value: Any) -> Iterator[tuple[Slot, Any]]:
    """What is told of a value: of an object, or of the one object in a list, each field by itself."""
    entry = value[0] if isinstance(value, list) and len(value) == 1 else value
    if slot.inner and isinstance(entry, dict):
        for inner in slot.inner:
            yield from _facts(inner, entry[inner.name]) if inner.name in entry else ()
    else:
        yield slot, value


def _spoken(value: Any) -> str:
    text = say(value)
    return f'"{text}"' if len(text.split()) > 3 and not re.match(r"\w+ \d", text) else text


def _pointed(phrase: str, draft: DraftCall, draw: random.Random) -> str:
    """The phrase with the thing from an earlier answer that it is about."""
    learnt = [one for one in draft.arguments if one.origin is not None]
    if not learnt:
        return phrase
    ids = [one for one in learnt if is_learnt(one.slot) or one.slot.inner]
    if not ids:
        return f"{phrase}{_echo(learnt)}"
    origin = ids[0].origin
    assert origin is not None
    thing = _thing(origin.field.holder, origin.field.name, origin.tool)
    pick = draw.choice((*_PICKS, "cheapest") if origin.priced else _PICKS) if origin.field.listed else ""
    if draft.again and pick:
        pick = "second"
    pointer = f"the {pick} {thing}" if pick else f"that {thing}"
    return next(_placed(phrase, thing, pointer), f"{phrase} for {pointer}")


def _echo(learnt: Sequence[DraftArgument]) -> str:
    """A mention of what an earlier answer told: a place, a day, an address."""
    kinds = [one.slot.kind for one in learnt]
    if any(kind in _PLACES for kind in kinds):
        return " there"
    if any(one.slot.is_day or one.slot.is_moment for one in learnt):
        return (
            " for the same dates"
            if len(learnt) > 1
            else " for the same time"
            if learnt[0].slot.is_moment
            else " for the same day"
        )
    return f" with that {spoken_parameter(learnt[0].slot.name)}"


_PLACES: Final = frozenset("city city_to latitude longitude country airport airport_to".split())


def _thing(holder: str, name: str, tool: str) -> str:
    words = split_name(name)
    if words[-1] in {"id", "number", "reference", "code"} and len(words) > 1:
        return spoken_name("_".join(words[:-1]))
    holder_words = split_name(holder)
    if holder_words and holder_words[-1] not in _GENERAL:
        return spoken_name("_".join((*holder_words[:-1], singular(holder_words[-1]))))
    return thing_of(tool)


# In "the hotel rooms" the hotel is no thing of its own.
_THING_ENDS: Final = re.compile(r"$|\s+(?:for|of|in|with|on|at|to|from|by|and|there)\b|[,.]")


def _placed(phrase: str, thing: str, pointer: str) -> Iterator[str]:
    """The phrase with its own mention of the thing made definite."""
    found = re.search(
        rf"\b(?:an?|the|one|their)\s+((?:\w+\s+)?{re.escape(thing.rsplit(maxsplit=1)[-1])})\b(?!s)", phrase
    )
    if found and _THING_ENDS.match(phrase[found.end() :]):
        inner = found.group(1)
        kept = pointer.rsplit(" ", len(thing.split()))[0]
        yield f"{phrase[: found.start()]}{kept} {inner}{phrase[found.end() :]}"
