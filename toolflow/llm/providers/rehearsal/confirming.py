"""The words with which an assistant confirms what it has done."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final

from toolflow.llm.providers.rehearsal.choosing import currency_of, told_as, weightiest
from toolflow.llm.providers.rehearsal.conversation import Called
from toolflow.llm.providers.rehearsal.intents import base_form, verb_of
from toolflow.llm.providers.rehearsal.words import capitalised, is_plural, listed, split_name, spoken_name
from toolflow.llm.providers.rehearsal.world import is_id

_PAST: Final = {
    "book": "booked", "reserve": "reserved", "create": "created", "add": "added", "make": "made",
    "update": "updated",
    "change": "changed", "modify": "changed", "cancel": "cancelled", "delete": "deleted",
    "remove": "removed", "send": "sent",
    "pay": "paid", "place": "placed", "order": "ordered", "buy": "bought", "purchase": "bought",
    "set": "set", "share": "shared",
    "request": "requested", "register": "registered", "subscribe": "set up", "save": "saved",
    "log": "logged", "assign": "assigned",
    "invite": "invited", "reply": "sent", "schedule": "scheduled", "reschedule": "moved",
    "transfer": "transferred", "move": "moved",
    "play": "started", "start": "started", "stop": "stopped", "submit": "submitted", "post": "posted",
    "record": "recorded",
    "upload": "uploaded", "rename": "renamed", "switch": "switched", "turn": "switched",
    "edit": "changed", "open": "opened",
}  # fmt: skip
_DONE: Final = ("Done! {}", "All set. {}", "{}", "{}", "That's done. {}")
_REFERENCES: Final = frozenset(
    (
        "booking",
        "reference",
        "confirmation",
        "reservation",
        "tracking",
        "order",
        "ticket",
        "appointment",
        "case",
    )
)


def confirm(call: Called, result: Mapping[str, Any], draw: random.Random) -> str:
    """What was done, how it stands now, and the reference that the user should keep."""
    words = [word for word in split_name(call.tool) if not word.isdigit()]
    verb = verb_of(call.tool)
    thing = (
        " ".join(
            spoken_name(word) for word in words if base_form(word) != verb and word not in {"to", "the", "a"}
        )
        or "request"
    )
    status = next(
        (
            str(value)
            for name, value in result.items()
            if split_name(name)[-1:] == ("status",) and isinstance(value, str)
        ),
        "",
    )
    past = _PAST.get(verb, "done")
    lead = draw.choice(
        (
            f"I've {past} the {thing}.",
            f"Your {thing} {'are' if is_plural(thing.split()[-1]) else 'is'} {past}.",
        )
    )
    if status in {"pending", "waitlisted", "failed", "declined"}:
        lead = f"Your {thing} is {status} for now."
    currency = currency_of(result, call)
    fields = [
        (name, value)
        for name, value in weightiest(result, call, "", 3)
        if split_name(name)[-1:] != ("status",)
    ]
    references = [
        (name, value)
        for name, value in result.items()
        if is_id(name) and isinstance(value, (str, int)) and name not in call.arguments
        if set(split_name(name)) & _REFERENCES and all(value != told for _, told in fields)
    ][:1]
    clauses = told_as(fields, currency)
    clauses += [f"your {spoken_name(name)} is {value}" for name, value in references]
    return f"{lead} {capitalised(listed(clauses))}." if clauses else draw.choice(_DONE).format(lead)
