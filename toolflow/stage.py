"""What one dialogue goes through: its tool set is drawn, it is played, it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from toolflow.agents.cast import Cast, Troupe
from toolflow.clock import derive_random
from toolflow.dialogue.dialogue import Dialogue, dialogue_id
from toolflow.dialogue.scenario import Scenario, draw_scenario
from toolflow.graph.link import ToolSet
from toolflow.graph.sampling.sampler import Sampler
from toolflow.journal.run_directory import PLAYED
from toolflow.quality.checks import CHECKS, judge
from toolflow.runtime.bus import Bus
from toolflow.runtime.simulator import SceneFailure, Trajectory, simulate


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a dialogue.

    Attributes:
        accepted: Whether it is part of the data set.
        line: Its line of dialogues.jsonl, or of rejected.jsonl.
    """

    accepted: bool
    line: Mapping[str, Any]


class Stage:
    """Plays the dialogues of one run, each determined by its index and the model's replies.

    Args:
        sampler: Draws tool sets.
        troupe: What dialogues are played with.
        bus: Carries the events.
        labels: Metadata that every dialogue of the run carries.
        deadline: Most seconds that one dialogue may take; None for no limit.
    """

    def __init__(
        self,
        sampler: Sampler,
        troupe: Troupe,
        bus: Bus,
        *,
        labels: Mapping[str, Any],
        deadline: float | None = None,
    ) -> None:
        self._sampler = sampler
        self._troupe = troupe
        self._bus = bus
        self._labels = labels
        self._deadline = deadline

    async def play(self, index: int) -> Outcome:
        """Everything that one dialogue goes through.

        Raises:
            ToolFlowError: What every other dialogue of the run would meet too.
        """
        tool_set, scenario = self.draw(index)
        cast = Cast(self._troupe, dialogue=index, tool_set=tool_set, scenario=scenario)
        result = await simulate(self._bus, index, cast.agents, deadline=self._deadline)
        if isinstance(result, SceneFailure):
            where = {"traceback": result.traceback} if result.traceback else {}
            return _thrown_out(index, PLAYED, result.reason, detail=result.detail, **where)
        return self._judge(index, result, tool_set, scenario, cast)

    def draw(self, index: int) -> tuple[ToolSet, Scenario]:
        """What a dialogue is about, and what it is to be like."""
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
    ) -> Outcome:
        verdict = judge(trajectory, cast.offered)
        if not verdict.accepted:
            findings = [asdict(finding) for finding in verdict.findings]
            first = verdict.findings[0]
            return _thrown_out(index, "checks", first.check, detail=first.detail, findings=findings)
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
        return Outcome(accepted=True, line=dialogue.to_line())


def _thrown_out(index: int, stage: str, reason: str, **details: Any) -> Outcome:
    line = {"id": dialogue_id(index), "index": index, "stage": stage, "reason": reason, **details}
    return Outcome(accepted=False, line=line)
