"""Talk that needs no tool: what the user says, how to recognise it, and sensible replies."""

from __future__ import annotations

import random
import re
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

import msgspec

from toolflow.llm.providers.rehearsal import lexicon


class Smalltalk(NamedTuple):
    """One subject of small talk.

    Attributes:
        request: The goal as a planner words it.
        cue: What a message on it holds.
        messages: What a user may say.
        replies: What an assistant may answer.
    """

    request: str
    cue: re.Pattern[str]
    messages: tuple[str, ...]
    replies: tuple[str, ...]


class _Row(msgspec.Struct):
    request: str
    cue: str
    messages: tuple[str, ...]
    replies: tuple[str, ...]


_GREETING: Final = re.compile(
    r"^\W*(?:hi|hello|hey|good (?:morning|afternoon|evening))\b[\w\s,]{0,20}[.!]*$", re.I
)
_THANKS: Final = re.compile(r"\b(?:thanks|thank you|cheers|appreciate it)\b", re.I)
_BYE: Final = re.compile(r"\b(?:bye|goodbye|that's all|that is all|see you|good night)\b", re.I)
_QUESTION: Final = re.compile(r"\?")
_CLOSING: Final = (
    "You're welcome! Let me know if anything else comes up.",
    "Any time. Have a good day!",
    "Glad I could help.",
)
_OPENING: Final = ("Hello! What can I do for you today?", "Hi there! How can I help?")
_UNSURE: Final = (
    "That depends on what matters most to you. I'd start with the simplest option and adjust from there.",
    "Opinions differ on that one. I'd weigh cost, time and fun, and go with what fits you best.",
    "I don't have a firm view, but in general a bit of planning ahead pays off there.",
)
_HEARD: Final = (
    "I see, thanks for telling me.",
    "Understood. Tell me whenever you'd like to go on.",
    "That makes sense.",
)


@cache
def subjects() -> tuple[Smalltalk, ...]:
    """All subjects."""
    rows = msgspec.json.decode(files(lexicon).joinpath("smalltalk.json").read_bytes(), type=tuple[_Row, ...])
    return tuple(Smalltalk(row.request, re.compile(row.cue, re.I), row.messages, row.replies) for row in rows)


def subject_of(text: str) -> Smalltalk | None:
    """The subject that a message is on."""
    return next((subject for subject in subjects() if subject.cue.search(text)), None)


def message_for(request: str, draw: random.Random) -> str | None:
    """What a user says for a chat goal of the planner; None for any other goal."""
    found = next((subject for subject in subjects() if subject.request == request), None)
    return None if found is None else draw.choice(found.messages)


def reply_to(text: str, draw: random.Random) -> str:
    """A friendly answer to a message that needs no tool."""
    subject = subject_of(text)
    if subject is not None:
        return draw.choice(subject.replies)
    if _GREETING.match(text):
        return draw.choice(_OPENING)
    if _THANKS.search(text) or _BYE.search(text):
        return draw.choice(_CLOSING)
    return draw.choice(_UNSURE if _QUESTION.search(text) else _HEARD)
