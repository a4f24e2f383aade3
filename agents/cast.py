"""Puts together the four agents of one dialogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from toolflow.agents.assistant import Assistant
from toolflow.agents.planner import Planner
from toolflow.agents.prompts import ROLES, PromptRole, Prompts
from toolflow.agents.tool import ToolSimulator
from toolflow.agents.user import User
from toolflow.agents.voice import RoleModel, Voice
from toolflow.clock import derive_random
from toolflow.config import DialogueConfig
from toolflow.dialogue.plan_rules import PlanLimits
from toolflow.dialogue.scenario import Scenario
from toolflow.graph.link import ToolSet
from toolflow.llm.chat import ChatModel, ToolCallStyle, Usage
from toolflow.runtime.agent import Agent


@dataclass(frozen=True, slots=True)
class Troupe:
    """What every dialogue of a run is played with.

    Attributes:
        model: Answers the agents' requests.
        prompts: The templates.
        role_models: For each role the models to draw from; one or more.
        style: How the assistant's endpoint lets a model call tools.
        bounds: The bounds of a dialogue.
        seed: The run's seed.
    """

    model: ChatModel
    prompts: Prompts
    role_models: Mapping[PromptRole, Sequence[RoleModel]]
    style: ToolCallStyle
    bounds: DialogueConfig
    seed: int


class Cast:
    """The agents of one dialogue, fresh, with their models drawn.

    Args:
        troupe: What they are made of.
        dialogue: Index of the dialogue.
        tool_set: The tools of the dialogue and their distractors.
        scenario: What the dialogue is to be like.

    Attributes:
        models: The name of each role's model.
        offered: What the assistant is offered: the tools, with the distractors among them.
    """

    def __init__(self, troupe: Troupe, *, dialogue: int, tool_set: ToolSet, scenario: Scenario) -> None:
        draw = derive_random(troupe.seed, dialogue, "cast")
        drawn = {role: draw.choice(troupe.role_models[role]) for role in ROLES}
        self.models = {role: model.name for role, model in drawn.items()}
        self._voices = {
            role: Voice(
                troupe.model,
                drawn[role],
                role=role,
                dialogue=dialogue,
                seed=troupe.seed,
                repairs=troupe.bounds.repairs,
            )
            for role in ROLES
        }
        self.offered = tool_set.tools
        if tool_set.distractors:
            mixed = [*tool_set.tools, *tool_set.distractors]
            derive_random(troupe.seed, dialogue, "offer").shuffle(mixed)
            self.offered = tuple(mixed)
        tools = {tool.function_name: tool for tool in self.offered}
        bounds = troupe.bounds
        self.agents: tuple[Agent, ...] = (
            Planner(
                self._voices["planner"],
                troupe.prompts,
                tool_set=tool_set,
                scenario=scenario,
                limits=PlanLimits(bounds.fewest_goals, bounds.most_goals, bounds.most_chat),
                most_turns=bounds.most_turns,
            ),
            User(self._voices["user"], troupe.prompts, scenario=scenario),
            Assistant(
                self._voices["assistant"],
                troupe.prompts,
                tools=tools,
                style=troupe.style,
                most_rounds=bounds.most_rounds,
            ),
            ToolSimulator(self._voices["tool"], troupe.prompts, tools=tools),
        )

    @property
    def usage(self) -> Usage:
        """LLM tokens of all calls so far."""
        return reduce(add, (voice.usage for voice in self._voices.values()))

    @property
    def repairs(self) -> int:
        """Replies so far that had to be mended."""
        return sum(voice.repaired for voice in self._voices.values())
