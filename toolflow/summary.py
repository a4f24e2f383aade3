"""summary.json: what a run has come to, this process and earlier ones together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolflow.journal.reading import Sum
from toolflow.progress import ProgressSnapshot


def summarise(
    snapshot: ProgressSnapshot,
    journalled: Sum,
    before: Mapping[str, Any],
    *,
    taken_over: int,
    cost: float | None,
    rehearsal: bool,
) -> dict[str, Any]:
    """The content of summary.json.

    Args:
        snapshot: The end of this process's part.
        journalled: The paid calls of the whole run.
        before: The summary that an earlier process left.
        taken_over: Calls that this process took over from another run.
        cost: US dollars of the whole run; None where a price is not known.
        rehearsal: Whether replies come from the rehearsal model.
    """
    calls = snapshot.calls
    earlier = before.get("calls", {})
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
            "attempts": calls.attempts + earlier.get("attempts", 0),
            "rate_limited": calls.rate_limited + earlier.get("rate_limited", 0),
            "stalled": calls.stalled + earlier.get("stalled", 0),
            "taken_over": taken_over + earlier.get("taken_over", 0),
        },
        "tokens": {
            "prompt": journalled.usage.prompt,
            "completion": journalled.usage.completion,
        },
        "cost_usd": None if cost is None else round(cost, 6),  # never guessed
        "wall_s": round(snapshot.seconds + before.get("wall_s", 0.0), 3),
        "rehearsal": rehearsal,
    }
