"""What every agent is: a role, the topics that it hears, and a coroutine that reacts to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from toolflow.runtime.bus import Scene
from toolflow.runtime.events import AgentRole, Event
from toolflow.runtime.mailbox import Mailbox

_MAILBOX_CAPACITY = 16


class Agent(ABC):
    """One participant of one scene.

    Subclasses name their ``role`` and the event types they hear, and react in :meth:`handle`.
    """

    role: ClassVar[AgentRole]
    hears: ClassVar[tuple[type[Event], ...]]

    _scene: Scene
    _mailbox: Mailbox

    def enter(self, scene: Scene) -> None:
        """Take part in a scene: subscribe before anything is published."""
        self._scene = scene
        self._mailbox = Mailbox(_MAILBOX_CAPACITY)
        scene.subscribe(self._mailbox, self.hears)

    async def run(self) -> None:
        """Play until the simulator ends the scene."""
        await self.begin()
        while True:
            await self.handle(await self._mailbox.get())

    async def begin(self) -> None:  # noqa: B027  most agents wait to be spoken to
        """Do what comes before the first event."""

    @abstractmethod
    async def handle(self, event: Event) -> None:
        """React to one event."""

    async def publish(self, event: Event) -> None:
        """Say something to whoever hears it."""
        await self._scene.publish(self.role, event)

    async def hear(self) -> Event:
        """Wait for the next event inside a reaction."""
        return await self._mailbox.get()
