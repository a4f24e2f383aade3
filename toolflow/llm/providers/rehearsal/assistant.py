"""The assistant: calls, asks, answers or chats, deciding from the conversation alone."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from toolflow.catalog.tool import encode_json
from toolflow.clock import derive_random
from toolflow.dialogue.message import Message, ToolCall
from toolflow.llm.chat import Request
from toolflow.llm.providers.rehearsal.answer import answer_from
from toolflow.llm.providers.rehearsal.arguments import fill
from toolflow.llm.providers.rehearsal.conversation import Called, Conversation, read_conversation
from toolflow.llm.providers.rehearsal.intents import intents
from toolflow.llm.providers.rehearsal.matching import Offer, Part, parts_of
from toolflow.llm.providers.rehearsal.mistakes import slips, spoil_call
from toolflow.llm.providers.rehearsal.questions import ask_for
from toolflow.llm.providers.rehearsal.smalltalk import reply_to, subject_of
from toolflow.llm.providers.rehearsal.words import listed

_MOST_CALLS: Final = 6
_ASKING: Final = re.compile(r"\b(?:can|could|would) you\b|\bi (?:need|want)\b|\bi'd like\b|\bplease\b", re.I)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the assistant does: calls, or words."""

    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    words: str = ""


def play_assistant(request: Request, mistakes: float) -> Message:
    """The assistant's message, with native tool calls."""
    conversation = read_conversation(request)
    decision = decide(conversation, request.seed, may_call=request.tool_choice != "none")
    calls = [(name, encode_json(arguments)) for name, arguments in decision.calls]
    if calls and not conversation.problems:
        draw = derive_random(request.seed, "assistant mistake")
        if slips(draw, mistakes):
            calls[0] = spoil_call(*decision.calls[0], draw)
    named = tuple(
        ToolCall(f"call_{request.seed % 10**8}_{place}", name, text)
        for place, (name, text) in enumerate(calls)
    )
    return Message("assistant", decision.words, named)


def decide(conversation: Conversation, seed: int, *, may_call: bool) -> Decision:  # noqa: PLR0911  one return a decision
    """What to do now.

    Args:
        conversation: All that was said, called and returned.
        seed: For the choice of words.
        may_call: Whether calls are allowed.
    """
    draw = derive_random(seed, "assistant")
    made = conversation.calls_made
    opening = conversation.replies[0] if conversation.replies else ""
    parts = _parts(conversation, opening)
    if (
        not may_call
        or len(made) >= _MOST_CALLS
        or (conversation.problems and "no more calls" in conversation.problems)
    ):
        return Decision(words=answer_from(made, draw) if made else reply_to(opening, draw))
    calls, asked = _next_calls(parts, conversation, made)
    if calls and not _was_rejected(calls, conversation):
        return Decision(calls=tuple(calls))
    if calls and asked is None:
        return Decision(
            words="I'm sorry, I'm unable to do that with the details I have. Tell me more and I'll try again."
        )
    if asked is not None and not made:
        return Decision(words=asked(draw))
    if made:
        words = answer_from(made, draw)
        return Decision(words=f"{words} {asked(draw)}" if asked is not None else words)
    if not parts and conversation.offers and _ASKING.search(opening) and subject_of(opening) is None:
        return Decision(words=_cannot(conversation.offers, draw))
    return Decision(words=reply_to(conversation.replies[-1] if conversation.replies else "", draw))


def _parts(conversation: Conversation, opening: str) -> list[Part]:
    """What the request asks for; nothing where it is small talk."""
    if not opening or subject_of(opening) is not None:
        return []
    return parts_of(opening, conversation.offers)


def _next_calls(
    parts: Sequence[Part], conversation: Conversation, made: Sequence[Called]
) -> tuple[list[tuple[str, dict[str, Any]]], Any]:
    """The calls that can be made now, and the question for what keeps the first other one from being made."""
    offers: dict[str, Offer] = {offer.name: offer for offer in conversation.offers}
    served = Counter(call.tool for call in made)
    calls: list[tuple[str, dict[str, Any]]] = []
    for part in parts:
        if served[part.tool]:
            served[part.tool] -= 1
            continue
        if part.follows and calls:
            break  # it needs what the calls before it return
        arguments, missing = fill(offers[part.tool], part, conversation, made)
        if missing and calls:
            break
        if missing:
            return [], ask_for(missing, part.text)
        if (part.tool, arguments) not in calls and not any(
            call.tool == part.tool and call.arguments == arguments for call in made
        ):
            calls.append((part.tool, arguments))
    return calls, None


def _was_rejected(calls: Sequence[tuple[str, dict[str, Any]]], conversation: Conversation) -> bool:
    """Whether these very calls were just sent back: to repeat them would be no use."""
    return bool(conversation.rejected) and all(
        name in conversation.rejected and encode_json(arguments) in conversation.rejected
        for name, arguments in calls
    )


def _cannot(offers: Sequence[Offer], draw: random.Random) -> str:
    can = [offer.name for offer in offers][:3]
    phrases = [intents(offer.name, offer.description)[0] for offer in offers if offer.name in can]
    own = [_MY.sub("your", phrase) for phrase in phrases]
    return draw.choice(_CANNOT).format(listed(own, "or"))


_MY: Final = re.compile(r"\btheir\b")
_CANNOT: Final = (
    "I'm afraid I can't help with that one. What I can do is {}.",
    "That's outside what I can do here, I'm afraid. I can {}, if that helps.",
)
