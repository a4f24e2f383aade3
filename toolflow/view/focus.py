"""The one dialogue that the view follows as it unfolds."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from toolflow.catalog.tool import encode_json
from toolflow.dialogue.message import ToolCall
from toolflow.runtime.bus import Envelope
from toolflow.runtime.events import (
    AgentRole,
    AssistantSpoke,
    DialogueEnded,
    Event,
    GoalAdjusted,
    GoalInjected,
    PlanMade,
    ToolsCalled,
    ToolsReturned,
    UserDone,
    UserSpoke,
)
from toolflow.text import one_line

Kind = Literal["goal", "user", "assistant", "call", "result", "end"]

_HOLD: Final = 2.0
"""Seconds that the end of a dialogue stays."""

_SILENCE: Final = 30.0
"""Seconds without an event after which a dialogue may be left: one that failed never says so."""

_IMPATIENCE: Final = 5.0
"""Seconds of freedom after which any dialogue will do: near the end of a run no new ones begin."""

_PATIENCE: Final = 1.0
"""Seconds of looking for a dialogue on the wanted side; then one on the other side will do."""

_MOST_TEXT: Final = 2_000
_MOST_VALUE: Final = 120
_MOST_CALLS: Final = 20
_MOST_ENTRIES: Final = 100

_NEXT: Final[dict[type[Event], AgentRole]] = {
    PlanMade: "planner",
    GoalInjected: "user",
    UserSpoke: "assistant",
    ToolsCalled: "tool",
    ToolsReturned: "assistant",
    AssistantSpoke: "planner",
    GoalAdjusted: "planner",
    UserDone: "planner",
}
"""Who acts after an event; nobody after the last one."""


class Entry(NamedTuple):
    """Something that happened in the dialogue, as one line of harmless text."""

    kind: Kind
    text: str


class Focus:
    """Follows one dialogue until it ends, holds its end for a moment, then takes the next that begins.

    Attributes:
        dialogue: Index of the dialogue followed; None before the first.
        topic: What it is about; empty where its beginning was missed.
        goals: How many goals it plans; 0 where its beginning was missed.
        opened: How many of them the user has opened.
        awaited: Who acts next; None once it has ended.
        entries: What happened, oldest first, at most the last hundred.
    """

    __slots__ = (
        "_direction",
        "_free_at",
        "_sought_at",
        "_upcoming",
        "awaited",
        "dialogue",
        "entries",
        "goals",
        "opened",
        "topic",
    )

    def __init__(self) -> None:
        self.dialogue: int | None = None
        self.topic = ""
        self.goals = 0
        self.opened = 0
        self.awaited: AgentRole | None = None
        self.entries: deque[Entry] = deque(maxlen=_MOST_ENTRIES)
        self._upcoming = ""
        self._free_at = -math.inf
        self._direction = 0
        self._sought_at = math.inf

    def turn(self, direction: int) -> None:
        """Follow the next dialogue that something happens in, with a higher index (1) or a lower one (-1)."""
        self._direction = direction
        self._sought_at = math.inf

    def watch(self, envelope: Envelope) -> None:
        """Look at an event of any dialogue; those of other dialogues cost a comparison or two."""
        if envelope.dialogue != self.dialogue:
            if not self._may_turn(envelope):
                return
            self._turn_to(envelope.dialogue)
        event = envelope.event
        self._free_at = envelope.time + (_HOLD if isinstance(event, DialogueEnded) else _SILENCE)
        self._note(event)
        self.entries.extend(entry for entry in _entries(event) if entry.text)

    def _may_turn(self, envelope: Envelope) -> bool:
        time = envelope.time
        if self._direction and self.dialogue is not None:
            self._sought_at = min(self._sought_at, time)
            right = (envelope.dialogue - self.dialogue) * self._direction > 0
            return right or time > self._sought_at + _PATIENCE
        return time >= self._free_at and (not envelope.sequence or time >= self._free_at + _IMPATIENCE)

    def _turn_to(self, dialogue: int) -> None:
        self.dialogue = dialogue
        self._direction = 0
        self.topic = self._upcoming = ""
        self.goals = self.opened = 0
        self.entries.clear()

    def _note(self, event: Event) -> None:
        self.awaited = _NEXT.get(type(event))
        match event:
            case PlanMade(plan):
                self.topic = _line(plan.topic)
                self.goals = len(plan.goals)
            case GoalInjected(upcoming=upcoming):
                self._upcoming = upcoming.request if upcoming else ""
            case UserSpoke(opened=True):
                self.opened += 1
                self.entries.append(Entry("goal", _line(self._upcoming)))
            case _:
                pass


def _entries(event: Event) -> Iterator[Entry]:
    """What an event adds to the dialogue; an adjusted goal is seen when the user opens it."""
    match event:
        case UserSpoke(message):
            yield Entry("user", _line(message.content))
        case ToolsCalled(message):
            yield Entry("assistant", _line(message.content))
            for call in message.tool_calls[:_MOST_CALLS]:
                yield Entry("call", _call(call))
        case ToolsReturned(messages):
            for message in messages[:_MOST_CALLS]:
                yield Entry("result", _line(message.content) or "(nothing)")
        case AssistantSpoke(message):
            yield Entry("assistant", _line(message.content))
        case DialogueEnded(reason):
            yield Entry("end", reason.replace("_", " "))
        case _:
            pass


def _line(text: str) -> str:
    """Harmless text on one line; what could never be shown is not even looked at."""
    return one_line(text[: 2 * _MOST_TEXT], _MOST_TEXT)


def _call(call: ToolCall) -> str:
    arguments = call.decoded() if len(call.arguments) <= 2 * _MOST_TEXT else None
    shown = call.arguments if arguments is None else ", ".join(_arguments(arguments))
    return _line(f"{call.name}({shown})")


def _arguments(arguments: dict[str, object]) -> Iterator[str]:
    for name, value in arguments.items():
        yield f"{name}={one_line(encode_json(value), _MOST_VALUE)}"
