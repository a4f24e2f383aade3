"""Which of the offered tools a request is about, and the parts that a request has."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec

from toolflow.llm.providers.rehearsal.intents import base_form
from toolflow.llm.providers.rehearsal.schemas import required_of
from toolflow.llm.providers.rehearsal.spoken import Slot, slot_of
from toolflow.llm.providers.rehearsal.words import content_stems, split_name, stem

_FIRST_SENTENCE: Final = re.compile(r"(?<=[a-z)])\.\s|\n\n")
_OPENER: Final = re.compile(
    r"\b(?:can|could|would|will) (?:you|we|i)\b|\bplease\b|\bi(?:'d| would) (?:like|love) (?:you )?to\b"
    r"|\bi(?:'m| am) (?:trying|looking|hoping|planning)\b|\bi (?:also )?(?:need|want|have) (?:you )?to\b"
    r"|\bhelp me\b|\blet's\b|\blet me\b|\bhow about\b|\bgo ahead and\b|\bi need\b|\bi want\b"
    r"|\bis it possible to\b|\bwhat(?:'s| is| are)\b|\bwho\b|\bwhere\b|\bwhen\b"
    r"|\bhow (?:much|many|long|far)\b|\bshow me\b|\btell me\b|\bgive me\b|\bnext[:,]|\bnow[:,]? |\balso\b"
    r"|^(?:and )?then\b|^after that\b|^once (?:you|that)\b|^while you\b|^(?:go ahead|go on) and\b",
    re.I,
)
_PART: Final = re.compile(
    r'(?:(?<=[.!?])\s+(?=[A-Za-z"])|\n+|,?\s+and (?:then|also|after that|afterwards|while you\'re at '
    r'it)\s+|;\s+|,?\s+then also\s+)(?=(?:[^"]*"[^"]*")*[^"]*$)',
    re.I,
)
_SEQUENCE: Final = re.compile(
    r"\b(?:then|after that|once you have|once that's|afterwards|with that|when that's done)\b", re.I
)
_QUOTED: Final = re.compile(r'"[^"]*"')
_LEAST_SCORE: Final = 0.34
_OPENER_WITHIN: Final = 48
_SHORT: Final = 7
_SURE: Final = 0.7
_PHRASAL: Final = re.compile(r"\b(?:look|search|looking|searching) for\b")
_LETTERS: Final = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool as the assistant sees it, made ready for matching.

    Attributes:
        name: The function name.
        schema: Its parameters.
        slots: Its parameters as things to be told, required ones first.
        required: Names of those that a call needs.
        strong: Stems of its name.
        weak: Stems of the first sentence of its description.
        faint: Stems of its parameters' names.
        verb: Stem of what it does.
        word: What it does, as its name says it.
        nouns: The words of its name but the verb, as they stand: ``orders`` is another tool than ``order``.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    slots: tuple[Slot, ...]
    required: frozenset[str]
    strong: frozenset[str]
    weak: frozenset[str]
    faint: frozenset[str]
    verb: str
    word: str
    nouns: frozenset[str]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing asked in a request.

    Attributes:
        text: The words of this part, with what was said about it.
        tool: The tool that serves it.
        follows: Whether it waits for the part before it.
    """

    text: str
    tool: str
    follows: bool


_offers: dict[bytes, Offer] = {}
_OFFERS_KEPT: Final = 4_096


def offer_of(name: str, description: str, schema: Mapping[str, Any]) -> Offer:
    """The offer of a tool; analysed once for each distinct tool."""
    key = msgspec.json.encode((name, description, schema))
    known = _offers.get(key)
    if known is None:
        if len(_offers) >= _OFFERS_KEPT:
            _offers.clear()
        known = _offers[key] = _analysed(name, description, schema)
    return known


def _analysed(name: str, description: str, schema: Mapping[str, Any]) -> Offer:
    properties = schema.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    declared = required_of(schema)
    required = frozenset(declared)
    slots = [slot_of(one, inner, schema) for one, inner in properties.items() if isinstance(inner, Mapping)]
    slots.sort(key=lambda slot: declared.index(slot.name) if slot.name in required else len(declared))
    words = split_name(name)
    return Offer(
        name,
        description,
        schema,
        tuple(slots),
        frozenset(required & properties.keys()),
        content_stems(" ".join(words)),
        content_stems(_FIRST_SENTENCE.split(description)[0][:300]),
        content_stems(" ".join(" ".join(split_name(slot.name)) for slot in slots)),
        stem(base_form(words[0])) if words else "",
        words[0] if words else "",
        frozenset(words[1:]),
    )


@lru_cache(maxsize=4_096)
def _weights(
    names: tuple[str, ...], stems: tuple[tuple[frozenset[str], frozenset[str]], ...]
) -> Mapping[str, float]:
    """Inverse document frequency among the offered tools: what all of them share tells nothing."""
    seen: Counter[str] = Counter()
    for strong, weak in stems:
        seen.update(strong | weak)
    count = len(names)
    return {word: math.log(1 + count / times) for word, times in seen.items()}


def scores(text: str, offers: Sequence[Offer]) -> list[float]:
    """How well each tool fits a text: 0 where no word is shared, about 1 where its whole name is said."""
    weights = _weights(
        tuple(offer.name for offer in offers), tuple((offer.strong, offer.weak) for offer in offers)
    )
    plain = _PHRASAL.sub("find", text.lower())
    said = content_stems(plain)
    spoken = frozenset(_LETTERS.findall(plain))
    found: list[float] = []
    for offer in offers:
        named = sum(weights[word] for word in offer.strong)
        told = sum(weights[word] for word in offer.weak)
        strong = sum(weights[word] for word in offer.strong & said)
        weak = sum(weights[word] for word in offer.weak & said)
        faint = len(offer.faint & said)
        # Words that were said and that no part of the tool explains speak against it.
        foreign = sum(weights.get(word, 0.0) for word in said - offer.strong - offer.weak - offer.faint)
        found.append(
            (strong / named if named else 0.0)
            + 0.8 * (weak / told if told else 0.0)
            + 0.25 * (strong + weak) / (1.0 + strong + weak)
            + 0.02 * faint
            + (0.15 if offer.verb in said else 0.0)
            + (0.2 if offer.word in spoken else 0.0)
            + 0.05 * strong
            + (0.3 * len(offer.nouns & spoken) / len(offer.nouns) if offer.nouns else 0.0)
            - 0.12 * foreign
        )
    return found


def best_offer(text: str, offers: Sequence[Offer], least: float = _LEAST_SCORE) -> Offer | None:
    """The tool that a text is about; None where none fits."""
    if not offers:
        return None
    found = scores(text, offers)
    best = max(range(len(offers)), key=found.__getitem__)
    return offers[best] if found[best] >= least else None


def split_request(text: str) -> list[str]:
    """A message in parts: sentences, and what ``and also`` or ``and then`` joins. Quotations stay whole."""
    return [part.strip() for part in _PART.split(text) if part and part.strip()]


def parts_of(text: str, offers: Sequence[Offer]) -> list[Part]:
    """The things asked in a request, each with the tool that serves it; facts go to the part before them."""
    parts: list[Part] = []
    # What is quoted asks for nothing, as it is for somebody else: "please start without me".
    pieces = [(piece, _QUOTED.sub(" ", piece), joint) for piece, joint in _pieces(text)]
    opened = any(_opens(own) for _, own, _ in pieces)
    for piece, own, joint in pieces:
        # What stands before the first opener, such as "Great, thanks.", is no request where there is one.
        asks = _opens(own) or bool(joint) or not parts
        before = opened and not _opens(own) and len(piece.split()) < _SHORT
        offer = best_offer(own, offers, _SURE if before else _LEAST_SCORE) if asks else None
        if offer is not None:
            parts.append(Part(piece, offer.name, bool(parts) and bool(_SEQUENCE.search(joint + piece))))
        elif parts:
            last = parts[-1]
            parts[-1] = Part(f"{last.text} {piece}", last.tool, last.follows)
    return parts


def _opens(piece: str) -> bool:
    return _OPENER.search(piece[:_OPENER_WITHIN]) is not None


def _pieces(text: str) -> list[tuple[str, str]]:
    """The parts of a message, each with the words that joined it to the one before."""
    pieces: list[tuple[str, str]] = []
    end, joint = 0, ""
    for found in _PART.finditer(text):
        piece = text[end : found.start()].strip()
        if piece:
            pieces.append((piece, joint))
        joint = found.group().strip(" ,;\n")
        end = found.end()
    rest = text[end:].strip()
    return [*pieces, (rest, joint)] if rest else pieces
