"""Plays one dialogue: one scene, one task group, four agents, until somebody ends it."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

from toolflow.dialogue.message import Message
from toolflow.dialogue.plan import Goal, Plan
from toolflow.errors import (
    AgentError,
    ContextLengthError,
    FatalLLMError,
    LLMError,
    RunDirectoryError,
    UsageError,
    leaves,
)
from toolflow.runtime.agent import Agent
from toolflow.runtime.bus import Bus
from toolflow.runtime.events import (
    AssistantSpoke,
    DialogueEnded,
    EndReason,
    Event,
    GoalAdjusted,
    PlanMade,
    ToolsCalled,
    ToolsReturned,
    UserSpoke,
)
from toolflow.runtime.mailbox import Mailbox


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What was said in a scene that ended on its own.

    Attributes:
        messages: User, assistant and tool messages in order.
        plan: The plan with its goals in their last, adjusted form.
        ended: Why it ended.
        goal_starts: For each goal that the user took up, the place in ``messages`` where it was opened.
    """

    messages: tuple[Message, ...]
    plan: Plan
    ended: EndReason
    goal_starts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SceneFailure:
    """A scene that could not be played to an end.

    Attributes:
        reason: A short word for the counts, such as ``llm_error`` or ``deadline``.
        detail: What happened, in a sentence.
        traceback: Where, if it was a bug of ours.
    """

    reason: str
    detail: str
    traceback: str | None = None


async def simulate(
    bus: Bus, dialogue: int, agents: Sequence[Agent], *, deadline: float | None = None
) -> Trajectory | SceneFailure:
    """Play one dialogue to its end.

    Args:
        bus: Carries the events.
        dialogue: Index of the dialogue.
        agents: Its participants, fresh for this scene.
        deadline: Most seconds that the scene may take; None for no limit.

    Returns:
        The trajectory, or why there is none. A failure stays in its scene.

    Raises:
        FatalLLMError: Every other dialogue of the run would fail in the same way.
        UsageError: A prompt template cannot be rendered.
        RunDirectoryError: The journal cannot be written.
    """
    scene = bus.scene(dialogue)
    transcript = _Transcript()
    heard = Mailbox(1)
    scene.subscribe(heard, transcript.topics)
    for agent in agents:
        agent.enter(scene)
    try:
        async with asyncio.timeout(deadline), asyncio.TaskGroup() as group:
            tasks = [group.create_task(agent.run(), name=f"{agent.role}-{dialogue}") for agent in agents]
            while transcript.ended is None:
                transcript.add(await heard.get())
            for task in tasks:
                task.cancel()
    except TimeoutError:
        return SceneFailure("deadline", f"the dialogue took more than {deadline:g} s")
    except BaseExceptionGroup as group_error:
        return _failure(group_error)
    return transcript.trajectory()


class _Transcript:
    """Collects what a scene leaves behind."""

    topics = (PlanMade, GoalAdjusted, UserSpoke, ToolsCalled, ToolsReturned, AssistantSpoke, DialogueEnded)

    def __init__(self) -> None:
        self.ended: EndReason | None = None
        self._messages: list[Message] = []
        self._goals: list[Goal] = []
        self._topic = ""
        self._starts: list[int] = []

    def add(self, event: Event) -> None:
        match event:
            case PlanMade(plan):
                self._topic, self._goals = plan.topic, list(plan.goals)
            case GoalAdjusted(position, goal):
                self._goals[position] = goal
            case UserSpoke(message, opened):
                if opened:
                    self._starts.append(len(self._messages))
                self._messages.append(message)
            case ToolsCalled(message) | AssistantSpoke(message):
                self._messages.append(message)
            case ToolsReturned(messages):
                self._messages.extend(messages)
            case DialogueEnded(reason):
                self.ended = reason
            case _:
                raise AssertionError(event)

    def trajectory(self) -> Trajectory:
        assert self.ended is not None
        plan = Plan.model_construct(topic=self._topic, goals=tuple(self._goals))
        return Trajectory(tuple(self._messages), plan, self.ended, tuple(self._starts))


def _failure(group: BaseExceptionGroup[BaseException]) -> SceneFailure:
    """The one reason of a crashed scene; what is not the scene's own affair is raised."""
    errors = list(leaves(group))
    for error in errors:
        if isinstance(error, FatalLLMError | UsageError | RunDirectoryError) or not isinstance(
            error, Exception
        ):
            raise error
    match errors[0]:
        case AgentError() as error:
            return SceneFailure(error.reason, error.message)
        case ContextLengthError() as error:
            return SceneFailure("context_length", error.message)
        case LLMError() as error:
            return SceneFailure("llm_error", error.message)
        case error:
            return SceneFailure(
                "crash", f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))
            )
