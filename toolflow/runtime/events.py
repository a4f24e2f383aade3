"""What agents say to each other. Events are immutable and are the only way that agents talk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from toolflow.dialogue.message import Message
from toolflow.dialogue.plan import Goal, Plan

AgentRole = Literal["planner", "user", "assistant", "tool"]

EndReason = Literal["completed", "user_left", "user_gave_up", "turn_limit"]
"""Why a scene ended on its own; ``completed`` alone makes a whole dialogue."""


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True)
class PlanMade(Event):
    """The planner has a valid plan."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class GoalInjected(Event):
    """It is the user's turn: pursue ``current``, or once that is settled open ``upcoming``.

    Attributes:
        turn: Counts the user's turns from 0.
        current: The goal being pursued; None before the first.
        upcoming: The goal after it; None when ``current`` is the last.
    """

    turn: int
    current: Goal | None
    upcoming: Goal | None


@dataclass(frozen=True, slots=True)
class GoalAdjusted(Event):
    """The planner rewrote a goal because the dialogue went differently from the plan."""

    position: int
    goal: Goal


@dataclass(frozen=True, slots=True)
class UserSpoke(Event):
    """The user said something; ``opened`` tells whether it opened the upcoming goal."""

    message: Message
    opened: bool


@dataclass(frozen=True, slots=True)
class UserDone(Event):
    """The user has nothing more to say."""

    gave_up: bool = False


@dataclass(frozen=True, slots=True)
class ToolsCalled(Event):
    """The assistant emitted one or more calls, all of them valid."""

    message: Message


@dataclass(frozen=True, slots=True)
class ToolsReturned(Event):
    """One tool message for each call, in the order of the calls."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class AssistantSpoke(Event):
    """The assistant answered or asked the user; its turn is over."""

    message: Message


@dataclass(frozen=True, slots=True)
class DialogueEnded(Event):
    """The planner closes the scene."""

    reason: EndReason
