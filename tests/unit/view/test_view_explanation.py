"""What strangers wrote reaches the terminal harmless, and findings stand beside their message."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console, RenderableType

from toolflow.dialogue.message import Message, ToolCall
from toolflow.journal.bodies import JournalledCall
from toolflow.llm.chat import CallKey, Completion, Delivery, Request
from toolflow.runtime.bus import Envelope
from toolflow.runtime.events import ToolsCalled, ToolsReturned
from toolflow.view.stepping import render_exchange, render_step
from toolflow.view.transcript import dollars, render_explanation

HOSTILE = "\x1b]0;owned\x07\x1b[31m[bold]hi[/bold]\u202e"


def drawn(renderable: RenderableType) -> str:
    file = io.StringIO()
    Console(file=file, width=200, force_terminal=False).print(renderable)
    return file.getvalue()


def document(**changes: Any) -> dict[str, Any]:
    call = {"function": {"name": f"ping{HOSTILE}", "arguments": f'{{"a": "{HOSTILE}"}}'}}
    return {
        "id": "d0000007",
        "state": "rejected",
        "findings": [{"check": "call_format", "detail": f"call_1: {HOSTILE}", "place": 1}],
        "replay": {"whole": "whole", "detail": ""},
        "rehearsal": False,
        "scenario": {"persona": f"a nurse {HOSTILE}", "kind": "everyday"},
        "tools": [f"ping{HOSTILE}"],
        "distractors": [],
        "links": [],
        "plan": {"topic": HOSTILE, "goals": [{"request": HOSTILE, "calls": [{"tool": HOSTILE}]}]},
        "messages": [
            {"role": "user", "content": f"first {HOSTILE}"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": f"result {HOSTILE}"},
        ],
        "calls": [],
        "totals": {"calls": 0},
        "traceback": None,
    } | changes


def test_hostile_text_is_harmless() -> None:
    key = CallKey(7, "user", 0)
    message = Message("assistant", HOSTILE, (ToolCall(HOSTILE, HOSTILE, HOSTILE),))
    completion = Completion(message, model=HOSTILE, delivery=Delivery(HOSTILE, 2, 0.5))
    call = JournalledCall(1, key, Request(key, HOSTILE, (message,)), completion, b"", 0.0)
    returned = ToolsReturned((Message("tool", HOSTILE, tool_call_id=HOSTILE),))
    for renderable in (
        render_explanation(document()),
        render_step(call, 1, 9),
        render_exchange(call),
        render_step(Envelope(7, 0, "assistant", 0.0, ToolsCalled(message)), 2, 9),
        render_step(Envelope(7, 1, "tool", 0.0, returned), 3, 9),
    ):
        text = drawn(renderable)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "[bold]hi[/bold]" in text  # no markup of ours


def test_a_finding_stands_below_its_message() -> None:
    lines = drawn(render_explanation(document())).splitlines()
    mark = next(number for number, line in enumerate(lines) if "▲" in line)
    assert "ping" in lines[mark - 1]
    assert "result" in lines[mark + 1]


def test_costs_are_told_and_never_guessed() -> None:
    assert [dollars(cost) for cost in (None, 0.0, 0.00123, 12.3456)] == ["–", "$0", "$0.0012", "$12.35"]
