"""What models are writing right now: kept for whoever looks, and told to nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from toolflow.llm.chat import CallKey


class LiveText:
    """The pieces of answers that are coming in, by dialogue.

    Whoever watches looks when it wants to: a piece costs an append to a list, whether anybody looks or not.
    Of several calls of one dialogue at once, the last one begun is shown.
    """

    def __init__(self) -> None:
        self._speaking: dict[int, tuple[CallKey, list[str]]] = {}
        self._writing: Counter[CallKey] = Counter()

    @contextmanager
    def speaking(self, key: CallKey, pieces: list[str]) -> Generator[None]:
        """Show the pieces of a call while they come in."""
        shown = key, pieces
        self._speaking[key.dialogue] = shown
        self._writing[key] += 1
        try:
            yield
        finally:
            self._writing[key] -= 1
            if not self._writing[key]:
                del self._writing[key]
            if self._speaking.get(key.dialogue) is shown:
                del self._speaking[key.dialogue]

    def is_writing(self, key: CallKey) -> bool:
        """Whether an answer to a call is coming in."""
        return key in self._writing

    def of(self, dialogue: int | None) -> tuple[str, str] | None:
        """The role that is speaking in a dialogue, or in any, and its text so far; None where nobody is."""
        first = next(iter(self._speaking), None) if dialogue is None else dialogue
        found = None if first is None else self._speaking.get(first)
        return None if found is None else (found[0].role, "".join(found[1]))
