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

import msgspec

from toolflow.journal.totals import Sum
from toolflow.progress import ProgressSnapshot


class _Calls(msgspec.Struct, frozen=True):
    failed: int = 0
    unanswered: int = 0
    rate_limited: int = 0
    stalled: int = 0


class _Processes(msgspec.Struct, frozen=True):
    counted: int = 0


class Added(msgspec.Struct, frozen=True):
    """The figures of a summary.json that the next one goes on from; all are zero where there is none."""

    calls: _Calls = _Calls()
    processes: _Processes = _Processes()
    wall_s: float = 0.0


def added_up(summary: Mapping[str, Any]) -> Added:
    """What earlier processes have added up in a summary.json; nothing where it holds something else."""
    try:
        return msgspec.convert(summary, Added)
    except msgspec.ValidationError:
        return Added()


@dataclass(frozen=True, slots=True)
class Before:
    """What was there when this process began.

    Attributes:
        added: What earlier processes have left in summary.json.
        journalled: The calls of the run until then.
        begun: How many processes have been at the run, this one included.
        counted: How many of the earlier ones left a summary.
    """

    added: Added
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
    earlier = before.added.calls
    answered = journalled.attempts - before.journalled.attempts
    unanswered = max(calls.attempts - answered, 0) + earlier.unanswered
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
            "failed": calls.failed + earlier.failed,
            "attempts": journalled.attempts + unanswered,
            "unanswered": unanswered,
            "rate_limited": calls.rate_limited + earlier.rate_limited,
            "stalled": calls.stalled + earlier.stalled,
            "taken_over": taken_over,
        },
        "tokens": {
            "prompt": journalled.usage.prompt,
            "completion": journalled.usage.completion,
        },
        "cost_usd": None if cost is None else round(cost, 6),  # never guessed
        "wall_s": round(snapshot.seconds + before.added.wall_s, 3),
        "processes": {"begun": before.begun, "counted": 1 + before.counted},
        "rehearsal": rehearsal,
    }
