"""The calls of a run added up."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from toolflow.llm.chat import Usage


@dataclass(frozen=True, slots=True)
class Sum:
    """Calls added up.

    Attributes:
        calls: How many were completed.
        usage: Their LLM tokens.
        attempts: Sends that they took.
        seconds: What their last attempts took, added up.
    """

    calls: int = 0
    usage: Usage = Usage()
    attempts: int = 0
    seconds: float = 0.0

    def __add__(self, other: Sum) -> Sum:
        return Sum(
            self.calls + other.calls,
            self.usage + other.usage,
            self.attempts + other.attempts,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True)
class Totals:
    """The calls of the whole run, added up.

    Attributes:
        all: All of them.
        by_role: By the role that asked.
        by_model: By the model that answered.
    """

    all: Sum
    by_role: Mapping[str, Sum]
    by_model: Mapping[str, Sum]


def read_totals(connection: sqlite3.Connection) -> Totals:
    """All calls added up.

    Raises:
        sqlite3.Error: They cannot be read.
    """
    rows = connection.execute(
        "SELECT role, model, calls, prompt_tokens, completion_tokens, attempts, seconds FROM usage"
    ).fetchall()
    total = Sum()
    by_role: dict[str, Sum] = {}
    by_model: dict[str, Sum] = {}
    for role, model, calls, prompt, completion, attempts, seconds in rows:
        added = Sum(calls, Usage(prompt, completion), attempts, seconds)
        total += added
        by_role[role] = by_role.get(role, Sum()) + added
        by_model[model] = by_model.get(model, Sum()) + added
    return Totals(total, by_role, by_model)
