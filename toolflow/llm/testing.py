"""Test doubles of this room, public: what tests and benchmarks put in the place of an endpoint."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

from toolflow.llm.chat import Completion, Request


class ScriptedProvider:
    """A :class:`toolflow.llm.client.Provider` that answers by a function.

    Args:
        script: Gives the completion of a request, or raises what the attempt shall fail with; may be
            ``async``, to hold the answer back.

    Attributes:
        sent: Attempts so far.
        in_flight: Attempts that are not yet answered.
        most_in_flight: The highest that ``in_flight`` has been.
        closed: Whether it was closed.
    """

    def __init__(self, script: Callable[[Request], Completion | Awaitable[Completion]]) -> None:
        self._script = script
        self.sent = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.closed = False

    async def send(self, request: Request) -> Completion:
        self.sent += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            answer = self._script(request)
            return await answer if inspect.isawaitable(answer) else answer
        finally:
            self.in_flight -= 1

    async def close(self) -> None:
        self.closed = True
