"""The provider: recognises the role from the prompt, and answers as that role would."""

from __future__ import annotations

from typing import Any, Final

from toolflow.catalog.tool import encode_json
from toolflow.clock import derive_random
from toolflow.dialogue.message import Message
from toolflow.llm.chat import Completion, Request, Usage
from toolflow.llm.providers.rehearsal.adjuster import play_adjuster
from toolflow.llm.providers.rehearsal.assistant import play_assistant
from toolflow.llm.providers.rehearsal.planner import play_planner
from toolflow.llm.providers.rehearsal.prompt import last_user_text, read_json
from toolflow.llm.providers.rehearsal.smalltalk import reply_to
from toolflow.llm.providers.rehearsal.tool import play_tool, write_object
from toolflow.llm.providers.rehearsal.user import play_user

DEFAULT_MISTAKES: Final = 0.03
"""How often the model makes a mistake that has to be repaired, per opportunity."""
_LETTERS_PER_TOKEN: Final = 4


class RehearsalProvider:
    """A deterministic stand-in for a language model, in process and without a network.

    Its replies depend on the messages, tools, tool choice, response format and seed of a request, and on
    nothing else.

    Args:
        mistakes: Rate of mistakes, from 0 to 1, per opportunity.
    """

    def __init__(self, mistakes: float = DEFAULT_MISTAKES) -> None:
        self._mistakes = mistakes

    async def send(self, request: Request) -> Completion:
        """Answer a request; never fails and never waits."""
        message = _reply(request, self._mistakes)
        shown = sum(
            len(one.content) + sum(len(call.arguments) for call in one.tool_calls) for one in request.messages
        )
        written = len(message.content) + sum(
            len(call.name) + len(call.arguments) for call in message.tool_calls
        )
        return Completion(
            message,
            "tool_calls" if message.tool_calls else "stop",
            Usage(1 + shown // _LETTERS_PER_TOKEN, 1 + written // _LETTERS_PER_TOKEN),
            request.model,
        )

    async def close(self) -> None:
        """Nothing is held open."""


def _reply(request: Request, mistakes: float) -> Message:
    wanted = request.response_format
    if wanted is None:
        if request.tools or any(message.role != "system" for message in request.messages[:-1]):
            return play_assistant(request, mistakes)
        return Message(
            "assistant", reply_to(last_user_text(request.messages), derive_random(request.seed, "talk"))
        )
    match wanted.name:
        case "plan":
            value: Any = play_planner(request, mistakes)
        case "goal":
            value = play_adjuster(request)
        case "user_turn":
            value = play_user(request, mistakes)
        case "assistant_turn":
            value = _as_json(play_assistant(request, mistakes))
            if isinstance(value, str):
                return Message("assistant", value)
        case "tool_result":
            value = play_tool(request, mistakes)
        case _:
            value = write_object(wanted.schema, request.seed)
    return Message("assistant", encode_json(value))


def _as_json(message: Message) -> Any:
    """An assistant's message in the JSON of an endpoint without native tool calls."""
    calls: list[dict[str, Any]] = []
    for call in message.tool_calls:
        arguments = read_json(call.arguments)
        if not isinstance(arguments, dict):  # malformed on purpose: then the whole reply is
            return f'{{"calls":[{{"name":"{call.name}","arguments":{call.arguments}'
        calls.append({"name": call.name, "arguments": arguments})
    return {"calls": calls, "reply": "" if calls else message.content}
