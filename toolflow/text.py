"""Text of strangers (catalogues, models, servers) made harmless for a terminal."""

from __future__ import annotations

import re
import unicodedata

# Escape sequences go whole, so that no half of one is left as litter: CSI, OSC and its kin, short ones.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|\x9b[0-?]*[ -/]*[@-~]"
)


def printable(text: str) -> str:
    r"""The text without terminal escapes, control characters and direction overrides; \n and \t stay."""
    text = _ESCAPES.sub("", text)
    if text.isprintable():
        return text
    return "".join(
        character
        for character in text
        if character in "\n\t"
        or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}
        or character == "\u200d"
    )


def one_line(text: str, most: int) -> str:
    """The printable text on one line, cut to at most ``most`` characters with an ellipsis."""
    line = " ".join(printable(text).split())
    return line if len(line) <= most else line[: max(most - 1, 0)] + "…"
