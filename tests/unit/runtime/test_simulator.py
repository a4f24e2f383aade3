"""One scene: how it ends, and what stays its own affair."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from toolflow.dialogue.message import Message
from toolflow.dialogue.plan import Goal, Plan
from toolflow.errors import (
    AgentError,
    AuthenticationError,
    ContextLengthError,
    PermanentLLMError,
    RunDirectoryError,
)
from toolflow.runtime.agent import Agent
from toolflow.runtime.bus import Bus, Envelope
from toolflow.runtime.events import (
    AgentRole,
    AssistantSpoke,
    DialogueEnded,
    Event,
    GoalInjected,
    PlanMade,
    UserDone,
    UserSpoke,
)
from toolflow.runtime.simulator import SceneFailure, Trajectory, simulate
from toolflow.runtime.testing import run_virtual

GOAL = Goal(kind="chat", request="The user says hello.")
PLAN = Plan(topic="greeting", goals=(GOAL,))


class Planner(Agent):
    role: ClassVar[AgentRole] = "planner"
    hears: ClassVar[tuple[type[Event], ...]] = (AssistantSpoke, UserDone)

    async def begin(self) -> None:
        await self.publish(PlanMade(PLAN))
        await self.publish(GoalInjected(0, None, GOAL))

    async def handle(self, event: Event) -> None:
        if isinstance(event, UserDone):
            await self.publish(DialogueEnded("completed"))
        else:
            await self.publish(GoalInjected(1, GOAL, None))


class User(Agent):
    role: ClassVar[AgentRole] = "user"
    hears: ClassVar[tuple[type[Event], ...]] = (GoalInjected,)

    async def handle(self, event: Event) -> None:
        assert isinstance(event, GoalInjected)
        if event.upcoming is None:
            await self.publish(UserDone())
        else:
            await self.publish(UserSpoke(Message("user", "hello"), opened=True))


class Assistant(Agent):
    role: ClassVar[AgentRole] = "assistant"
    hears: ClassVar[tuple[type[Event], ...]] = (UserSpoke,)

    def __init__(self, trouble: BaseException | None = None, *, pause: float = 0) -> None:
        self._trouble = trouble
        self._pause = pause

    async def handle(self, event: Event) -> None:
        await asyncio.sleep(self._pause)
        if self._trouble is not None:
            raise self._trouble
        await self.publish(AssistantSpoke(Message("assistant", "hi")))


def play(assistant: Assistant, *, deadline: float | None = None) -> Trajectory | SceneFailure:
    async def main() -> Trajectory | SceneFailure:
        return await simulate(Bus(lambda: 0.0), 0, [Planner(), User(), assistant], deadline=deadline)

    return run_virtual(main())


def test_a_scene_that_ends_gives_its_trajectory() -> None:
    trajectory = play(Assistant())
    assert trajectory == Trajectory(
        (Message("user", "hello"), Message("assistant", "hi")), PLAN, "completed", (0,)
    )


def test_a_scene_ends_at_its_deadline() -> None:
    assert play(Assistant(pause=1000), deadline=60) == SceneFailure(
        "deadline", "the dialogue took more than 60 s"
    )


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (AgentError("cannot be used", reason="invalid_plan"), "invalid_plan"),
        (ContextLengthError("too long"), "context_length"),
        (PermanentLLMError("refused"), "llm_error"),
        (KeyError("a bug"), "crash"),
    ],
)
def test_trouble_stays_in_its_scene(trouble: Exception, reason: str) -> None:
    failure = play(Assistant(trouble))
    assert isinstance(failure, SceneFailure)
    assert failure.reason == reason
    assert (failure.traceback is not None) == (reason == "crash")


@pytest.mark.parametrize("trouble", [AuthenticationError("bad key"), RunDirectoryError("disk full")])
def test_what_every_scene_would_meet_is_raised(trouble: Exception) -> None:
    with pytest.raises(type(trouble)):
        play(Assistant(trouble))


def test_cancelling_a_scene_leaves_no_task_behind() -> None:
    async def main() -> set[asyncio.Task[object]]:
        scene = asyncio.create_task(simulate(Bus(lambda: 0.0), 0, [Planner(), User(), Assistant(pause=1000)]))
        await asyncio.sleep(1)
        scene.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scene
        current = asyncio.current_task()
        return {task for task in asyncio.all_tasks() if task is not current}

    assert run_virtual(main()) == set()


def test_watchers_see_every_event_in_sequence() -> None:
    seen: list[Envelope] = []

    async def main() -> None:
        bus = Bus(asyncio.get_running_loop().time)
        bus.watch(seen.append)
        await simulate(bus, 7, [Planner(), User(), Assistant(pause=5)])

    run_virtual(main())
    assert [envelope.sequence for envelope in seen] == list(range(len(seen)))
    assert {envelope.dialogue for envelope in seen} == {7}
    assert [type(envelope.event).__name__ for envelope in seen] == [
        "PlanMade",
        "GoalInjected",
        "UserSpoke",
        "AssistantSpoke",
        "GoalInjected",
        "UserDone",
        "DialogueEnded",
    ]
    spoke = next(envelope for envelope in seen if isinstance(envelope.event, AssistantSpoke))
    assert spoke.time == pytest.approx(5)
