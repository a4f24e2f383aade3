"""The in-process bus: scenes with their mailboxes, and watchers that can never slow a dialogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toolflow.clock import Clock
from toolflow.runtime.events import AgentRole, Event
from toolflow.runtime.mailbox import Mailbox


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event as watchers see it.

    Attributes:
        dialogue: Index of the dialogue.
        sequence: Counts the events of the dialogue from 0.
        role: The agent that published it.
        time: Seconds on the bus's clock; virtual in virtual-time runs. Watchers only: agents never see it.
        event: What was said.
    """

    dialogue: int
    sequence: int
    role: AgentRole
    time: float
    event: Event


Watcher = Callable[[Envelope], None]
"""Called at once for each event, between two steps of the loop: it must return without waiting."""


class Bus:
    """Joins the scenes of a run with whoever watches them.

    Args:
        clock: Stamps envelopes for watchers.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watchers: list[Watcher] = []

    def watch(self, watcher: Watcher) -> None:
        """Show every event of every scene to ``watcher`` from now on."""
        self._watchers.append(watcher)

    def scene(self, dialogue: int) -> Scene:
        """Open the scope of one dialogue."""
        return Scene(dialogue, self._clock, self._watchers)


class Scene:
    """The scope of one dialogue on the bus: its subscriptions, and the sequence of its events."""

    __slots__ = ("_clock", "_routes", "_sequence", "_watchers", "dialogue")

    def __init__(self, dialogue: int, clock: Clock, watchers: Sequence[Watcher]) -> None:
        self.dialogue = dialogue
        self._clock = clock
        self._watchers = watchers
        self._routes: dict[type[Event], list[Mailbox]] = {}
        self._sequence = 0

    def subscribe(self, mailbox: Mailbox, topics: Sequence[type[Event]]) -> None:
        """Deliver events of these types to a mailbox."""
        for topic in topics:
            self._routes.setdefault(topic, []).append(mailbox)

    async def publish(self, role: AgentRole, event: Event) -> None:
        """Show an event to the watchers, then deliver it to its subscribers' mailboxes in order."""
        if self._watchers:
            envelope = Envelope(self.dialogue, self._sequence, role, self._clock(), event)
            for watcher in self._watchers:
                watcher(envelope)
        self._sequence += 1
        for mailbox in self._routes.get(type(event), ()):
            await mailbox.put(event)
