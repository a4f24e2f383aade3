"""How far a run is: counted by the pipeline, shown by the view, summed up at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from toolflow.clock import Clock
from toolflow.llm.tally import ClientStatistics


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    """A moment of a run.

    Attributes:
        target: Accepted dialogues wanted.
        accepted: Accepted so far, earlier processes included.
        rejected: Dialogues that the checks threw out.
        failed: Dialogues that could not be played to an end.
        alive: Dialogues being played now.
        reasons: How often each reason threw a dialogue out, most frequent first.
        replayed: Calls answered from the journal.
        calls: What the LLM client did in this process.
        seconds: Since this process began the run.
        accepted_before: Accepted by earlier processes.
    """

    target: int
    accepted: int
    rejected: int
    failed: int
    alive: int
    reasons: Mapping[str, int]
    replayed: int
    calls: ClientStatistics
    seconds: float
    accepted_before: int

    @property
    def calls_per_second(self) -> float:
        return self.calls.completed / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimate by the mean pace so far; None while nothing was accepted."""
        done = self.accepted - self.accepted_before
        return (self.target - self.accepted) * self.seconds / done if done else None


class Progress:
    """The counts of a run.

    Args:
        target: Accepted dialogues wanted.
        clock: Measures this process's share.

    Attributes:
        details: What was told last of each reason, in this process.
    """

    def __init__(self, target: int, clock: Clock) -> None:
        self.target = target
        self.accepted = 0
        self.rejected = 0
        self.failed = 0
        self.alive = 0
        self.reasons: Counter[str] = Counter()
        self.details: dict[str, str] = {}
        self._accepted_before = 0
        self._clock = clock
        self._began = clock()

    def continue_from(self, accepted: int) -> None:
        """Count what earlier processes accepted."""
        self.accepted = self._accepted_before = accepted

    def snapshot(self, calls: ClientStatistics, replayed: int) -> ProgressSnapshot:
        return ProgressSnapshot(
            self.target,
            self.accepted,
            self.rejected,
            self.failed,
            self.alive,
            dict(self.reasons.most_common()),
            replayed,
            calls,
            self._clock() - self._began,
            self._accepted_before,
        )
