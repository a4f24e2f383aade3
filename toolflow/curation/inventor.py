"""Has a model invent things, and keeps account of what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from toolflow.agents.voice import RoleModel, UnusableReply, Voice
from toolflow.catalog.tool import Tool
from toolflow.curation.ledger import Ledger
from toolflow.curation.prompts import prompt
from toolflow.curation.session import Progress, Session, Tally
from toolflow.dialogue.message import Message
from toolflow.llm.chat import Completion, ResponseFormat, Sampling
from toolflow.llm.connect import REHEARSAL

T = TypeVar("T")

MODEL: Final = "model"
"""Marks in provenance what a model invented; the rehearsal model's name marks what that did."""

ORIGIN: Final = "origin"
"""The provenance of an evolved tool tells under this what it grew from."""

_REPAIRS: Final = 2
_TEMPERATURE: Final = 0.7


class Inventor:
    """What all jobs of one enrichment share."""

    def __init__(self, session: Session, ledger: Ledger[dict[str, Any]], progress: Progress) -> None:
        self.session = session
        self.ledger = ledger
        self.progress = progress
        self.mark = REHEARSAL if session.rehearsal else MODEL
        self.keeps = {MODEL, self.mark}
        self.kept = 0
        self.filled: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def may_keep(self, tool: Tool) -> bool:
        """Whether a tool was evolved by an inventor whose work is kept."""
        marks = tool.provenance or {}
        return ORIGIN in marks and marks.get("description") in self.keeps

    def count(self, tally: Tally) -> None:
        self.failed.update(tally.failed)
        self.examples = {**tally.examples, **self.examples}

    async def ask(
        self,
        role: str,
        number: int,
        messages: Sequence[Message],
        response_format: ResponseFormat,
        read: Callable[[str], T],
    ) -> T:
        def repair(completion: Completion, unusable: UnusableReply) -> Sequence[Message]:
            problems = prompt("enrich").render("repair", problems=unusable.problems)
            return Message("assistant", completion.message.content), Message("user", problems)

        session = self.session
        voice = Voice(
            session.model,
            RoleModel(session.name, Sampling(temperature=_TEMPERATURE)),
            role=role,
            dialogue=number,
            seed=session.seed,
            repairs=_REPAIRS,
        )
        return await voice.ask(
            messages,
            read=lambda completion: read(completion.message.content),
            repair=repair,
            reason=f"invalid_{response_format.name}",
            response_format=response_format,
        )
