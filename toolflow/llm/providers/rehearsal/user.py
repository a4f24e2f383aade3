"""The user simulator: opens goals, answers questions, reacts, and leaves when all is settled."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from toolflow.clock import derive_random
from toolflow.llm.chat import Request
from toolflow.llm.providers.rehearsal.composing import answer_with, insist_on, open_goal
from toolflow.llm.providers.rehearsal.mistakes import slips
from toolflow.llm.providers.rehearsal.phrasing import read_fact
from toolflow.llm.providers.rehearsal.prompt import (
    Said,
    as_object,
    conversation,
    first_text,
    is_repair,
    json_block,
    labelled,
)
from toolflow.llm.providers.rehearsal.spoken import slot_for
from toolflow.llm.providers.rehearsal.styles import Style, style_of
from toolflow.llm.providers.rehearsal.words import content_stems, split_name

_OFFER: Final = re.compile(
    r"\b(?:anything else|something else|help (?:you )?with|what else|else (?:i|you))\b", re.I
)
_CANNOT: Final = re.compile(
    r"\b(?:i can(?:'t|not)|i'm (?:not able|unable|afraid)|i am (?:not able|unable)|unable to|don't have "
    r"(?:a|any) (?:tool|way))\b",
    re.I,
)
_GIVE_UP_AFTER: Final = 2
_EARLY_GOODBYES: Final = 0.25
"""Of a user's turns, how many are an opportunity to leave too soon."""


def play_user(request: Request, mistakes: float) -> dict[str, str]:
    """The user's turn: ``status`` and ``message``."""
    prompt = next((m.content for m in reversed(request.messages) if "What do you do?" in m.content), "")
    prompt = prompt or first_text(request.messages, "goal")
    system = request.messages[0].content if request.messages else ""
    style = style_of(labelled(system, "The person:"))
    current, upcoming = json_block(prompt, "goal"), json_block(prompt, "next_goal")
    said = conversation(prompt)
    draw = derive_random(request.seed, "user")
    if current is not None and not is_repair(request.messages) and slips(draw, mistakes * _EARLY_GOODBYES):
        return _reply("finished" if upcoming is None else "gave_up", "")
    status, message = _turn(
        as_object(current) if current else None, as_object(upcoming) if upcoming else None, said, style, draw
    )
    return _reply(status, message)


def _reply(status: str, message: str) -> dict[str, str]:
    return {"status": status, "message": message}


def _turn(
    current: Mapping[str, Any] | None,
    upcoming: Mapping[str, Any] | None,
    said: Sequence[Said],
    style: Style,
    draw: random.Random,
) -> tuple[str, str]:
    last = said[-1].text if said and said[-1].speaker == "assistant" else ""
    if current is not None and last:
        if _asks(last):
            return _answer(current, said, last, style, draw)
        if _CANNOT.search(last):
            return _insist(current, said, style, draw)
    if upcoming is None:
        return "finished", ""
    return "next_goal", open_goal(upcoming, said, style, draw)


def _asks(text: str) -> bool:
    """Whether the assistant wants to know something, and does not merely offer more help."""
    stripped = text.rstrip()
    question = re.split(r"(?<=[.!?])\s+", stripped)[-1]
    return stripped.endswith("?") and not _OFFER.search(question)


def _answer(
    goal: Mapping[str, Any], said: Sequence[Said], question: str, style: Style, draw: random.Random
) -> tuple[str, str]:
    facts, kept = dict(as_object(goal.get("facts"))), dict(as_object(goal.get("only_when_asked")))
    own = " ".join(one.text for one in said[-6:] if one.speaker == "user")
    unsaid = {
        name: value
        for name, value in (kept | facts).items()
        if name in kept and not _is_said(own, name, value)
    } or {name: value for name, value in (kept | facts).items() if not _is_said(own, name, value)}
    asked = {name: value for name, value in (facts | kept).items() if _is_asked(question, name)}
    give = {**{name: value for name, value in asked.items() if name in unsaid}} or unsaid or asked
    repeats = _trailing(said, _asks)
    if repeats > _GIVE_UP_AFTER + 1:
        return "gave_up", ""
    if not give or repeats > _GIVE_UP_AFTER:
        if repeats > _GIVE_UP_AFTER - 1 and not give:
            return "gave_up", ""
        return "continue", draw.choice(
            (
                "I don't know that one, sorry. Could you pick whatever makes sense?",
                "No idea, to be honest. I'll leave that up to you.",
                "I'm not sure. Anything reasonable is fine with me.",
            )
        )
    return "continue", answer_with(give, style, draw, plain=repeats > 1)


def _is_said(text: str, name: str, value: Any) -> bool:
    return bool(read_fact(text, slot_for(name, value)) == value)


def _is_asked(question: str, name: str) -> bool:
    return bool(content_stems(question) & content_stems(" ".join(split_name(name))))


def _insist(
    goal: Mapping[str, Any], said: Sequence[Said], style: Style, draw: random.Random
) -> tuple[str, str]:
    if _trailing(said, lambda text: bool(_CANNOT.search(text))) >= _GIVE_UP_AFTER:
        return "gave_up", ""
    return "continue", insist_on(goal, style, draw)


def _trailing(said: Sequence[Said], test: Callable[[str], bool]) -> int:
    """How many of the assistant's newest messages in a row pass a test."""
    count = 0
    for one in reversed(said):
        if one.speaker == "assistant":
            if not test(one.text):
                break
            count += 1
    return count
