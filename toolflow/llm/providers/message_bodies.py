"""Requests as Anthropic's Messages API wants them.

What differs from chat completions: system messages stand apart; users and assistants alternate; the results
of a turn's calls are blocks of one user message; ``max_tokens`` must be given; there is no seed. A structured
reply is the input of a tool that the model must call: ``output_config.format`` takes no schema with free-form
objects, recursion or bounds, and return schemas of catalogues have all three.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from toolflow.catalog.tool import Schema, Tool
from toolflow.dialogue.message import Message, ToolCall
from toolflow.llm.chat import Request
from toolflow.llm.providers.wire import EncodedTools

MAX_TOKENS: Final = 8192
"""Sent where a role has none: within what every current model may write, thinking included."""

REPLY_DESCRIPTION: Final = "Gives the reply. Always answer by calling this tool."

_COMBINATORS: Final = frozenset({"anyOf", "oneOf", "allOf"})
_NOT_IN_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")
_OPENING: Final = "Begin."
_GOING_ON: Final = "Go on."
_EMPTY_INPUT: Final = msgspec.Raw(b"{}")


def message_body(request: Request, *, stream: bool, without: frozenset[str]) -> dict[str, Any]:
    """The body of a request, ready to be encoded.

    Args:
        request: What is asked.
        stream: Whether the answer shall come in pieces.
        without: Names of parameters that the model refuses.
    """
    sampling = request.sampling
    spoken = (message.content for message in request.messages if message.role == "system")
    system = "\n\n".join(text for text in spoken if text.strip())
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": sampling.max_tokens or MAX_TOKENS,
        "messages": _turns(request.messages),
    }
    if system:
        body["system"] = system
    if sampling.temperature is not None and "temperature" not in without:
        body["temperature"] = min(sampling.temperature, 1.0)
    if sampling.top_p is not None and "top_p" not in without:
        body["top_p"] = sampling.top_p
    tools = _encoded_tools.of(request.tools)
    if request.response_format is not None:
        reply = request.response_format
        schema = _object_schema(reply.schema)
        tools.append(
            msgspec.Raw(
                msgspec.json.encode(
                    {"name": reply.name, "description": REPLY_DESCRIPTION, "input_schema": schema}
                )
            )
        )
        may_call = bool(request.tools) and request.tool_choice != "none"
        forced = {"type": "any"} if may_call else {"type": "tool", "name": reply.name}
        body["tool_choice"] = {"type": "auto"} if "tool_choice" in without else forced
    elif request.tools:
        body["tool_choice"] = {"type": request.tool_choice}
    if tools:
        body["tools"] = tools
    if stream:
        body["stream"] = True
    return body


def _turns(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Users and assistants in turn, a user first and last; neighbours of one role become one turn."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message)
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if not turns or turns[0]["role"] != "user":
        turns.insert(0, {"role": "user", "content": [{"type": "text", "text": _OPENING}]})
    if turns[-1]["role"] != "user":  # Else it would be the beginning of the answer, which new models refuse.
        turns.append({"role": "user", "content": [{"type": "text", "text": _GOING_ON}]})
    for turn in turns:
        # Results first: the API wants what was called answered before anything else is said.
        turn["content"].sort(key=lambda block: block["type"] == "text" and turn["role"] == "user")
        if len(turn["content"]) == 1 and turn["content"][0]["type"] == "text":
            turn["content"] = turn["content"][0]["text"]
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        identifier = _identifier(message.tool_call_id or "")
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": identifier}
        return [block | {"content": message.content} if message.content else block]
    text = message.content
    # Text that is empty or blank is refused.
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text}] if text.strip() else []
    return blocks + [_tool_use(call) for call in message.tool_calls]


def _tool_use(call: ToolCall) -> dict[str, Any]:
    written = call.decoded() is not None and call.arguments
    return {
        "type": "tool_use",
        "id": _identifier(call.id),
        "name": call.name,
        "input": msgspec.Raw(call.arguments.encode()) if written else _EMPTY_INPUT,
    }


def _identifier(text: str) -> str:
    return _NOT_IN_ID.sub("_", text)


def _tool(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.function_name,
        "description": tool.description,
        "input_schema": _object_schema(tool.parameters),
    }


_encoded_tools = EncodedTools(_tool)


def _object_schema(schema: Schema) -> dict[str, Any]:
    """The schema of an object, without what the API refuses at the root."""
    return {"type": "object"} | {name: value for name, value in schema.items() if name not in _COMBINATORS}
