"""Chat completions as JSON: requests out, completions in. Typed, and tolerant of what servers get wrong."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from toolflow.catalog.tool import Tool, encode_json
from toolflow.dialogue.message import Message, ToolCall
from toolflow.errors import MalformedCompletionError, PermanentLLMError
from toolflow.llm.chat import Completion, FinishReason, Request, Usage
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.providers.failures import embedded_failure, quote, unreadable_failure

_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class _ToolCall(msgspec.Struct):
    id: str | int | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    content: str | list[Any] | None = None
    tool_calls: list[_ToolCall] | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    finish_reason: Any = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | float | None = None
    completion_tokens: int | float | None = None


class _Reply(msgspec.Struct):
    choices: list[_Choice] | msgspec.UnsetType | None = msgspec.UNSET
    usage: _Usage | None = None
    model: str | None = None
    error: Any = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Reply)

# Keyed by identity, the tool kept beside its JSON so that its id() cannot be given to another object.
_encoded_tools: dict[int, tuple[Tool, msgspec.Raw]] = {}
_ENCODED_TOOLS_KEPT = 16_384


def encode_request(request: Request) -> bytes:
    """The body of a chat-completions request.

    Raises:
        PermanentLLMError: A text holds half a surrogate pair, which no JSON can carry.
    """
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [message.to_openai() for message in request.messages],
        "seed": request.seed,
    }
    if request.response_format is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {
                "name": request.response_format.name,
                "schema": request.response_format.schema,
                "strict": False,
            },
        }
    sampling = request.sampling
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.max_tokens is not None:
        body["max_tokens"] = sampling.max_tokens
    try:
        if request.tools:
            body["tools"] = [_encoded_tool(tool) for tool in request.tools]
            body["tool_choice"] = request.tool_choice
        return _encoder.encode(body)
    except UnicodeEncodeError as error:
        raise PermanentLLMError(f"a message or tool holds text that is not valid Unicode: {error}") from None


def _encoded_tool(tool: Tool) -> msgspec.Raw:
    known = _encoded_tools.get(id(tool))
    if known is not None:
        return known[1]
    if len(_encoded_tools) >= _ENCODED_TOOLS_KEPT:
        _encoded_tools.clear()
    encoded = msgspec.Raw(_encoder.encode(tool.to_openai()))
    _encoded_tools[id(tool)] = (tool, encoded)
    return encoded


def decode_completion(body: bytes, request: Request, endpoint: Endpoint) -> Completion:
    """The completion in the body of an answer with status 200.

    Raises:
        LLMError: The body is none, holds an error, or holds no usable message.
    """
    reply = _decode(body, endpoint)
    if reply.error:
        raise embedded_failure(reply.error, endpoint, request.model)
    if reply.choices is msgspec.UNSET:
        raise unreadable_failure(body, endpoint)
    if not reply.choices or reply.choices[0].message is None:
        raise MalformedCompletionError(
            f"{endpoint.base_url} answered without a message: choices are empty",
            prompt_tokens=int((reply.usage or _Usage()).prompt_tokens or 0),
            completion_tokens=int((reply.usage or _Usage()).completion_tokens or 0),
        )
    choice, said = reply.choices[0], reply.choices[0].message
    calls = _tool_calls(said.tool_calls, request, endpoint) if said.tool_calls else ()
    text = said.content if isinstance(said.content, str) else _joined(said.content)
    usage = reply.usage or _Usage()
    completion = Completion(
        Message("assistant", text, calls),
        _finish_reason(choice.finish_reason, calls),
        Usage(int(usage.prompt_tokens or 0), int(usage.completion_tokens or 0)),
        reply.model or request.model,
    )
    _check_usable(completion, said.refusal, request, endpoint)
    return completion


def _decode(body: bytes, endpoint: Endpoint) -> _Reply:
    try:
        return _decoder.decode(body)
    except (ValueError, RecursionError):
        pass
    # Python's own reader takes what strict JSON does not: NaN log probabilities, and the half surrogate pairs
    # of a model that stopped inside an emoji.
    try:
        value = json.loads(body.decode("utf-8-sig", "replace"), parse_constant=lambda _: None)
        return _decoder.decode(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise unreadable_failure(body, endpoint) from None


def _tool_calls(raw: list[_ToolCall], request: Request, endpoint: Endpoint) -> tuple[ToolCall, ...]:
    # A missing id, or one used before in the dialogue, would leave it open which result answers which call.
    used = {call.id for message in request.messages for call in message.tool_calls}
    own = {str(call.id) for call in raw}
    number = len(used)
    calls: list[ToolCall] = []
    for call in raw:
        if call.function is None or not call.function.name:
            raise MalformedCompletionError(
                f"{endpoint.base_url} answered with a tool call that names no tool"
            )
        identifier = str(call.id or "")
        while not identifier or identifier in used:
            fresh = f"call_{number}"
            identifier = "" if fresh in own else fresh
            number += 1
        used.add(identifier)
        arguments = call.function.arguments
        if not isinstance(arguments, str):
            arguments = encode_json({} if arguments is None else arguments)
        calls.append(ToolCall(identifier, call.function.name, arguments))
    return tuple(calls)


def _joined(parts: list[Any] | None) -> str:
    texts = (part.get("text") if isinstance(part, dict) else part for part in parts or ())
    return "".join(text for text in texts if isinstance(text, str))


def _finish_reason(raw: object, calls: tuple[ToolCall, ...]) -> FinishReason:
    return _FINISH_REASONS.get(str(raw)) or ("tool_calls" if calls else "stop")


def _check_usable(completion: Completion, refusal: str | None, request: Request, endpoint: Endpoint) -> None:
    empty = not completion.message.tool_calls and not completion.message.content.strip()
    if completion.finish_reason == "content_filter":
        raise PermanentLLMError(f"the content filter of {endpoint.base_url} stopped the completion")
    usage = completion.usage
    if completion.finish_reason == "length" and (empty or request.response_format is not None):
        raise MalformedCompletionError(
            f"{endpoint.base_url} cut the completion off before it was complete",
            hint="Raise max_tokens for this role.",
            prompt_tokens=usage.prompt,
            completion_tokens=usage.completion,
        )
    if empty:
        why = f"; the model refused: {quote(refusal)}" if refusal else ""
        raise MalformedCompletionError(
            f"{endpoint.base_url} answered with an empty message{why}",
            prompt_tokens=usage.prompt,
            completion_tokens=usage.completion,
        )
