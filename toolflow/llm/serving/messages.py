"""The server's side of Anthropic's Messages API: requests in, messages and errors out, nothing lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message, ToolCall
from toolflow.errors import LLMError, PermanentLLMError
from toolflow.llm.chat import Completion, Request, ResponseFormat, Sampling
from toolflow.llm.providers.messages import SEED_HEADER
from toolflow.llm.serving.dialect import NOWHERE, Asked, pieces, read
from toolflow.llm.serving.limiter import LimitState

_STOP_REASONS: Final = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}
_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class _Block(msgspec.Struct):
    type: Literal["text", "tool_use", "tool_result"]
    text: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")
    tool_use_id: str = ""
    content: Any = ""


class _Turn(msgspec.Struct):
    role: Literal["user", "assistant"]
    content: str | list[_Block]


class _Tool(msgspec.Struct):
    name: str
    input_schema: dict[str, Any]
    description: str = ""


class _ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None


class _Body(msgspec.Struct):
    model: str
    messages: list[_Turn]
    max_tokens: int
    system: str | list[_Block] | None = None
    tools: list[_Tool] | None = None
    tool_choice: _ToolChoice | None = None
    temperature: float | None = None
    top_p: float | None = None
    stream: bool = False


_decoder = msgspec.json.Decoder(_Body)
_encoder = msgspec.json.Encoder()


class ServedMessages:
    """A :class:`toolflow.llm.serving.dialect.ServedDialect`."""

    def decode(self, body: bytes, headers: Mapping[str, str]) -> Asked:
        raw = read(body, _decoder, "messages")
        _check_turns(raw.messages)
        choice, tools = raw.tool_choice, raw.tools or []
        # A tool that must be called is how a structured reply is asked for.
        forced = choice.name if choice is not None and choice.type == "tool" else None
        wanted = next((tool for tool in tools if tool.name == forced), None)
        seed = headers.get(SEED_HEADER, "")
        request = Request(
            NOWHERE,
            raw.model,
            tuple(_messages(raw)),
            tuple(
                Tool(tool.name, tool.description, tool.input_schema) for tool in tools if tool is not wanted
            ),
            "none" if choice is not None and choice.type == "none" else "auto",
            None if wanted is None else ResponseFormat(wanted.name, wanted.input_schema),
            Sampling(raw.temperature, raw.top_p, raw.max_tokens),
            int(seed) if seed.isdecimal() else 0,
        )
        return Asked(request, raw.stream)

    def encode(self, completion: Completion, asked: Asked, number: int, created: int) -> bytes:  # noqa: ARG002
        usage = {"input_tokens": completion.usage.prompt, "output_tokens": completion.usage.completion}
        message = _head(completion, asked, number) | {
            "content": list(_blocks(completion, asked.request)),
            "stop_reason": _stop_reason(completion, asked.request),
            "usage": usage,
        }
        return _encoder.encode(message)

    def events(
        self,
        completion: Completion,
        asked: Asked,
        number: int,
        created: int,  # noqa: ARG002  messages have no such field
        *,
        tokens: int,
    ) -> list[bytes]:
        usage = completion.usage
        head = _head(completion, asked, number) | {
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": usage.prompt, "output_tokens": 1},
        }
        found = [_event("message_start", message=head), _event("ping")]
        for index, block in enumerate(_blocks(completion, asked.request)):
            spoken = block["type"] == "text"
            text = block["text"] if spoken else bytes(block["input"]).decode()
            empty: dict[str, Any] = {"text": ""} if spoken else {"input": {}}
            kind, name = ("text_delta", "text") if spoken else ("input_json_delta", "partial_json")
            found.append(_event("content_block_start", index=index, content_block=block | empty))
            found += [
                _event("content_block_delta", index=index, delta={"type": kind, name: piece})
                for piece in pieces(text, tokens)
            ]
            found.append(_event("content_block_stop", index=index))
        end = {"stop_reason": _stop_reason(completion, asked.request), "stop_sequence": None}
        found.append(_event("message_delta", delta=end, usage={"output_tokens": usage.completion}))
        return [*found, _event("message_stop")]

    def error_body(self, error: LLMError, status: int) -> bytes:
        kind = _TYPES.get(status, "api_error")
        return _encoder.encode({"type": "error", "error": {"type": kind, "message": error.message}})

    def error_event(self, error: LLMError, status: int) -> bytes:
        return b"event: error\ndata: " + self.error_body(error, status) + b"\n\n"

    def limit_headers(self, states: list[LimitState]) -> dict[str, str]:
        found: dict[str, str] = {}
        now = datetime.now(UTC)
        for name, limit, remaining, whole_in in states:
            reset = now + timedelta(seconds=whole_in)
            prefix = f"anthropic-ratelimit-{name}"
            found[f"{prefix}-limit"] = str(limit)
            found[f"{prefix}-remaining"] = str(remaining)
            found[f"{prefix}-reset"] = reset.strftime("%Y-%m-%dT%H:%M:%SZ")
        return found


def _check_turns(turns: list[_Turn]) -> None:
    """What the API itself refuses."""
    if not turns or turns[0].role != "user":
        raise PermanentLLMError("messages: first message must use the user role")
    called: set[str] = set()
    for turn in turns:
        blocks = turn.content if isinstance(turn.content, list) else []
        if turn.content == "" or any(block.type == "text" and not block.text.strip() for block in blocks):
            raise PermanentLLMError("messages: text content blocks must be non-empty")
        answered = {block.tool_use_id for block in blocks if block.type == "tool_result"}
        if called - answered:
            raise PermanentLLMError("messages: `tool_use` ids were found without `tool_result` blocks")
        if answered - called:
            raise PermanentLLMError("messages: unexpected `tool_use_id` found in `tool_result` blocks")
        called = {block.id for block in blocks if block.type == "tool_use"}


def _messages(raw: _Body) -> Iterator[Message]:
    if raw.system:
        yield Message("system", raw.system if isinstance(raw.system, str) else _joined(raw.system))
    for turn in raw.messages:
        if isinstance(turn.content, str):
            yield Message(turn.role, turn.content)
        elif turn.role == "assistant":
            calls = tuple(
                ToolCall(block.id, block.name, bytes(block.input).decode())
                for block in turn.content
                if block.type == "tool_use"
            )
            yield Message("assistant", _joined(turn.content), calls)
        else:
            for block in turn.content:
                if block.type == "tool_result":
                    yield Message("tool", _result_text(block.content), tool_call_id=block.tool_use_id)
                else:
                    yield Message("user", block.text)


def _joined(blocks: list[_Block]) -> str:
    return "".join(block.text for block in blocks if block.type == "text")


def _result_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content or () if isinstance(part, dict))


def _head(completion: Completion, asked: Asked, number: int) -> dict[str, Any]:
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": completion.model or asked.request.model,
        "stop_sequence": None,
    }


def _blocks(completion: Completion, request: Request) -> Iterator[dict[str, Any]]:
    message, wanted = completion.message, request.response_format
    if wanted is not None and not message.tool_calls and _is_object(message.content):
        written = msgspec.Raw(message.content.encode())
        yield {"type": "tool_use", "id": "toolu_reply", "name": wanted.name, "input": written}
        return
    if message.content:
        yield {"type": "text", "text": message.content}
    for call in message.tool_calls:
        # What is no object is quoted, so that the answer as a whole stays JSON.
        text = call.arguments if _is_object(call.arguments) else msgspec.json.encode(call.arguments).decode()
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": msgspec.Raw(text.encode())}


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except ValueError:
        return False


def _stop_reason(completion: Completion, request: Request) -> str:
    if completion.finish_reason == "stop" and request.response_format is not None:
        return "tool_use"
    return _STOP_REASONS[completion.finish_reason]


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _encoder.encode({"type": kind, **fields}) + b"\n\n"
