"""The way of the data: tool set → plan → dialogue → verdict → data set, until enough are accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from toolflow.agents.cast import Cast, Troupe
from toolflow.clock import derive_random
from toolflow.dialogue.dialogue import Dialogue
from toolflow.dialogue.scenario import Scenario, draw_scenario
from toolflow.errors import LLMError, ToolFlowError, leaves
from toolflow.graph.link import ToolSet
from toolflow.graph.sampling import Sampler
from toolflow.journal.replay import JournalledModel, state_of
from toolflow.journal.run_directory import RunDirectory
from toolflow.progress import Progress
from toolflow.quality.checks import CHECKS, judge
from toolflow.runtime.bus import Bus
from toolflow.runtime.simulator import SceneFailure, Trajectory, simulate

Ending = Literal["target_met", "candidate_ceiling", "budget_spent", "interrupted"]

_FAILURES_IN_A_ROW = 20
_SIGNS_OF_AN_OUTAGE = frozenset({"llm_error", "crash", "deadline"})
"""So many dialogues in a row that fail for such a reason mean that going on would only use up candidates."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a run may go.

    Attributes:
        target: Accepted dialogues wanted.
        candidates: Most dialogues begun.
        alive: Most dialogues alive at once, asked for whenever one may begin: it follows the permits there
        are. dialogue_seconds: Most seconds that one dialogue may take.
    """

    target: int
    candidates: int
    alive: Callable[[], int]
    dialogue_seconds: float


class Synthesis:
    """One run, from its first dialogue to its last.

    Dialogue k is begun only while accepted + alive < target, so the data set is the first ``target`` accepted
    dialogues in index order, whatever the timing.

    Args:
        bounds: How far it may go.
        sampler: Draws tool sets.
        troupe: What dialogues are played with.
        model: The troupe's model, told which dialogues begin and end.
        run: Where results go.
        bus: Carries the events.
        progress: Is kept up to date.
        labels: Metadata that every dialogue of the run carries.
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
    ) -> None:
        self._bounds = bounds
        self._sampler = sampler
        self._troupe = troupe
        self._model = model
        self._run = run
        self._bus = bus
        self._progress = progress
        self._labels = labels
        self._changed = asyncio.Event()
        self._stopped: Ending | None = None
        self._spent: Callable[[], Awaitable[None]] | None = None
        self._failures_in_a_row = 0

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
        waiting = iter(index for index in range(self._bounds.candidates) if index not in finished)
        ending: Ending | None = None
        async with asyncio.TaskGroup() as group:
            tasks: set[asyncio.Task[None]] = set()
            while ending is None:
                while self._stopped is None and self._has_room():
                    index = next(waiting, None)
                    if index is None:
                        break
                    self._progress.alive += 1
                    task = group.create_task(self._dialogue(index), name=f"dialogue-{index}")
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                ending = self._ending()
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
        return ending

    def _continue(self) -> set[int]:
        """Take up the counts of earlier processes; the indices that need no more work."""
        accepted, thrown_out = self._run.finished()
        self._progress.continue_from(len(accepted))
        for line in thrown_out:
            self._count_thrown_out(line["stage"], line["reason"])
        self._model.continue_from(accepted, thrown_out)
        return accepted | {line["index"] for line in thrown_out}

    def _has_room(self) -> bool:
        alive = self._progress.alive
        return alive < self._bounds.alive() and self._progress.accepted + alive < self._bounds.target

    def _ending(self) -> Ending | None:
        if self._progress.accepted >= self._bounds.target and not self._progress.alive:
            return "target_met"
        if self._stopped is not None:
            return self._stopped
        return None if self._progress.alive else "candidate_ceiling"

    async def _dialogue(self, index: int) -> None:
        """Everything that one dialogue goes through."""
        self._model.begin(index)
        try:
            tool_set, scenario = self._draw(index)
            cast = Cast(self._troupe, dialogue=index, tool_set=tool_set, scenario=scenario)
            result = await simulate(self._bus, index, cast.agents, deadline=self._bounds.dialogue_seconds)
            if isinstance(result, SceneFailure):
                self._fail(index, result)
            else:
                self._judge(index, result, tool_set, scenario, cast)
        finally:
            self._model.end(index)
            self._progress.alive -= 1
            self._changed.set()

    def _draw(self, index: int) -> tuple[ToolSet, Scenario]:
        seed, bounds = self._troupe.seed, self._troupe.bounds
        tool_set = self._sampler.sample(index)
        scenario = draw_scenario(
            derive_random(seed, index, "scenario"),
            fewest_goals=bounds.fewest_goals,
            most_goals=bounds.most_goals,
        )
        return tool_set, scenario

    def _judge(
        self, index: int, trajectory: Trajectory, tool_set: ToolSet, scenario: Scenario, cast: Cast
    ) -> None:
        dialogue = Dialogue(
            index,
            trajectory.messages,
            cast.offered,
            trajectory.plan,
            {
                "seed": self._troupe.seed,
                "links": [link.to_json() for link in tool_set.links],
                "distractors": [tool.function_name for tool in tool_set.distractors],
                "scenario": asdict(scenario),
                "models": cast.models,
                "usage": asdict(cast.usage),
                "repairs": cast.repairs,
                "checks": list(CHECKS),
                **self._labels,
            },
        )
        self._failures_in_a_row = 0
        verdict = judge(trajectory, cast.offered)
        if verdict.accepted:
            self._run.accept(dialogue.to_line())
            self._model.settle(index, "accepted")
            self._progress.accepted += 1
            return
        self._throw_out(
            dialogue.id,
            index,
            stage="checks",
            reason=verdict.findings[0].check,
            detail=verdict.findings[0].detail,
            findings=[asdict(finding) for finding in verdict.findings],
        )

    def _fail(self, index: int, failure: SceneFailure) -> None:
        where = {"traceback": failure.traceback} if failure.traceback else {}
        self._throw_out(
            f"d{index:07d}", index, stage="dialogue", reason=failure.reason, detail=failure.detail, **where
        )
        if failure.reason not in _SIGNS_OF_AN_OUTAGE:
            self._failures_in_a_row = 0
            return
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= _FAILURES_IN_A_ROW:
            raise LLMError(
                f"{_FAILURES_IN_A_ROW} dialogues in a row failed, the last one because: {failure.detail}",
                hint="Nothing finished is lost. When the cause is mended, run the same command: it continues "
                "the run. rejected.jsonl holds the details.",
            )

    def _throw_out(self, dialogue_id: str, index: int, *, stage: str, reason: str, **details: Any) -> None:
        self._run.reject({"id": dialogue_id, "index": index, "stage": stage, "reason": reason, **details})
        self._model.settle(index, state_of(stage), stage, reason)
        self._count_thrown_out(stage, reason)

    def _count_thrown_out(self, stage: str, reason: str) -> None:
        if stage == "checks":
            self._progress.rejected += 1
        else:
            self._progress.failed += 1
        self._progress.reasons[reason] += 1
