"""The server's side of OpenAI's chat completions: requests in, completions and errors out, nothing lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message, Role, ToolCall
from toolflow.errors import (
    AuthenticationError,
    ContextLengthError,
    FatalLLMError,
    LLMError,
    ModelNotFoundError,
    PermanentLLMError,
)
from toolflow.llm.chat import Completion, Request, ResponseFormat, Sampling
from toolflow.llm.serving.dialect import NOWHERE, Asked, pieces, read
from toolflow.llm.serving.limiter import LimitState

_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}
_ANY_OBJECT = ResponseFormat("object", {"type": "object"})

_CODES: tuple[tuple[type[LLMError], str], ...] = (
    (ContextLengthError, "context_length_exceeded"),
    (PermanentLLMError, "invalid_request_error"),
    (AuthenticationError, "invalid_api_key"),
    (ModelNotFoundError, "model_not_found"),
    (FatalLLMError, "insufficient_quota"),
)
_CODES_BY_STATUS = {429: "rate_limit_exceeded", 502: "malformed_completion", 504: "upstream_unreachable"}


class _Part(msgspec.Struct):
    type: Literal["text"]
    text: str


class _CalledFunction(msgspec.Struct):
    name: str
    arguments: str = ""


class _ToolCall(msgspec.Struct):
    id: str
    function: _CalledFunction


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None


class _OfferedFunction(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(msgspec.Struct):
    function: _OfferedFunction
    type: Literal["function"] = "function"


class _JsonSchema(msgspec.Struct):
    schema: dict[str, Any]
    name: str = "reply"


class _ResponseFormat(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Body(msgspec.Struct):
    model: str
    messages: list[_Message]
    tools: list[_Tool] | None = None
    tool_choice: Literal["auto", "none"] | None = None
    response_format: _ResponseFormat | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    seed: int | None = None
    n: Literal[1] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


_decoder = msgspec.json.Decoder(_Body)
_encoder = msgspec.json.Encoder()


class ServedChatCompletions:
    """A :class:`toolflow.llm.serving.dialect.ServedDialect`."""

    def decode(self, body: bytes, headers: Mapping[str, str]) -> Asked:  # noqa: ARG002  all is in the body
        raw = read(body, _decoder, "chat-completions")
        max_tokens = raw.max_completion_tokens if raw.max_tokens is None else raw.max_tokens
        request = Request(
            NOWHERE,
            raw.model,
            tuple(_message(message) for message in raw.messages),
            tuple(_tool(tool.function) for tool in raw.tools or ()),
            raw.tool_choice or "auto",
            _response_format(raw.response_format),
            Sampling(raw.temperature, raw.top_p, max_tokens),
            raw.seed or 0,
        )
        usage = raw.stream_options is not None and raw.stream_options.include_usage
        return Asked(request, bool(raw.stream), usage)

    def encode(self, completion: Completion, asked: Asked, number: int, created: int) -> bytes:
        choice = {
            "index": 0,
            "message": completion.message.to_openai(),
            "finish_reason": completion.finish_reason,
        }
        head = _head("chat.completion", completion, asked, number, created)
        return _encoder.encode({**head, "choices": [choice], "usage": _usage(completion)})

    def events(
        self, completion: Completion, asked: Asked, number: int, created: int, *, tokens: int
    ) -> list[bytes]:
        head = _head("chat.completion.chunk", completion, asked, number, created)
        found = [
            _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
            for delta, reason in _deltas(completion, tokens)
        ]
        if asked.usage:
            found.append(_event({**head, "choices": [], "usage": _usage(completion)}))
        return [*found, b"data: [DONE]\n\n"]

    def error_body(self, error: LLMError, status: int) -> bytes:
        code = next((code for kind, code in _CODES if isinstance(error, kind)), None)
        code = code or _CODES_BY_STATUS.get(status, "server_error")
        return _encoder.encode(
            {"error": {"message": error.message, "type": code, "param": None, "code": code}}
        )

    def error_event(self, error: LLMError, status: int) -> bytes:
        return b"data: " + self.error_body(error, status) + b"\n\n"

    def limit_headers(self, states: list[LimitState]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, limit, remaining, whole_in in states:
            found[f"x-ratelimit-limit-{name}"] = str(limit)
            found[f"x-ratelimit-remaining-{name}"] = str(remaining)
            found[f"x-ratelimit-reset-{name}"] = duration(whole_in)
        return found


def duration(seconds: float) -> str:
    """Seconds as OpenAI writes them: ``20ms``, ``1.5s``, ``6m0s``."""
    if seconds < 1:
        return f"{int(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:.3g}s" if minutes else f"{rest:.3g}s"


def _message(raw: _Message) -> Message:
    role: Role = "system" if raw.role == "developer" else raw.role
    content = "".join(part.text for part in raw.content) if isinstance(raw.content, list) else raw.content
    calls = tuple(
        ToolCall(call.id, call.function.name, call.function.arguments) for call in raw.tool_calls or ()
    )
    return Message(role, content or "", calls, raw.tool_call_id)


def _tool(raw: _OfferedFunction) -> Tool:
    parameters = _NO_PARAMETERS if raw.parameters is None else raw.parameters
    return Tool(raw.name, raw.description or "", parameters)


def _response_format(raw: _ResponseFormat | None) -> ResponseFormat | None:
    if raw is None or raw.type == "text":
        return None
    if raw.json_schema is None:
        return _ANY_OBJECT
    return ResponseFormat(raw.json_schema.name, raw.json_schema.schema)


def _head(kind: str, completion: Completion, asked: Asked, number: int, created: int) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number}",
        "object": kind,
        "created": created,
        "model": completion.model or asked.request.model,
    }


def _usage(completion: Completion) -> dict[str, int]:
    usage = completion.usage
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
    }


def _deltas(completion: Completion, tokens: int) -> Iterator[tuple[dict[str, Any], str | None]]:
    message = completion.message
    yield {"role": "assistant", "content": None if message.tool_calls else ""}, None
    for piece in pieces(message.content, tokens):
        yield {"content": piece}, None
    for index, call in enumerate(message.tool_calls):
        function = {"name": call.name, "arguments": ""}
        opened = {"index": index, "id": call.id, "type": "function", "function": function}
        yield {"tool_calls": [opened]}, None
        for piece in pieces(call.arguments, tokens):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, None
    yield {}, completion.finish_reason


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + _encoder.encode(value) + b"\n\n"
