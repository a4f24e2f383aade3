"""What all protocols share: tools encoded once, call ids made unique, completions that can be used."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import msgspec

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import ToolCall
from toolflow.errors import MalformedCompletionError, PermanentLLMError
from toolflow.llm.chat import Completion, Request
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.providers.failures import quote, unreadable_failure

T = TypeVar("T")

_ENCODED_TOOLS_KEPT: Final = 16_384

_encoder = msgspec.json.Encoder()


class Assembly(ABC):
    """An answer that comes in pieces.

    Args:
        request: What was asked.
        endpoint: Who answers.

    Attributes:
        pieces: Its text so far, for whoever watches.
        done: Whether all of it is there.
    """

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self.pieces: list[str] = []
        self.done = False
        self._request = request
        self._endpoint = endpoint

    @abstractmethod
    def feed(self, data: bytes) -> None:
        """Take the data of the next event.

        Raises:
            LLMError: It is an error, or no event.
        """

    @abstractmethod
    def completion(self) -> Completion:
        """What the pieces make: the same as the answer in one piece would.

        Raises:
            LLMError: The stream ended before its end, or holds no usable message.
        """


class Dialect(Protocol):
    """A protocol that endpoints speak.

    Attributes:
        path: Where requests go, below the base URL.
        omissible: Parameters that can be left out for a model that refuses them.
    """

    path: str
    omissible: frozenset[str]

    def encode(
        self, request: Request, *, stream: bool = False, without: frozenset[str] = frozenset()
    ) -> bytes:
        """The body of a request.

        Args:
            request: What is asked.
            stream: Whether the answer shall come in pieces.
            without: Names of parameters that the model refuses.

        Raises:
            PermanentLLMError: A text holds half a surrogate pair, which no JSON can carry.
        """
        ...

    def headers(self, request: Request) -> dict[str, str] | None:
        """Headers of this request alone."""
        ...

    def decode(self, body: bytes, request: Request, endpoint: Endpoint) -> Completion:
        """The completion in the body of an answer with status 200.

        Raises:
            LLMError: The body is none, holds an error, or holds no usable message.
        """
        ...

    def assemble(self, request: Request, endpoint: Endpoint) -> Assembly:
        """Takes the pieces of a streamed answer."""
        ...


class EncodedTools:
    """The JSON of tools, encoded once.

    Keyed by identity, the tool kept beside its JSON so that its id() cannot be given to another object.

    Args:
        shape: Gives a tool as the protocol writes it.
    """

    def __init__(self, shape: Callable[[Tool], dict[str, Any]]) -> None:
        self._shape = shape
        self._known: dict[int, tuple[Tool, msgspec.Raw]] = {}

    def of(self, tools: Iterable[Tool]) -> list[msgspec.Raw]:
        """The tools, ready to be put into a body."""
        return [self._encoded(tool) for tool in tools]

    def _encoded(self, tool: Tool) -> msgspec.Raw:
        known = self._known.get(id(tool))
        if known is not None:
            return known[1]
        if len(self._known) >= _ENCODED_TOOLS_KEPT:
            self._known.clear()
        encoded = msgspec.Raw(_encoder.encode(self._shape(tool)))
        self._known[id(tool)] = (tool, encoded)
        return encoded


def encode(body: Callable[[], dict[str, Any]]) -> bytes:
    """The body as JSON.

    Raises:
        PermanentLLMError: A text holds half a surrogate pair, which no JSON can carry.
    """
    try:
        return _encoder.encode(body())
    except UnicodeEncodeError as error:
        raise PermanentLLMError(f"a message or tool holds text that is not valid Unicode: {error}") from None


def decode(body: bytes, decoder: msgspec.json.Decoder[T], endpoint: Endpoint, wanted: str) -> T:
    """A body as a typed structure, tolerant of JSON that is not quite JSON.

    Raises:
        ServerFailedError: It is none.
    """
    try:
        return decoder.decode(body)
    except (ValueError, RecursionError):
        pass
    # Python's own reader takes what strict JSON does not: NaN log probabilities, and the half surrogate pairs
    # of a model that stopped inside an emoji.
    try:
        value = json.loads(body.decode("utf-8-sig", "replace"), parse_constant=lambda _: None)
        return decoder.decode(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise unreadable_failure(body, endpoint, wanted) from None


class RawCall(NamedTuple):
    """A tool call as it was answered: any part may be missing."""

    id: str
    name: str | None
    arguments: str


def tool_calls(raw: Iterable[RawCall], request: Request, endpoint: Endpoint) -> tuple[ToolCall, ...]:
    """Calls under ids that are unique in the dialogue.

    A missing id, or one used before, would leave it open which result answers which call.

    Raises:
        MalformedCompletionError: One of them names no tool.
    """
    raw = tuple(raw)
    used = {call.id for message in request.messages for call in message.tool_calls}
    own = {call.id for call in raw}
    number = len(used)
    calls: list[ToolCall] = []
    for identifier, name, arguments in raw:
        if not name:
            raise MalformedCompletionError(
                f"{endpoint.base_url} answered with a tool call that names no tool"
            )
        while not identifier or identifier in used:
            fresh = f"call_{number}"
            identifier = "" if fresh in own else fresh  # noqa: PLW2901  the next one that is free
            number += 1
        used.add(identifier)
        calls.append(ToolCall(identifier, name, arguments))
    return tuple(calls)


def usable(completion: Completion, refusal: str | None, request: Request, endpoint: Endpoint) -> Completion:
    """The completion, if something can be made of it.

    Raises:
        PermanentLLMError: A content filter stopped it.
        MalformedCompletionError: It is empty or cut off.
    """
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
    return completion
