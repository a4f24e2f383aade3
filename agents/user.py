"""The user simulator: one message at a time, towards the goal that the planner injected."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from toolflow.agents.formats import UserReply, user_turn_format
from toolflow.agents.prompts import Prompts
from toolflow.agents.transcript import SpokenTranscript
from toolflow.agents.voice import UnusableReply, Voice, read_json
from toolflow.dialogue.message import Message
from toolflow.dialogue.plan import Goal
from toolflow.dialogue.scenario import Scenario
from toolflow.llm.chat import Completion
from toolflow.runtime.agent import Agent
from toolflow.runtime.events import (
    AgentRole,
    AssistantSpoke,
    Event,
    GoalInjected,
    PlanMade,
    UserDone,
    UserSpoke,
)


class User(Agent):
    """Sees the goals as a person would, and never the tools.

    Args:
        voice: Its way to its model.
        prompts: The templates.
        scenario: Who the user is.
    """

    role: ClassVar[AgentRole] = "user"
    hears: ClassVar[tuple[type[Event], ...]] = (PlanMade, GoalInjected, AssistantSpoke)

    def __init__(self, voice: Voice, prompts: Prompts, *, scenario: Scenario) -> None:
        self._voice = voice
        self._prompts = prompts
        self._scenario = scenario
        self._system = Message("system")
        self._transcript = SpokenTranscript()

    async def handle(self, event: Event) -> None:
        match event:
            case PlanMade(plan):
                text = self._prompts.render("user", "system", scenario=self._scenario, topic=plan.topic)
                self._system = Message("system", text)
            case AssistantSpoke(message):
                self._transcript.assistant(message.content)
            case GoalInjected():
                await self._take_turn(event)
            case _:
                raise AssertionError(event)

    async def _take_turn(self, goals: GoalInjected) -> None:
        prompt = self._prompts.render(
            "user",
            "turn",
            transcript=str(self._transcript),
            current=_as_told(goals.current),
            next=_as_told(goals.upcoming),
        )
        reply = await self._voice.ask(
            (self._system, Message("user", prompt)),
            read=partial(_read_reply, goals),
            repair=self._repair,
            reason="invalid_user_turn",
            response_format=user_turn_format(
                begun=goals.current is not None, more=goals.upcoming is not None
            ),
        )
        if reply.status in {"finished", "gave_up"}:
            await self.publish(UserDone(gave_up=reply.status == "gave_up"))
            return
        text = reply.message.strip()
        self._transcript.user(text)
        opened = reply.status == "next_goal" or goals.current is None
        await self.publish(UserSpoke(Message("user", text), opened))

    def _repair(self, completion: Completion, unusable: UnusableReply) -> tuple[Message, Message]:
        return (
            Message("assistant", completion.message.content or "(nothing)"),
            Message("user", self._prompts.render("user", "repair", problems=unusable.problems)),
        )


def _as_told(goal: Goal | None) -> dict[str, Any] | None:
    """A goal as the person knows it: what they want and the facts they have, not the calls."""
    if goal is None:
        return None
    return {"request": goal.request, "facts": goal.facts, "only_when_asked": goal.withheld_facts}


def _read_reply(goals: GoalInjected, completion: Completion) -> UserReply:
    reply = read_json(UserReply, completion.message.content)
    speaks = reply.status in {"continue", "next_goal"}
    if speaks and not reply.message.strip():
        raise UnusableReply([f"status {reply.status} needs a message"])
    if reply.status == "next_goal" and goals.upcoming is None:
        raise UnusableReply(["there is no next goal: go on with the current one, or finish"])
    if goals.current is None and not speaks:
        raise UnusableReply(["the conversation has not begun: open the next goal"])
    return reply
