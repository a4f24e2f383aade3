"""What befell a run, in the words that the table ``events`` keeps.

================ ======================================================================================
run_begun        target, toolflow: dialogues wanted, and the version
run_continued    the same, by another process
run_ended        ending, or error: why no more dialogues were begun, or what stopped the run
stop_asked       signal: the calls in flight finish; a second one stops at once
budget_spent     bound: ``cost``, ``calls``, ``tokens`` or ``time``
limit_changed    before, after, reason: attempts that may be in flight
breaker_opened   endpoint: it does not answer
breaker_closed   endpoint: it answers again
attempts_stalled attempts: so many more were given up as lost and sent again
no_progress      seconds, waits: so long no call was completed, and what the run waits for
progress_again   seconds: calls are completed again
checked          accepted, changes: the files were written anew by ``toolflow check --apply``
journal_salvaged damage, saved, lost, kept: what became of a damaged journal
================ ======================================================================================

Of each kind at most 60 are kept at once and one every two seconds after that; the next one tells in
``left_out`` how many were not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Literal

from toolflow.clock import Clock, monotonic
from toolflow.journal.calls import CallJournal
from toolflow.llm.tally import ClientStatistics

Kind = Literal[
    "run_begun",
    "run_continued",
    "run_ended",
    "stop_asked",
    "budget_spent",
    "limit_changed",
    "breaker_opened",
    "breaker_closed",
    "attempts_stalled",
    "no_progress",
    "progress_again",
    "checked",
    "journal_salvaged",
]

_AT_ONCE: Final = 60.0
_PER_SECOND: Final = 0.5
_LOOK_EVERY: Final = 1.0


class RunEvents:
    """Takes down events in a journal, so many in a time.

    Args:
        journal: Keeps them.
        clock: Bounds their rate.
    """

    def __init__(self, journal: CallJournal, *, clock: Clock = monotonic) -> None:
        self._journal = journal
        self._clock = clock
        self._room: dict[str, tuple[float, float]] = {}
        self._left_out: dict[str, int] = {}

    def note(self, kind: Kind, **detail: Any) -> None:
        """Take down an event, unless there were too many of its kind."""
        now = self._clock()
        room, since = self._room.get(kind, (_AT_ONCE, now))
        room = min(_AT_ONCE, room + (now - since) * _PER_SECOND)
        if room < 1.0:
            self._room[kind] = room, now
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        self._room[kind] = room - 1.0, now
        left_out = self._left_out.pop(kind, 0)
        if left_out:
            detail["left_out"] = left_out
        self._journal.note(kind, **detail)

    async def follow(self, statistics: Callable[[], ClientStatistics]) -> None:
        """Take down changes of limits and breakers as they are seen; runs until it is cancelled."""
        seen = self._clock()
        down: set[str] = set()
        stalled = 0
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            now = statistics()
            for change in now.changes:
                if change.at > seen:
                    self.note("limit_changed", before=change.before, after=change.after, reason=change.reason)
            seen = max((seen, *(change.at for change in now.changes)))
            if now.stalled > stalled:
                self.note("attempts_stalled", attempts=now.stalled - stalled)
                stalled = now.stalled
            for endpoint in now.endpoints:
                closed = endpoint.breaker == "closed"
                if closed == (endpoint.name in down):
                    down ^= {endpoint.name}
                    self.note("breaker_closed" if closed else "breaker_opened", endpoint=endpoint.name)
