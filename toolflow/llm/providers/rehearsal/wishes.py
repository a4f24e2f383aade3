"""What a person wants, turned from words about them into words of theirs."""

from __future__ import annotations

import re
from typing import Final

_WANTS: Final = re.compile(
    r"^(?:the (?:user|person|customer)|they|she|he|user)\s+(?:(?:also|then|now|next|finally)\s+)?"
    r"(?:wants?(?: help)?|(?:would|'d) like(?: help)?|needs?|asks?(?: the assistant)?|is "
    r"(?:hoping|looking|trying|asking)|wishes|decides|is planning)"
    r"\s+to\s+(?:know\s+)?",
    re.I,
)
_THIRD: Final = (
    (re.compile(r"\btheir own\b", re.I), "my own"),
    (re.compile(r"\b(?:their|his|her)\b", re.I), "my"),
    (re.compile(r"\b(?:them|him)\b", re.I), "me"),
    (re.compile(r"\b(?:they|she|he) (?:are|is)\b", re.I), "I am"),
    (re.compile(r"\b(?:they|she|he) (?:have|has)\b", re.I), "I have"),
    (re.compile(r"\b(?:they|she|he)\b", re.I), "I"),
    (re.compile(r"\bthe user's\b", re.I), "my"),
    (
        re.compile(r"\bthe user(?=\s+(?:is|has|wants|needs|would|can|will|gets|asks|said)\b|[,.]|$)", re.I),
        "I",
    ),
)


def wish_of(request: str) -> str:
    """A request about the user as an infinitive of the user: ``check my balance``."""
    bare = _WANTS.sub("", request.strip(), count=1).rstrip(". ")
    if bare == request.strip().rstrip(". "):
        bare = f"get help with this: {bare}"
    quoted = re.split(r'("[^"]*")', bare)
    for place in range(0, len(quoted), 2):
        for third, first in _THIRD:
            quoted[place] = third.sub(first, quoted[place])
    return "".join(quoted)
