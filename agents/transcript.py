"""The conversation as the user and the planner see it: what was said aloud, no tool calls."""

from __future__ import annotations


class SpokenTranscript:
    """Grows by one line for each thing said; continuation lines are indented, so a turn starts at a name."""

    def __init__(self) -> None:
        self._turns: list[str] = []

    def user(self, text: str) -> None:
        self._add("User", text)

    def assistant(self, text: str) -> None:
        self._add("Assistant", text)

    def __str__(self) -> str:
        return "\n".join(self._turns)

    def _add(self, name: str, text: str) -> None:
        self._turns.append(f"{name}: {text.strip()}".replace("\n", "\n  "))
