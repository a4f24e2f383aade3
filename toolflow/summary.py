"""summary.json: what a run has come to, this process and earlier ones together.

Dialogues, reasons, completed calls and their attempts, calls ``taken_over`` from another run, LLM tokens and
cost are of the whole run, killed processes included: its files and its journal hold them. What these do not
hold is added up from one summary to the next: calls that ``failed``, attempts that stayed ``unanswered``
(part of ``attempts``), were ``rate_limited`` or ``stalled``, and ``wall_s``. A killed process leaves nothing
of these; ``processes`` tells how many were begun, and how many of them are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolflow.journal.reading import Sum
from toolflow.progress import ProgressSnapshot


@dataclass(frozen=True, slots=True)
class Before:
    """What was there when this process began.

    Attributes:
        summary: What an earlier process left; empty where none did.
        journalled: The calls of the run until then.
        begun: How many processes have been at the run, this one included.
        counted: How many of the earlier ones ``summary`` counts.
    """

    summary: Mapping[str, Any]
    journalled: Sum
    begun: int
    counted: int


def summarise(
    snapshot: ProgressSnapshot,
    journalled: Sum,
    before: Before,
    *,
    taken_over: int,
    cost: float | None,
    rehearsal: bool,
) -> dict[str, Any]:
    """The content of summary.json.

    Args:
        snapshot: The end of this process's part.
        journalled: The paid calls of the whole run.
        before: What was there when it began.
        taken_over: Calls of the whole run that another one has paid for.
        cost: US dollars of the whole run; None where a price is not known.
        rehearsal: Whether replies come from the rehearsal model.
    """
    calls = snapshot.calls
    earlier = before.summary.get("calls", {})
    answered = journalled.attempts - before.journalled.attempts
    unanswered = max(calls.attempts - answered, 0) + earlier.get("unanswered", 0)
    return {
        "dialogues": {
            "target": snapshot.target,
            "accepted": snapshot.accepted,
            "rejected": snapshot.rejected,
            "failed": snapshot.failed,
        },
        "reasons": snapshot.reasons,
        "calls": {
            "completed": journalled.calls,
            "failed": calls.failed + earlier.get("failed", 0),
            "attempts": journalled.attempts + unanswered,
            "unanswered": unanswered,
            "rate_limited": calls.rate_limited + earlier.get("rate_limited", 0),
            "stalled": calls.stalled + earlier.get("stalled", 0),
            "taken_over": taken_over,
        },
        "tokens": {
            "prompt": journalled.usage.prompt,
            "completion": journalled.usage.completion,
        },
        "cost_usd": None if cost is None else round(cost, 6),  # never guessed
        "wall_s": round(snapshot.seconds + before.summary.get("wall_s", 0.0), 3),
        "processes": {"begun": before.begun, "counted": 1 + before.counted},
        "rehearsal": rehearsal,
    }
