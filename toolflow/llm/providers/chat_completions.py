"""Chat completions as JSON: requests out, completions in. Typed, and tolerant of what servers get wrong."""

from __future__ import annotations

from typing import Any

import msgspec

from toolflow.catalog.tool import Tool, encode_json
from toolflow.dialogue.message import Message
from toolflow.errors import MalformedCompletionError
from toolflow.llm.chat import Completion, FinishReason, Request, Usage
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.providers.failures import embedded_failure, ended_early, unreadable_failure
from toolflow.llm.providers.wire import Assembly, EncodedTools, RawCall, decode, encode, tool_calls, usable

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
    index: int | None = None


class _Message(msgspec.Struct):
    content: str | list[Any] | None = None
    tool_calls: list[_ToolCall] | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: Any = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | float | None = None
    completion_tokens: int | float | None = None


class _Reply(msgspec.Struct):
    choices: list[_Choice] | msgspec.UnsetType | None = msgspec.UNSET
    usage: _Usage | None = None
    model: str | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Reply)
_encoded_tools = EncodedTools(Tool.to_openai)


class ChatCompletions:
    """OpenAI's chat completions: a :class:`toolflow.llm.providers.wire.Dialect`."""

    path = "/chat/completions"
    omissible = frozenset({"temperature", "top_p", "max_tokens", "stream_options"})

    def encode(
        self, request: Request, *, stream: bool = False, without: frozenset[str] = frozenset()
    ) -> bytes:
        return encode(lambda: _body(request, stream=stream, without=without))

    def headers(self, request: Request) -> dict[str, str] | None:  # noqa: ARG002  all is in the body
        return None

    def decode(self, body: bytes, request: Request, endpoint: Endpoint) -> Completion:
        reply = decode(body, _decoder, endpoint, "chat completion")
        if reply.error:
            raise embedded_failure(reply.error, endpoint, request.model)
        if reply.choices is msgspec.UNSET:
            raise unreadable_failure(body, endpoint)
        return _completion(reply, request, endpoint)

    def assemble(self, request: Request, endpoint: Endpoint) -> ChatAssembly:
        return ChatAssembly(request, endpoint)


class ChatAssembly(Assembly):
    """The chunks of one streamed chat completion."""

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        super().__init__(request, endpoint)
        self._reply = _Reply(choices=[])
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, _ToolCall] = {}
        self._arguments: dict[int, list[str]] = {}
        self._finish_reason: Any = None

    def feed(self, data: bytes) -> None:
        if data == b"[DONE]":
            self.done = True
            return
        chunk = decode(data, _decoder, self._endpoint, "chunk of a chat completion")
        if chunk.error:
            raise embedded_failure(chunk.error, self._endpoint, self._request.model)
        reply = self._reply
        reply.usage = chunk.usage or reply.usage
        reply.model = chunk.model or reply.model
        if not chunk.choices:  # The last one has the usage alone.
            return
        choice = chunk.choices[0]
        if choice.finish_reason is not None:
            self._finish_reason = choice.finish_reason
        delta = choice.delta or choice.message
        if delta is None:
            return
        reply.choices = reply.choices or [_Choice(_Message())]
        if delta.content:
            text = delta.content if isinstance(delta.content, str) else _joined(delta.content)
            self._text.append(text)
            self.pieces.append(text)
        if delta.refusal:
            self._refusal.append(delta.refusal)
        for call in delta.tool_calls or ():
            self._add(call)

    def _add(self, delta: _ToolCall) -> None:
        """A piece of a call; where a server leaves the index out, a new id begins a new call."""
        place = delta.index
        if place is None:
            place = max(len(self._calls) - (delta.id is None), 0)
        call = self._calls.setdefault(place, _ToolCall(function=_Function()))
        call.id = call.id or delta.id
        function = delta.function
        if function is None or call.function is None:
            return
        call.function.name = call.function.name or function.name
        if function.arguments is not None:
            text = _argument_text(function.arguments)
            self._arguments.setdefault(place, []).append(text)
            self.pieces.append(text)

    def completion(self) -> Completion:
        if not self.done and self._finish_reason is None:
            raise ended_early(self._endpoint)
        for place, pieces in self._arguments.items():
            function = self._calls[place].function
            assert function is not None
            function.arguments = "".join(pieces)
        if self._reply.choices:
            calls = [self._calls[place] for place in sorted(self._calls)]
            message = _Message("".join(self._text), calls, "".join(self._refusal))
            self._reply.choices = [_Choice(message, finish_reason=self._finish_reason)]
        return _completion(self._reply, self._request, self._endpoint)


def _body(request: Request, *, stream: bool, without: frozenset[str]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [msgspec.Raw(message.to_json()) for message in request.messages],
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
    if sampling.temperature is not None and "temperature" not in without:
        body["temperature"] = sampling.temperature
    if sampling.top_p is not None and "top_p" not in without:
        body["top_p"] = sampling.top_p
    if sampling.max_tokens is not None:
        name = "max_completion_tokens" if "max_tokens" in without else "max_tokens"
        body[name] = sampling.max_tokens
    if request.tools:
        body["tools"] = _encoded_tools.of(request.tools)
        body["tool_choice"] = request.tool_choice
    if stream:
        body["stream"] = True
        if "stream_options" not in without:
            body["stream_options"] = {"include_usage": True}
    return body


def _completion(reply: _Reply, request: Request, endpoint: Endpoint) -> Completion:
    usage = reply.usage or _Usage()
    taken = Usage(int(usage.prompt_tokens or 0), int(usage.completion_tokens or 0))
    if not isinstance(reply.choices, list) or not reply.choices or reply.choices[0].message is None:
        raise MalformedCompletionError(
            f"{endpoint.base_url} answered without a message: choices are empty",
            prompt_tokens=taken.prompt,
            completion_tokens=taken.completion,
        )
    choice, said = reply.choices[0], reply.choices[0].message
    calls = tool_calls(map(_raw_call, said.tool_calls or ()), request, endpoint) if said.tool_calls else ()
    text = said.content if isinstance(said.content, str) else _joined(said.content)
    reason = _FINISH_REASONS.get(str(choice.finish_reason)) or ("tool_calls" if calls else "stop")
    completion = Completion(Message("assistant", text, calls), reason, taken, reply.model or request.model)
    return usable(completion, said.refusal, request, endpoint)


def _raw_call(call: _ToolCall) -> RawCall:
    function = call.function or _Function()
    arguments = _argument_text({} if function.arguments is None else function.arguments)
    return RawCall(str(call.id or ""), function.name, arguments)


def _argument_text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else encode_json(arguments)


def _joined(parts: list[Any] | None) -> str:
    texts = (part.get("text") if isinstance(part, dict) else part for part in parts or ())
    return "".join(text for text in texts if isinstance(text, str))
