"""Snapshots, events and dialogues for the tests of the view."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType

from toolflow.dialogue.message import Message, ToolCall
from toolflow.dialogue.plan import Goal, Plan
from toolflow.llm.tally import ClientStatistics
from toolflow.progress import ProgressSnapshot
from toolflow.runtime.bus import Envelope
from toolflow.runtime.events import (
    AssistantSpoke,
    DialogueEnded,
    Event,
    GoalInjected,
    PlanMade,
    ToolsCalled,
    ToolsReturned,
    UserSpoke,
)
from toolflow.view.focus import Focus

HOSTILE = (
    "[bold red]markup[/] \x1b[2J\x1b[31mred\x1b[0m \x1b]8;;http://example.org\x07link\x1b]8;;\x07\r\n\x07"
    " \u202eoverride\u202c \u2066isolate\u2069 \x9b5A"
    + "W" * 400
    + "\n\n漢字かな交じり文" * 20
    + " 👨‍👩‍👧‍👦🇩🇪👍🏽❤️" * 20
    + " e\u0301" * 50
)

REASONS = {"ungrounded_argument": 61, "llm_error": 22, "not_completed": 9, "repeated_call": 2}


def take_calls(**changes: int) -> ClientStatistics:
    figures = {
        "completed": 117_204,
        "failed": 2,
        "attempts": 120_331,
        "rate_limited": 17,
        "prompt_tokens": 81_200_000,
        "completion_tokens": 10_400_000,
        "in_flight": 512,
        "waiting": 31,
        "backing_off": 4,
    }
    given: dict[str, Any] = figures | changes
    return ClientStatistics(**given)


def take_snapshot(
    seconds: float = 8045.0,
    *,
    target: int = 10_000,
    accepted: int = 3_712,
    rejected: int = 120,
    failed: int = 3,
    reasons: Mapping[str, int] = REASONS,
    calls: ClientStatistics | None = None,
) -> ProgressSnapshot:
    return ProgressSnapshot(
        target=target,
        accepted=accepted,
        rejected=rejected,
        failed=failed,
        alive=640,
        reasons=reasons,
        replayed=1_204,
        calls=calls or take_calls(),
        seconds=seconds,
        accepted_before=0,
    )


def chat_goal(request: str) -> Goal:
    return Goal(kind="chat", request=request)


def hotel_events(text: str = "") -> list[Event]:
    """A dialogue of one turn; a given text takes every place that a model fills."""
    goal = chat_goal(text or "Find a quiet hotel")
    call = ToolCall("1", text or "search_hotels", '{"city": "Lisbon", "guests": 2}')
    return [
        PlanMade(Plan(topic=text or "A weekend in Lisbon", goals=(goal, goal, goal))),
        GoalInjected(0, None, goal),
        UserSpoke(Message("user", text or "I need a quiet hotel."), opened=True),
        ToolsCalled(Message("assistant", "", (call,))),
        ToolsReturned((Message("tool", text or '{"hotel": "Tejo Vista"}', (), "1"),)),
        AssistantSpoke(Message("assistant", text or "The Tejo Vista is quiet.")),
        DialogueEnded("completed"),
    ]


def follow(focus: Focus, *events: Event, dialogue: int = 7, start: float = 0.0, sequence: int = 0) -> None:
    """Show a focus events of a dialogue, a second apart."""
    for place, event in enumerate(events):
        focus.watch(Envelope(dialogue, sequence + place, "user", start + place, event))


def drawn(renderable: RenderableType, width: int, height: int) -> list[str]:
    """The lines that a console of a size shows."""
    console = Console(file=StringIO(), width=width, height=height, record=True)
    console.print(renderable, end="")
    return console.export_text().splitlines()


class Pauses:
    """A sleep that takes no time: it counts, tells somebody, and cancels its task after the last pause.

    Args:
        pauses: How many there are.
        meanwhile: Called with the number of seconds of each.
    """

    def __init__(self, pauses: int, meanwhile: Callable[[float], Any] = lambda _: None) -> None:
        self._left = pauses
        self._meanwhile = meanwhile

    async def __call__(self, seconds: float) -> None:
        self._meanwhile(seconds)
        self._left -= 1
        if self._left <= 0:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await asyncio.sleep(0)


def cancelled(showing: Awaitable[None]) -> bool:
    """Whether a display that is shown ends by cancellation."""

    async def show() -> bool:
        try:
            await showing
        except asyncio.CancelledError:
            return True
        return False

    return asyncio.run(show())
