"""Answers in plain English from the results of calls."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from toolflow.llm.providers.rehearsal.choosing import (
    currency_of,
    told_as,
    weight_of,
    weightiest,
    worth_telling,
)
from toolflow.llm.providers.rehearsal.confirming import confirm
from toolflow.llm.providers.rehearsal.conversation import Called
from toolflow.llm.providers.rehearsal.intents import verb_of
from toolflow.llm.providers.rehearsal.kinds import kind_of
from toolflow.llm.providers.rehearsal.telling import is_money, label_of, shown, tell
from toolflow.llm.providers.rehearsal.words import (
    capitalised,
    is_plural,
    listed,
    plural,
    singular,
    split_name,
    spoken_name,
)
from toolflow.llm.providers.rehearsal.world import is_write

_FOUND: Final = (
    "I found {n} {things}: {list}.",
    "Here are {n} {things}: {list}.",
    "There are {n} {things}: {list}.",
    "These came up: {list}.",
)
_ONE_FOUND: Final = ("I found one {thing}: {list}.", "There's one {thing}: {list}.")
_NONE_FOUND: Final = (
    "I couldn't find any {things} for that.",
    "Nothing came up, there are no {things} that match.",
)
_LABELLED: Final = ("{label}: {told}.", "Here's {label}: {told}.", "For {label}, {told}.")
_IN_PLACE: Final = ("In {label}, {told}.", "For {label}: {told}.")
_BARE: Final = ("{told}.", "{told}.", "Here's what I have: {told}.", "I checked: {told}.")
_UNSAYING: Final = frozenset(("", "results", "data", "items", "list"))
_LISTING: Final = frozenset(("list", "search", "find", "browse", "query", "discover"))
_JOINTS: Final = (" with", " by", " to", " for", " from", " of", " in")
_MOST_ENTRIES: Final = 3
_MOST_DETAILS: Final = 4


def answer_from(calls: Sequence[Called], draw: random.Random) -> str:
    """What the calls of a request brought, in a few sentences."""
    told = [_describe(call, draw, brief=len(calls) > 1) for call in calls]
    return " ".join(dict.fromkeys(one for one in told if one)) or "That's done."


def _describe(call: Called, draw: random.Random, *, brief: bool) -> str:  # noqa: PLR0911  one return a shape of result
    result = call.result
    if (
        isinstance(result, dict)
        and len(result) == 1
        and isinstance(next(iter(result.values())), (dict, str, int, float))
    ):
        name, inner = next(iter(result.items()))
        result = inner if isinstance(inner, dict) else {name: inner}
    if isinstance(result, dict):
        if isinstance(result.get("error"), str) and result["error"]:
            return f"I'm sorry, that didn't work: {result['error'].rstrip('.')}."
        if is_write(call.tool):
            return confirm(call, result, draw)
        lists = {
            name: one
            for name, one in result.items()
            if isinstance(one, list) and all(isinstance(e, dict) for e in one)
        }
        name, entries = max(lists.items(), key=lambda one: len(one[1]), default=("", []))
        if lists and (verb_of(call.tool) in _LISTING or len(worth_telling(result, call, "")) < 2):
            return _list(name, entries, call, result, draw)
        told = _details(call, result, draw, most=_MOST_DETAILS - 1 if brief else _MOST_DETAILS)
        return f"{told} {_inside(name, entries, call, result)}".rstrip()
    if isinstance(result, list):
        if all(isinstance(one, dict) for one in result):
            return _list(_things(call.tool), result, call, {}, draw)
        return f"Here's what came back: {shown('', result)}."
    if isinstance(result, bool):
        return "Yes, that's the case." if result else "No, that's not the case."
    return f"{capitalised(shown('', result))}." if result is not None else ""


def _inside(name: str, entries: Sequence[Mapping[str, Any]], call: Called, result: Mapping[str, Any]) -> str:
    """A sentence on the list inside a thing that was looked up."""
    if not entries:
        return ""
    told = [_entry(entry, name, call, currency_of(result, call)) for entry in entries[:2]]
    more = len(entries) - len(told)
    rest = f", and {_number(more)} more" if more else ""
    named = spoken_name(name)
    what = capitalised(named) if named.endswith(_JOINTS) else f"The {named}"
    return f"{what}: {_joined(told) if not more else '; '.join(told)}{rest}."


def _things(tool: str) -> str:
    words = [word for word in split_name(tool)[1:] if not word.isdigit()]
    return plural(words[-1]) if words else "results"


def _list(
    name: str,
    entries: Sequence[Mapping[str, Any]],
    call: Called,
    result: Mapping[str, Any],
    draw: random.Random,
) -> str:
    things = " ".join(split_name(name))
    if things in _UNSAYING:
        things = _things(call.tool)
    if not is_plural(things.split()[-1]):
        things = plural(things)
    if not entries:
        return draw.choice(_NONE_FOUND).format(things=things)
    currency = currency_of(result, call)
    told = [_entry(entry, name, call, currency) for entry in entries[:_MOST_ENTRIES]]
    more = len(entries) - len(told)
    if more > 0:
        told.append(f"{more} more" if more > 1 else "one more")
    joined = _joined(told)
    if len(entries) == 1:
        return draw.choice(_ONE_FOUND).format(thing=singular(things), list=joined)
    return draw.choice(_FOUND).format(n=_number(len(entries)), things=things, list=joined)


def _joined(told: Sequence[str]) -> str:
    # Entries that hold commas are set apart by semicolons.
    if any("," in one for one in told) and len(told) > 1:
        return f"{'; '.join(told[:-1])}; and {told[-1]}"
    return listed(told)


def _number(count: int) -> str:
    return (
        ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")[count]
        if count < 10
        else str(count)
    )


def _entry(entry: Mapping[str, Any], holder: str, call: Called, currency: str) -> str:
    label, used = label_of(entry, holder)
    currency = str(entry.get("currency") or currency)
    figures: list[str] = []
    for name, value in sorted(worth_telling(entry, call, used), key=lambda one: -weight_of(one[0])):
        if len(figures) == 2:
            break
        figure = _figure(name, value, currency)
        day, _, clock = figure.partition(" at ")
        figures.append(f"until {clock}" if clock and label.startswith(f"{day} at ") else figure)
    if not label:
        return listed(figures) or "one entry"
    if kind_of(used) == "weekday":
        return f"{capitalised(label)} {' to '.join(figures)}"
    return f"{label} ({', '.join(figures)})" if figures else label


def _figure(name: str, value: Any, currency: str) -> str:  # noqa: PLR0911  one return a kind
    """A field in brackets behind a name, as short as can be."""
    text = shown(name, value, currency)
    kind, words = kind_of(name), split_name(name)
    if kind == "quantity" and isinstance(value, int):
        return f"{text} of them" if value > 1 else "one of them"
    if isinstance(value, bool):
        return tell(name, value).removeprefix("it's ").removeprefix("the ")
    if kind == "rating":
        return f"rated {text}" if "star" not in words else f"{text} stars"
    if is_money(name):
        return f"{text} per night" if "night" in words else text
    if len(words) > 1 and words[-1] == "left":
        return f"{text} {singular(words[-2]) if value == 1 else words[-2]} left"
    if isinstance(value, (int, float)) and text.replace(",", "").replace(".", "").isdigit():
        return (
            f"{text} {' '.join(word for word in words if word not in {'count', 'number', 'of'})}"
            if words[-1:] != ("level",)
            else f"{' '.join(words)} {text}"
        )
    return text


def _details(call: Called, result: Mapping[str, Any], draw: random.Random, *, most: int) -> str:
    label, used = label_of(
        {
            name: value
            for name, value in result.items()
            if split_name(name)[-1:] in {("name",), ("title",), ("city",)}
        }
    )
    fields = weightiest(result, call, used, most)
    currency = currency_of(result, call)
    clauses = told_as(fields, currency)
    if not clauses:
        return (
            f"I found {label}."
            if label
            else draw.choice(
                ("I've checked, and everything looks in order.", "That went through, everything is in order.")
            )
        )
    told = listed(clauses)
    if label:
        forms = _IN_PLACE if split_name(used)[-1:] == ("city",) else _LABELLED
        return capitalised(draw.choice(forms).format(label=label, told=told))
    form = draw.choice(_BARE)
    return capitalised(form.format(told=told))
