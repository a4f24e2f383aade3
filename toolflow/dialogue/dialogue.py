"""The finished dialogue, as the data set keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message
from toolflow.dialogue.plan import Plan


def dialogue_id(index: int) -> str:
    """Stable name of a dialogue in its run."""
    return f"d{index:07d}"


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One finished dialogue.

    Attributes:
        index: Its place in the run, from 0.
        messages: User, assistant and tool messages in the order they were said.
        tools: What the assistant was offered.
        plan: What the dialogue was to be; its goals in their last, adjusted form.
        metadata: Seed, tool-set links, scenario, models, usage; nothing that depends on time.
    """

    index: int
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    plan: Plan
    metadata: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Stable name of the dialogue in its run."""
        return dialogue_id(self.index)

    def to_line(self) -> dict[str, Any]:
        """The dialogue as one line of dialogues.jsonl."""
        return {
            "id": self.id,
            "messages": [message.to_openai() for message in self.messages],
            "tools": [tool.to_openai() for tool in self.tools],
            "plan": self.plan.model_dump(mode="json"),
            "metadata": {"index": self.index, **self.metadata},
        }
