"""The server's side of chat completions as JSON: requests in, completions and errors out, nothing lost."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message, Role, ToolCall
from toolflow.errors import (
    AuthenticationError,
    ConnectionFailedError,
    ContextLengthError,
    FatalLLMError,
    LLMError,
    MalformedCompletionError,
    ModelNotFoundError,
    PermanentLLMError,
    RateLimitedError,
    ServerFailedError,
)
from toolflow.llm.chat import CallKey, Completion, Request, ResponseFormat, Sampling

_NOWHERE = CallKey(0, "", 0)
_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}
_ANY_OBJECT = ResponseFormat("object", {"type": "object"})

# The first class that fits decides; the status is what the client maps back to that class.
_STATUS: tuple[tuple[type[LLMError], int, str], ...] = (
    (RateLimitedError, 429, "rate_limit_exceeded"),
    (ConnectionFailedError, 504, "upstream_unreachable"),
    (MalformedCompletionError, 502, "malformed_completion"),
    (ServerFailedError, 500, "server_error"),
    (ContextLengthError, 400, "context_length_exceeded"),
    (PermanentLLMError, 400, "invalid_request_error"),
    (AuthenticationError, 401, "invalid_api_key"),
    (ModelNotFoundError, 404, "model_not_found"),
    (FatalLLMError, 402, "insufficient_quota"),
)


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


_decoder = msgspec.json.Decoder(_Body)
_encoder = msgspec.json.Encoder()


def decode_request(body: bytes) -> Request:
    """The request in the body of a POST to ``/v1/chat/completions``.

    Raises:
        PermanentLLMError: It is no such body, or asks for what is not served (streams, several choices,
            forced tool calls).
    """
    try:
        raw = _decoder.decode(body)
    except (ValueError, RecursionError) as error:
        raise PermanentLLMError(f"not a chat-completions request that is served here: {error}") from None
    if raw.stream:
        raise PermanentLLMError("streams are not served here", hint="Leave out 'stream'.")
    max_tokens = raw.max_completion_tokens if raw.max_tokens is None else raw.max_tokens
    return Request(
        _NOWHERE,
        raw.model,
        tuple(_message(message) for message in raw.messages),
        tuple(_tool(tool.function) for tool in raw.tools or ()),
        raw.tool_choice or "auto",
        _response_format(raw.response_format),
        Sampling(raw.temperature, raw.top_p, max_tokens),
        raw.seed or 0,
    )


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


def encode_completion(completion: Completion, request: Request, number: int, created: int) -> bytes:
    """The body of the answer.

    Args:
        completion: What to answer.
        request: What was asked.
        number: Makes the ``id``.
        created: Seconds since the epoch.
    """
    usage = completion.usage
    return _encoder.encode(
        {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": created,
            "model": completion.model or request.model,
            "choices": [
                {
                    "index": 0,
                    "message": completion.message.to_openai(),
                    "finish_reason": completion.finish_reason,
                }
            ],
            "usage": {
                "prompt_tokens": usage.prompt,
                "completion_tokens": usage.completion,
                "total_tokens": usage.prompt + usage.completion,
            },
        }
    )


def encode_error(error: LLMError) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer that tells of ``error``."""
    status, code = next((status, code) for kind, status, code in _STATUS if isinstance(error, kind))
    headers: dict[str, str] = {}
    if isinstance(error, RateLimitedError | ServerFailedError) and error.retry_after is not None:
        headers["Retry-After"] = f"{error.retry_after:g}"
    return status, headers, error_body(error.message, code)


def error_body(message: str, code: str) -> bytes:
    """An error in OpenAI's shape."""
    return _encoder.encode({"error": {"message": message, "type": code, "param": None, "code": code}})
