"""What the names and texts of tools tell: what a tool is about, what it does, and what it gives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolflow.catalog.tool import Tool
from toolflow.graph.linking.field_table import Floats, Ints
from toolflow.graph.linking.fields import BOOLEAN, Field
from toolflow.graph.linking.naming import own_names
from toolflow.graph.linking.vocabulary import (
    BOILERPLATE,
    CHANGING,
    GIVING,
    LOCAL,
    OUTCOMES,
    PREPOSITIONS,
    VERBS,
)
from toolflow.graph.linking.words import normal_words, split_identifier

_LONGEST_TEXT: Final = 400
_VERB_WITHIN = 3
_LEAST_DEED = 2
_SAYS_RESULT = re.compile(
    r"\b(?:returns?|retrieves?|gives?|gets?|including|outputs?|lists?|finds?)\b(.*?)(?:\.|$)", re.IGNORECASE
)
_NUMBERING = re.compile(r"v?\d+")


def result_text(tool: Tool) -> str:
    """What the documentation says a tool returns; all it says where it does not tell that."""
    schema = tool.returns or {}
    described = schema.get("description")
    native = schema.get("x-native-type")
    said = _SAYS_RESULT.search(tool.description[:_LONGEST_TEXT])
    texts = [
        described if isinstance(described, str) else "",
        " ".join(split_identifier(native)) if isinstance(native, str) else "",
        said[1] if said else "",
    ]
    text = " ".join(text for text in texts if text)[:_LONGEST_TEXT]
    return text or f"{' '.join(split_identifier(tool.name))}: {tool.description[:_LONGEST_TEXT]}"


def content(name: str) -> set[str]:
    """The words of a tool's name that say what it is about."""
    return {word for word in normal_words(name) if word not in VERBS and word not in PREPOSITIONS}


def changes(tool: Tool) -> bool:
    """Whether a tool changes or removes something rather than gives it."""
    words = split_identifier(tool.name)
    said = [word.rstrip("s") for word in split_identifier(tool.description[:_LONGEST_TEXT])[:_VERB_WITHIN]]
    # A description that begins with "Returns" tells of the result.
    verbs = (*words, *(word for word in said if word != "return"))
    verb = next((word for word in verbs if word in CHANGING or word in GIVING), None)
    return verb in CHANGING


def gives_nothing(tool: Tool, fields: Sequence[Field]) -> bool:
    """Whether all that a tool is known to return is whether it went well.

    Args:
        tool: The tool; one whose results are unknown may give anything.
        fields: Its returns.
    """
    if tool.returns is None:
        return False
    if not fields:
        return tool.returns.get("type") in {"boolean", "null"}
    names = [own_names(field)[0] for field in fields]
    return all(
        name in BOILERPLATE or name[-1] in OUTCOMES or field.types == BOOLEAN
        for name, field in zip(names, fields, strict=True)
    )


class Deeds(NamedTuple):
    """What the tools of a catalogue do, and how.

    Attributes:
        number: The same for tools that do the same, -1 for a tool whose name tells too little.
        by_id: Whether it is done by an id.
    """

    number: Ints
    by_id: NDArray[np.bool_]


def deeds_of(tools: Sequence[Tool]) -> Deeds:
    """What each tool does, told from its name; both arrays of shape (tools,)."""
    told = [_deed(tool.name) for tool in tools]
    numbers: dict[tuple[str, ...], int] = {}
    number = [numbers.setdefault(deed, len(numbers)) if len(deed) >= _LEAST_DEED else -1 for deed, _ in told]
    by_id = [not LOCAL.isdisjoint(way) for _, way in told]
    return Deeds(np.array(number, dtype=np.int32), np.array(by_id, dtype=np.bool_))


def variants(deeds: Deeds, producers: range) -> Floats:
    """1 where two tools do the same in two ways, shape (producers, tools).

    Such are ``find_user_by_name`` and ``find_user_by_email``, or ``buses_1_find`` and ``buses_2_find``: who
    needs one does not need the other. What is found ``by_id`` may have got the id from any of them.
    """
    mine = slice(producers.start, producers.stop)
    same: NDArray[np.bool_] = deeds.number[mine, None] == deeds.number[None, :]
    same &= deeds.number[mine, None] >= 0
    same &= deeds.by_id[mine, None] | ~deeds.by_id[None, :]
    same[np.arange(len(producers)), np.arange(producers.start, producers.stop)] = False
    return same.astype(np.float32)


def _deed(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a tool does, its numbering aside, and how: the words after a preposition."""
    words = [word for word in split_identifier(name) if not _NUMBERING.fullmatch(word)]
    way = next((place for place, word in enumerate(words) if place and word in PREPOSITIONS), len(words))
    return tuple(words[:way]), tuple(words[way + 1 :])
