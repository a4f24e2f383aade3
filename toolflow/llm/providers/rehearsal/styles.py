"""How a person types: openers, reactions and links between the things they want."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from toolflow.llm.providers.rehearsal.prompt import Said


@dataclass(frozen=True, slots=True)
class Style:
    """How a person types."""

    lower: bool = False
    terse: bool = False
    formal: bool = False
    chatty: bool = False


def style_of(persona: str) -> Style:
    """The style that a persona's description tells."""
    told = persona.lower()
    return Style(
        lower="lower case" in told or "casually" in told,
        terse=any(
            word in told for word in ("few words", "terse", "straight to the point", "short sentences")
        ),
        formal=any(word in told for word in ("polite", "full sentences", "for a boss", "precise")),
        chatty=any(
            word in told
            for word in ("chatty", "friendly", "cheerful", "thinks aloud", "enthusiastic", "curious")
        ),
    )


_ASKS: Final = (
    "Can you {}?",
    "Could you {}?",
    "I'd like to {}.",
    "I need to {}.",
    "Please {}.",
    "Can you help me {}?",
    "I want to {}.",
)
_FORMAL: Final = (
    "Could you please {}?",
    "I would like to {}.",
    "Would you {}, please?",
    "Please {}.",
    "I need to {}.",
)
_CHATTY: Final = (
    "Could you {} for me?",
    "I'm hoping to {}.",
    "I'd love to {}.",
    "Can you help me {}?",
    "Would you be able to {}?",
    "I need to {}.",
)
_TERSE: Final = ("{}.", "{} please.", "Need to {}.", "{}.")
ALSO: Final = ("Also, {}.", "And could you also {}?", "I'd also like to {}.", "Please also {}.")
THEN: Final = ("Then please {}.", "After that, please {}.", "Once you have that, {} please.", "And then {}.")
FIRST: Final = ("Hi!", "Hello,", "Hey,", "Hi there,", "Good morning.", "", "", "")
_REACTIONS: Final = (
    "Great, thanks.", "Perfect.", "Thanks!", "Okay, good to know.", "That works.", "Got it, thank you.",
    "Sounds good.", "Lovely.",
    "Alright.", "Good.", "That helps, thanks.", "Nice.", "Excellent.", "Fine by me.",
)  # fmt: skip
_TERSE_REACTIONS: Final = ("ok.", "Thanks.", "Good.", "Got it.", "", "Fine.", "")
_FORMAL_REACTIONS: Final = (
    "Thank you.",
    "Very good, thank you.",
    "That is clear, thank you.",
    "Thank you, that is helpful.",
    "Understood.",
)
_CHATTY_REACTIONS: Final = (
    "Oh nice, thanks!", "Perfect, that's exactly what I was after.", "Ah great, thank you!", "Wonderful.",
    "Brilliant, thanks.",
    "Okay, that's good news.", "Good to know!",
)  # fmt: skip
SEGUES: Final = ("", "", "", "Next,", "One more thing:", "While I'm at it,", "Now,", "Something else:")


def asks_of(style: Style) -> Sequence[str]:
    """The ways in which a person of this style asks for something; ``{}`` stands for an infinitive."""
    if style.terse:
        return _TERSE
    if style.formal:
        return _FORMAL
    return _CHATTY + _ASKS if style.chatty else _ASKS


def reaction_to(said: Sequence[Said], style: Style, draw: random.Random) -> str:
    """A word on what the assistant just said, another one than before; empty at the beginning."""
    if not said:
        return ""
    options: Sequence[str] = _REACTIONS
    if style.terse:
        options = _TERSE_REACTIONS
    elif style.formal:
        options = _FORMAL_REACTIONS
    elif style.chatty:
        options = (*_REACTIONS, *_CHATTY_REACTIONS, *_CHATTY_REACTIONS)
    used = {one.text.split(".")[0].split("!")[0] for one in said if one.speaker == "user"}
    fresh = [one for one in options if one.rstrip(".!") not in used]
    return draw.choice(fresh or options)
