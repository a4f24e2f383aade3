"""Questions for what is missing, as a person would ask them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from toolflow.llm.providers.rehearsal.manners import counted, manner, spoken_parameter
from toolflow.llm.providers.rehearsal.spoken import Slot
from toolflow.llm.providers.rehearsal.words import listed, split_name

_QUESTIONS: Final[dict[str, tuple[str, ...]]] = {
    "city_from": ("Where will you be leaving from?", "Which city are you starting from?"),
    "airport_from": ("Which airport are you leaving from?",),
    "city_to": ("Where would you like to go?", "What's your destination?"),
    "airport_to": ("Which airport are you flying to?",),
    "city": ("Which city should I look at?", "In which city?", "What city is this for?"),
    "country": ("Which country is this for?",),
    "date": ("For what date?", "What date would you like?", "Which day should that be?"),
    "date_start": ("From what date?", "What's the start date?"),
    "date_end": ("Until what date?", "What's the end date?"),
    "check_in": ("When would you like to check in?", "What's your check-in date?"),
    "check_out": ("When will you check out?", "What's your check-out date?"),
    "leaving": ("What date would you like to leave?", "On which day are you leaving?"),
    "returning": ("When are you coming back?", "What's your return date?"),
    "time": ("At what time?", "What time suits you?"),
    "moment": ("On what date, and at what time?", "When should that be?"),
    "people": ("How many {n} will there be?", "For how many {n}?"),
    "measured": ("How many {n} should it be?", "For how many {n}?"),
    "level": ("To what {w}?",),
    "email": ("What email address should I use?", "Which email address is it?"),
    "phone": ("What's the phone number?",),
    "keyword": ("What should I search for?", "What are you looking for exactly?"),
    "topic": ("What topic are you interested in?",),
    "saying": ("What should the {w} say?",),
    "titled": ("What should the {w} be?", "What {w} would you like?"),
    "person": ("What name should I put it under?", "Could you tell me the {w}?"),
    "street": ("What's the address?", "Which address should I use?"),
    "id": ("Could you give me the {w}?", "What's the {w}?"),
    "max_price": ("What's the most you'd like to spend?",),
    "amount": ("How much should it be?",),
    "cuisine": ("What kind of food are you in the mood for?",),
    "genre": ("Which genre do you prefer?",),
}  # fmt: skip
_GENERAL: Final = (
    "What {w} should I use?",
    "Could you tell me the {w}?",
    "What should the {w} be?",
    "Which {w} would you like?",
)
_CHOICE: Final = ("Which {w} would you like: {o}?", "What {w} should it be, {o}?")
_LEADS: Final = ("", "", "Sure. ", "Happy to help. ", "Of course. ", "Gladly. ")
_SEVERAL: Final = (
    "Could you tell me {}?",
    "I just need {}. Could you give me those?",
    "To do that, could you give me {}?",
)
_MOST_CHOICES: Final = 4

Question = Callable[[random.Random], str]


def ask_for(missing: Sequence[Slot], _request: str) -> Question:
    """A question for required parameters; it is worded when it is drawn."""
    return lambda draw: (
        draw.choice(_LEADS)
        + (
            _one(missing[0], draw)
            if len(missing) == 1
            else draw.choice(_SEVERAL).format(listed([_named(slot) for slot in missing]))
        )
    )


def _one(slot: Slot, draw: random.Random) -> str:
    way = manner(slot.name, slot.kind, slot.type, slot.style)
    options = [str(one).replace("_", " ") for one in slot.choices]
    if 1 < len(options) <= _MOST_CHOICES and slot.type != "boolean":
        return draw.choice(_CHOICE).format_map({"w": spoken_parameter(slot.name), "o": listed(options, "or")})
    templates = _QUESTIONS.get(way) or _QUESTIONS.get(slot.kind) or _GENERAL
    return draw.choice(templates).format_map({"w": spoken_parameter(slot.name), "n": counted(slot.name)})


def _named(slot: Slot) -> str:
    if slot.inner:
        inner = listed([spoken_parameter(one.name) for one in slot.inner])
        return f"the {inner} for the {spoken_parameter(slot.name)}"
    words = split_name(slot.name)
    if slot.type in {"integer", "number"} and words[-1] in {"count", "size"}:
        return f"the number of {counted(slot.name)}"
    return f"the {spoken_parameter(slot.name)}"
