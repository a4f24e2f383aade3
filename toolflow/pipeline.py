"""The way of the data: tool set → plan → dialogue → verdict → data set, until enough are accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from toolflow.agents.cast import Troupe
from toolflow.errors import LLMError, ToolFlowError, leaves
from toolflow.graph.sampling.sampler import Sampler
from toolflow.journal.replay import JournalledModel, state_of
from toolflow.journal.run_directory import PLAYED, Earlier, RunDirectory
from toolflow.progress import Progress
from toolflow.runtime.bus import Bus
from toolflow.stage import Outcome, Stage

Ending = Literal["target_met", "candidate_ceiling", "budget_spent", "interrupted"]

_NOTHING_YET: Final = Earlier()
_FAILURES_IN_A_ROW = 20
_SIGNS_OF_AN_OUTAGE = frozenset({"llm_error", "crash", "deadline"})
"""So many dialogues in a row that fail for such a reason mean that going on would only use up candidates."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a run may go.

    Attributes:
        target: Accepted dialogues wanted.
        candidates: Most dialogues begun.
        alive: Most dialogues alive at once, asked for whenever one may begin: it follows the permits that
            there are.
        dialogue_seconds: Most seconds that one dialogue may take.
    """

    target: int
    candidates: int
    alive: Callable[[], int]
    dialogue_seconds: float


class Synthesis:
    """One run, from its first dialogue to its last.

    Dialogue k is begun only while fewer than ``target`` dialogues before it are accepted or alive, so the
    data set is the first ``target`` accepted dialogues in index order, whatever the timing.

    Args:
        bounds: How far it may go.
        sampler: Draws tool sets.
        troupe: What dialogues are played with.
        model: The troupe's model, told which dialogues begin and end.
        run: Where results go.
        bus: Carries the events.
        progress: Is kept up to date.
        labels: Metadata that every dialogue of the run carries.
        earlier: What earlier processes have left.
    """

    def __init__(
        self,
        bounds: Bounds,
        *,
        sampler: Sampler,
        troupe: Troupe,
        model: JournalledModel,
        run: RunDirectory,
        bus: Bus,
        progress: Progress,
        labels: Mapping[str, Any],
        earlier: Earlier = _NOTHING_YET,
    ) -> None:
        self._bounds = bounds
        self._stage = Stage(sampler, troupe, bus, labels=labels, deadline=bounds.dialogue_seconds)
        self._model = model
        self._run = run
        self._progress = progress
        self._earlier = earlier
        self._changed = asyncio.Event()
        self._stopped: Ending | None = None
        self._spent: Callable[[], Awaitable[None]] | None = None
        self._failures_in_a_row = 0
        self._paused = False

    def pause(self, paused: bool) -> None:  # noqa: FBT001  a switch
        """Begin no dialogue for now, or begin them again; those alive go on."""
        self._paused = paused
        self._changed.set()

    def stop(self) -> None:
        """Begin no dialogue and send no call any more; let the calls in flight finish."""
        self._stopped = self._stopped or "interrupted"
        self._changed.set()

    def stop_spent(self, drained: Callable[[], Awaitable[None]]) -> None:
        """Likewise, because the budget lets no attempt begin any more.

        Args:
            drained: Returns once no attempt is in flight; calls that wait for the budget never return.
        """
        if self._stopped is None:
            self._stopped, self._spent = "budget_spent", drained
        self._changed.set()

    def look_for_room(self) -> None:
        """There may be room for another dialogue: permits are free."""
        self._changed.set()

    async def play(self) -> Ending:
        """Play dialogues until the target is met.

        Raises:
            FatalLLMError: Every call would fail.
            LLMError: The endpoint has stopped answering.
            RunDirectoryError: Results cannot be written.
        """
        try:
            return await self._play()
        except BaseExceptionGroup as group:
            errors = list(leaves(group))
            raise next((error for error in errors if isinstance(error, ToolFlowError)), errors[0]) from None

    async def _play(self) -> Ending:
        finished = self._continue()
        waiting = (index for index in range(self._bounds.candidates) if index not in finished)
        following = next(waiting, None)
        ending: Ending | None = None
        async with asyncio.TaskGroup() as group:
            tasks: set[asyncio.Task[None]] = set()
            while ending is None:
                while self._stopped is None and following is not None and self._may_begin(following):
                    self._progress.alive += 1
                    task = group.create_task(self._dialogue(following), name=f"dialogue-{following}")
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                    following = next(waiting, None)
                ending = self._ending(following)
                if ending is None:
                    self._changed.clear()
                    await self._changed.wait()
            if self._spent is not None:
                await self._spent()
                await self._model.flush()
            elif self._stopped is not None:
                await self._model.drain()
            if self._stopped is not None:
                for task in tasks:
                    task.cancel()
        self._set_spare_aside()
        return ending

    def _continue(self) -> set[int]:
        """Take up the counts of earlier processes; the indices that need no more work."""
        accepted, thrown_out = self._earlier.accepted, self._earlier.thrown_out
        self._progress.continue_from(len(accepted))
        for line in thrown_out:
            self._count_thrown_out(line.stage, line.reason)
        self._model.continue_from(accepted, thrown_out)
        return {*accepted, *(line.index for line in thrown_out)}

    def _may_begin(self, index: int) -> bool:
        room = not self._paused and self._progress.alive < self._bounds.alive()
        return room and self._is_wanted(index)

    def _is_wanted(self, index: int) -> bool:
        """Whether a dialogue may be among the first ``target``: those begun here all come before it."""
        after = self._earlier.accepted_after(index)
        return self._progress.accepted + self._progress.alive - after < self._bounds.target

    def _ending(self, following: int | None) -> Ending | None:
        if self._progress.alive:
            return self._stopped
        wanted = following is not None and self._is_wanted(following)
        if self._progress.accepted >= self._bounds.target and not wanted:
            return "target_met"
        if self._paused and wanted:
            return self._stopped  # whoever paused the run may let it go on
        return self._stopped or "candidate_ceiling"

    def _set_spare_aside(self) -> None:
        """A dialogue that failed and was tried again may push later ones out of the first ``target``."""
        if self._progress.accepted > self._bounds.target:
            self._progress.accepted -= self._run.keep_first(self._bounds.target)

    async def _dialogue(self, index: int) -> None:
        """Play one dialogue, and put its outcome where it belongs."""
        self._model.begin(index)
        try:
            outcome = await self._stage.play(index)
            if outcome.accepted:
                self._run.accept(outcome.line)
                self._model.settle(index, "accepted")
                self._progress.accepted += 1
            else:
                self._throw_out(index, outcome.line)
            self._look_for_outage(outcome)
        finally:
            self._model.end(index)
            self._progress.alive -= 1
            self._changed.set()

    def _look_for_outage(self, outcome: Outcome) -> None:
        if outcome.accepted or outcome.line["reason"] not in _SIGNS_OF_AN_OUTAGE:
            self._failures_in_a_row = 0
            return
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= _FAILURES_IN_A_ROW:
            raise LLMError(
                f"{_FAILURES_IN_A_ROW} dialogues in a row failed, the last one because: "
                f"{outcome.line['detail']}",
                hint="Nothing finished is lost. When the cause is mended, run the same command: it continues "
                "the run; with --retry-failed it tries the failed dialogues again, too.",
            )

    def _throw_out(self, index: int, line: Mapping[str, Any]) -> None:
        self._run.reject(line)
        self._model.settle(index, state_of(line["stage"]), line["stage"], line["reason"])
        self._count_thrown_out(line["stage"], line["reason"])
        self._progress.details[line["reason"]] = line["detail"]

    def _count_thrown_out(self, stage: str, reason: str) -> None:
        if stage == PLAYED:
            self._progress.failed += 1
        else:
            self._progress.rejected += 1
        self._progress.reasons[reason] += 1
