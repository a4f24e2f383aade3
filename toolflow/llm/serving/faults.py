"""What goes wrong with a completion itself, as it does with models and their parsers."""

from __future__ import annotations

from dataclasses import replace

from toolflow.dialogue.message import ToolCall
from toolflow.llm.chat import Completion


def spoil(completion: Completion, fault: str | None) -> Completion:
    """The completion with a fault in it; unchanged where the fault is of another kind."""
    message = completion.message
    if fault == "empty":
        return replace(completion, message=replace(message, content="", tool_calls=()), finish_reason="stop")
    if fault == "badjson":
        calls = tuple(replace(call, arguments=call.arguments[:-1]) for call in message.tool_calls)
    elif fault == "wrongid":
        calls = tuple(ToolCall("call_0", call.name, call.arguments) for call in message.tool_calls)
    else:
        return completion
    return replace(completion, message=replace(message, tool_calls=calls))
