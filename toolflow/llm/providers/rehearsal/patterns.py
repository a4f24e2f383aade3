"""Text that matches a regular expression, for the expressions that schemas use in practice.

Understood are literals, escapes, classes, groups, alternatives and repeats. The caller checks the text
against the expression, so what is not understood costs nothing but a miss.
"""

from __future__ import annotations

import random
import string
from typing import Final

_ESCAPES: Final = {"d": string.digits, "w": string.ascii_lowercase + string.digits, "s": " "}
_MOST_EXTRA: Final = 4
_LONGEST: Final = 400


def from_pattern(pattern: str, draw: random.Random) -> str | None:
    """A text that should match, or None where the expression is not understood."""
    try:
        text, end = _alternatives(pattern, 0, draw)
    except (IndexError, ValueError):
        return None
    return text[:_LONGEST] if end == len(pattern) else None


def _alternatives(pattern: str, at: int, draw: random.Random) -> tuple[str, int]:
    """Read alternatives up to a closing bracket or the end; give the text of one and where they end."""
    options: list[str] = []
    while True:
        text, at = _sequence(pattern, at, draw)
        options.append(text)
        if at >= len(pattern) or pattern[at] != "|":
            return draw.choice(options), at
        at += 1


def _sequence(pattern: str, at: int, draw: random.Random) -> tuple[str, int]:
    written: list[str] = []
    while at < len(pattern) and pattern[at] not in "|)":
        start = at
        piece, at = _piece(pattern, at, draw)
        least, most, end = _repeat(pattern, at)
        if least is None:
            written.append(piece)
            continue
        times = draw.randint(least, min(most, least + _MOST_EXTRA))
        # Each round is read again, so that repeated classes draw different letters.
        written += [_piece(pattern, start, draw)[0] for _ in range(times)]
        at = end
    return "".join(written), at


def _piece(pattern: str, at: int, draw: random.Random) -> tuple[str, int]:  # noqa: PLR0911  one return a kind of piece
    letter = pattern[at]
    if letter in "^$":
        return "", at + 1
    if letter == ".":
        return draw.choice(string.ascii_lowercase), at + 1
    if letter == "\\":
        escaped = pattern[at + 1]
        if escaped in "bBAZ":
            return "", at + 2
        return (draw.choice(_ESCAPES[escaped]) if escaped in _ESCAPES else escaped), at + 2
    if letter == "[":
        letters, end = _class(pattern, at + 1)
        return draw.choice(letters), end
    if letter == "(":
        at += 1
        if pattern.startswith("?", at):
            if not pattern.startswith("?:", at):
                raise ValueError(pattern)
            at += 2
        text, end = _alternatives(pattern, at, draw)
        if pattern[end] != ")":
            raise ValueError(pattern)
        return text, end + 1
    return letter, at + 1


def _class(pattern: str, at: int) -> tuple[str, int]:
    """The letters of a class, and where it ends."""
    negated = pattern[at] == "^"
    at += negated
    letters = ""
    first = True
    while first or pattern[at] != "]":
        first = False
        if pattern[at] == "\\":
            letters += _ESCAPES.get(pattern[at + 1], pattern[at + 1])
            at += 2
        elif pattern[at + 1] == "-" and pattern[at + 2] != "]":
            letters += "".join(map(chr, range(ord(pattern[at]), min(ord(pattern[at + 2]), 0x17F) + 1)))
            at += 3
        else:
            letters += pattern[at]
            at += 1
    if negated:
        letters = "".join(sorted(set(string.ascii_letters + string.digits) - set(letters)))
    return letters, at + 1


def _repeat(pattern: str, at: int) -> tuple[int | None, int, int]:
    """Fewest and most repeats that follow a piece, and where they end; None where none follow."""
    if at >= len(pattern):
        return None, 0, at
    simple = {"?": (0, 1), "*": (0, _MOST_EXTRA), "+": (1, 1 + _MOST_EXTRA)}.get(pattern[at])
    if simple is not None:
        end = at + 1
        return *simple, end + (pattern[end : end + 1] in {"?", "+"} and end < len(pattern))
    if pattern[at] != "{" or not pattern[at + 1].isdigit():
        return None, 0, at
    end = pattern.index("}", at)
    least, comma, most = pattern[at + 1 : end].partition(",")
    upper = int(most) if most else int(least) + (_MOST_EXTRA if comma else 0)
    return int(least), max(upper, int(least)), end + 1
