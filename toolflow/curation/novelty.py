"""Keeps near-duplicates out: tools that say of themselves what another says already."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from toolflow.catalog.tool import Tool
from toolflow.graph.encoder import Encoder, encode_texts

MOST_ALIKE: Final = 0.88
"""Cosine from which two tools are near-duplicates, for the embedded encoder.

No two tools of the hand-written sample catalogue come above 0.87; in RapidAPI, pairs above 0.88 are mostly
one tool under two names.
"""

_LONGEST_TEXT: Final = 1_000


class Novelty:
    """What is there already.

    Args:
        tools: The tools that a new one must differ from.
        encoder: Encodes names and descriptions.
        most_alike: Cosine from which tools are near-duplicates; belongs to the encoder.
    """

    def __init__(self, tools: Sequence[Tool], encoder: Encoder, *, most_alike: float = MOST_ALIKE) -> None:
        self._encoder = encoder
        self._most_alike = most_alike
        self._tools = list(tools)
        self._names = {_bare(tool.name): tool.name for tool in tools}
        self._vectors = encode_texts(encoder, [_text(tool) for tool in tools])

    def twin_of(self, tool: Tool) -> str | None:
        """Name of a tool that this one repeats, or None where it is new.

        Raises:
            EncoderFailedError: It broke its contract.
        """
        named_alike = self._names.get(_bare(tool.name))
        if named_alike is not None or not self._tools:
            return named_alike
        cosines = self._vectors @ encode_texts(self._encoder, [_text(tool)])[0]
        closest = int(cosines.argmax())
        return self._tools[closest].name if cosines[closest] >= self._most_alike else None

    def add(self, tool: Tool) -> None:
        """From now on, new tools must differ from this one, too."""
        self._tools.append(tool)
        self._names[_bare(tool.name)] = tool.name
        row = encode_texts(self._encoder, [_text(tool)])
        self._vectors = np.concatenate([self._vectors, row]) if len(self._vectors) else row


def _text(tool: Tool) -> str:
    return f"{tool.name.replace('_', ' ')}: {tool.description}"[:_LONGEST_TEXT]


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()
