"""Anthropic's Messages API as JSON: requests out, answers in (https://platform.claude.com/docs/en/api/messages).

How requests look: :mod:`toolflow.llm.providers.message_bodies`.

Thinking is never turned on; where a model thinks unasked, its blocks are passed over and not sent back. Such
(adaptive) thinking does not ask for them, as turning it on by hand would; and they are bound to the very
conversation that they came from, while ours are written anew for every call.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from toolflow.dialogue.message import Message
from toolflow.llm.chat import Completion, FinishReason, Request, Usage
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.providers.failures import embedded_failure, ended_early, unreadable_failure
from toolflow.llm.providers.message_bodies import message_body
from toolflow.llm.providers.wire import Assembly, RawCall, decode, encode, tool_calls, usable

SEED_HEADER: Final = "X-Toolflow-Seed"
"""The rehearsal server reads the seed here; others ignore it, and the API has no field for one."""

_FINISH_REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}


_EMPTY_INPUT: Final = msgspec.Raw(b"{}")


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _EMPTY_INPUT


class _Usage(msgspec.Struct):
    input_tokens: int | float | None = None
    cache_creation_input_tokens: int | float | None = None
    cache_read_input_tokens: int | float | None = None
    output_tokens: int | float | None = None


class _Answer(msgspec.Struct):
    content: list[_Block] | msgspec.UnsetType | None = msgspec.UNSET
    stop_reason: str | None = None
    usage: _Usage | None = None
    model: str | None = None
    error: Any = None


class _Delta(msgspec.Struct):
    text: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    message: _Answer | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Answer)
_event_decoder = msgspec.json.Decoder(_Event)


class Messages:
    """Anthropic's Messages API: a :class:`toolflow.llm.providers.wire.Dialect`."""

    path = "/messages"
    omissible = frozenset({"temperature", "top_p", "tool_choice"})

    def encode(
        self, request: Request, *, stream: bool = False, without: frozenset[str] = frozenset()
    ) -> bytes:
        return encode(lambda: message_body(request, stream=stream, without=without))

    def headers(self, request: Request) -> dict[str, str] | None:
        return {SEED_HEADER: str(request.seed)}

    def decode(self, body: bytes, request: Request, endpoint: Endpoint) -> Completion:
        answer = decode(body, _decoder, endpoint, "message")
        if answer.error:
            raise embedded_failure(answer.error, endpoint, request.model)
        if answer.content is msgspec.UNSET:
            raise unreadable_failure(body, endpoint, "message")
        return _completion(answer, request, endpoint)

    def assemble(self, request: Request, endpoint: Endpoint) -> MessageAssembly:
        return MessageAssembly(request, endpoint)


class MessageAssembly(Assembly):
    """The events of one streamed message."""

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        super().__init__(request, endpoint)
        self._answer = _Answer(content=[])
        self._blocks: dict[int, _Block] = {}
        self._written: dict[int, list[str]] = {}

    def feed(self, data: bytes) -> None:
        event = decode(data, _event_decoder, self._endpoint, "event of a message")
        if event.error:
            raise embedded_failure(event.error, self._endpoint, self._request.model)
        delta = event.delta
        match event.type:
            case "content_block_delta" if delta is not None:
                text = delta.text or delta.partial_json
                if text and event.index in self._blocks:  # Deltas of thinking and signatures hold neither.
                    self._written[event.index].append(text)
                    self.pieces.append(text)
            case "content_block_start" if event.content_block is not None:
                self._blocks[event.index] = event.content_block
                self._written[event.index] = []
            case "message_start" if event.message is not None:
                self._answer.model = event.message.model
                self._answer.usage = event.message.usage
            case "message_delta":
                if delta is not None:
                    self._answer.stop_reason = delta.stop_reason or self._answer.stop_reason
                self._answer.usage = _later(self._answer.usage, event.usage)
            case "message_stop":
                self.done = True
            case _:  # ping, content_block_stop, and what may come to be: the API says to pass those over.
                pass

    def completion(self) -> Completion:
        if not self.done:
            raise ended_early(self._endpoint)
        for index, block in self._blocks.items():
            written = "".join(self._written[index])
            if not written:
                continue
            if block.type == "tool_use":
                block.input = msgspec.Raw(written.encode("utf-8", "replace"))
            else:
                block.text = (block.text or "") + written
        self._answer.content = [self._blocks[index] for index in sorted(self._blocks)]
        return _completion(self._answer, self._request, self._endpoint)


def _completion(answer: _Answer, request: Request, endpoint: Endpoint) -> Completion:
    blocks = answer.content if isinstance(answer.content, list) else []
    # Any other block (thinking, redacted_thinking) is nobody's words.
    text = "".join(block.text for block in blocks if block.type == "text" and block.text)
    called = [block for block in blocks if block.type == "tool_use"]
    reason = _FINISH_REASONS.get(answer.stop_reason or "")
    if request.response_format is not None:
        name = request.response_format.name
        replies = [block for block in called if block.name == name]
        if replies:
            text = _input_text(replies[0])
            reason = "stop" if reason == "tool_calls" else reason
        called = [block for block in called if block.name != name]
    raw = (RawCall(block.id or "", block.name, _input_text(block)) for block in called)
    calls = tool_calls(raw, request, endpoint) if called else ()
    completion = Completion(
        Message("assistant", text, calls),
        reason or ("tool_calls" if calls else "stop"),
        _taken(answer.usage),
        answer.model or request.model,
    )
    return usable(completion, None, request, endpoint)


def _input_text(block: _Block) -> str:
    """A tool's input exactly as it was written; where it is quoted text, what it quotes."""
    raw = bytes(block.input)
    if raw.startswith(b'"'):
        try:
            return msgspec.json.decode(raw, type=str)
        except ValueError:
            pass
    return raw.decode("utf-8", "replace")


def _taken(usage: _Usage | None) -> Usage:
    """LLM tokens of prompts count in full, whether a cache had them or took them."""
    if usage is None:
        return Usage()
    prompts = (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
    return Usage(sum(int(tokens or 0) for tokens in prompts), int(usage.output_tokens or 0))


def _later(before: _Usage | None, now: _Usage | None) -> _Usage | None:
    """Figures of a stream are cumulative; what a later event leaves out stays."""
    if before is None or now is None:
        return now or before
    for name in _Usage.__struct_fields__:
        if getattr(now, name) is None:
            setattr(now, name, getattr(before, name))
    return now
