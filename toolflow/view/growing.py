"""An answer that is still being written, as something to read: of half a JSON object, the text in it."""

from __future__ import annotations

import json
import re
from typing import Final

from toolflow.text import one_line

_STRING_VALUE: Final = re.compile(r'[:\[]\s*"((?:[^"\\]|\\.)*)(?:"(?!\s*:)|\\?$)', re.DOTALL)
"""A string that is no name of a member, ended or not."""


def growing_text(text: str, most: int) -> str:
    """The end of what was written so far, in at most ``most`` characters of harmless text.

    Structured replies and the arguments of calls come as JSON: then it is the last text value that is shown.

    Args:
        text: What has come so far.
        most: Characters.
    """
    text = text[-4 * most :] if not text.lstrip().startswith(("{", "[")) else _last_value(text)
    line = one_line(text, len(text))
    return line if len(line) <= most else "…" + line[1 - most :]


def _last_value(text: str) -> str:
    last = ""
    for found in _STRING_VALUE.finditer(text):
        last = found[1]
    # Half an escape at the end is not there yet.
    last = re.sub(r"(?<!\\)(\\\\)*\\(?:u[0-9a-fA-F]{0,3})?$", r"\1", last)
    try:
        return str(json.loads(f'"{last}"', strict=False))
    except ValueError:
        return last
