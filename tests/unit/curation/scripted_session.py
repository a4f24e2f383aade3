"""Sessions whose model is a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from toolflow.curation.session import BudgetedModel, Session
from toolflow.dialogue.message import Message
from toolflow.errors import LLMError
from toolflow.llm.chat import Completion, Request
from toolflow.llm.client import Client
from toolflow.llm.gate import Gate
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.router import Router
from toolflow.llm.testing import ScriptedProvider

Script = Callable[[Request], Any]
"""Gives the reply as JSON, or as text, or an error to raise."""


class ScriptedSession:
    """A session, and what its model was asked.

    Attributes:
        session: The session.
        asked: The requests so far.
    """

    def __init__(
        self, script: Script, *, max_calls: int | None = None, rehearsal: bool = False, seed: int = 0
    ) -> None:
        self.asked: list[Request] = []

        def answer(request: Request) -> Completion:
            self.asked.append(request)
            reply = script(request)
            if isinstance(reply, LLMError):
                raise reply
            return Completion(Message("assistant", reply if isinstance(reply, str) else json.dumps(reply)))

        client = Client(
            Router.single(ScriptedProvider(answer), Gate(4)), RetryPolicy(attempts=1, resamples=0)
        )
        name = "rehearsal" if rehearsal else "judge-7b"
        self.session = Session(
            BudgetedModel(client, max_calls), name, rehearsal=rehearsal, concurrency=4, seed=seed
        )

    @property
    def prompts(self) -> list[str]:
        """The last user message of each request."""
        return [request.messages[-1].content for request in self.asked]


def silent(_stage: str, _done: int, _total: int) -> None:
    """A progress that nobody looks at."""
