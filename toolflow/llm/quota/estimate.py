"""How many LLM tokens a request will cost, before anybody counted them."""

from __future__ import annotations

from typing import Final

from toolflow.catalog.tool import Schema, Tool
from toolflow.llm.chat import Request, Usage

_CHARACTERS_PER_TOKEN: Final = 3.5
"""Before the first answer; English prose has about four (https://help.openai.com/en/articles/4936856)."""

_FIRST_COMPLETION: Final = 256
"""LLM tokens of a completion before the first answer, where ``max_tokens`` sets no lower bound to it."""

_MESSAGE: Final = 16
"""Characters for the role and the marks around a message, about four LLM tokens."""

_CALL: Final = 32
"""Characters for the marks and the id around a tool call."""

_MEMORY: Final = 32
"""Answers over which averages are taken, so that they follow as dialogues grow."""

_KEPT: Final = 16_384
_KINDS_KEPT: Final = 1_024

# Keyed by identity, each beside its length so that its id() cannot be given to another object.
_tools: dict[int, tuple[Tool, int]] = {}
_schemas: dict[int, tuple[Schema, int]] = {}


class _Average:
    """A moving average and how far from it values are, as TCP keeps for round trips (RFC 6298).

    Attributes:
        high: A value that most stay below: average and mean deviation.
    """

    __slots__ = ("_count", "_deviation", "_mean", "high")

    def __init__(self) -> None:
        self.high = 0.0
        self._count = 0
        self._mean = 0.0
        self._deviation = 0.0

    def add(self, value: float) -> None:
        count = self._count
        if count < _MEMORY:
            count = self._count = count + 1
        off = value - self._mean
        self._mean += off / count
        if count > 1:
            self._deviation += (abs(off) - self._deviation) / (count - 1)
        self.high = self._mean + self._deviation


class _Kind:
    """What is known of one model's calls in one role.

    Attributes:
        tokens: LLM tokens of a prompt for each of its characters.
        completion: LLM tokens of a completion.
    """

    __slots__ = ("completion", "tokens")

    def __init__(self) -> None:
        self.tokens = _Average()
        self.completion = _Average()


class TokenEstimator:
    """Foresees usage by length, and learns from the usage that endpoints report.

    Prompts are measured in characters, with messages, tool calls, tools and response format; how many make an
    LLM token is learned for each model and role, and so is the length of completions. Estimates are the
    average and the mean deviation on top: most usage stays below, and little too much is reserved. What a
    request sets as ``max_tokens`` bounds its completion.

    Memory is bounded: beyond 1,024 kinds of calls the oldest are forgotten.
    """

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._models: dict[str, _Average] = {}

    def estimate(self, request: Request, length: int | None = None) -> Usage:
        """LLM tokens that most requests like this one do not exceed.

        Args:
            request: What shall be sent.
            length: Its :func:`length_of`, where that is known already.
        """
        tokens, completion = 1.0 / _CHARACTERS_PER_TOKEN, _FIRST_COMPLETION
        kind = self._kinds.get((request.model, request.key.role))
        if kind is not None:
            tokens, completion = kind.tokens.high, int(kind.completion.high) + 1
        elif (known := self._models.get(request.model)) is not None:
            # One role's completions say nothing about another's, but characters are characters.
            tokens = known.high
        most = request.sampling.max_tokens
        if most is not None and most < completion:
            completion = most
        return Usage(int((length or length_of(request)) * tokens) + 1, completion)

    def learn(self, request: Request, usage: Usage, length: int | None = None) -> None:
        """Take in what an endpoint counted for a request; a count without a prompt is no count.

        Args:
            request: What was sent.
            usage: What was counted.
            length: Its :func:`length_of`, where that is known already.
        """
        if usage.prompt <= 0:
            return
        key = (request.model, request.key.role)
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= _KINDS_KEPT:
                del self._kinds[next(iter(self._kinds))]
            if len(self._models) >= _KINDS_KEPT:
                del self._models[next(iter(self._models))]
            kind = self._kinds[key] = _Kind()
            self._models[request.model] = kind.tokens
        kind.tokens.add(usage.prompt / (length or length_of(request)))
        kind.completion.add(float(usage.completion))


def length_of(request: Request) -> int:
    """Characters of all that a request shows the model."""
    length = _MESSAGE
    for message in request.messages:
        length += len(message.content) + _MESSAGE
        if message.tool_calls:
            for call in message.tool_calls:
                length += len(call.name) + len(call.arguments) + _CALL
    for tool in request.tools:
        known = _tools.get(id(tool))
        length += _tool_length(tool) if known is None else known[1]
    if request.response_format is not None:
        length += _schema_length(request.response_format.schema)
    return length


def _tool_length(tool: Tool) -> int:
    if len(_tools) >= _KEPT:
        _tools.clear()
    # The text of the schema is as long as its JSON, give or take, and there always is one.
    length = _CALL + len(tool.function_name) + len(tool.description) + len(str(tool.parameters))
    _tools[id(tool)] = (tool, length)
    return length


def _schema_length(schema: Schema) -> int:
    known = _schemas.get(id(schema))
    if known is not None:
        return known[1]
    if len(_schemas) >= _KINDS_KEPT:
        _schemas.clear()
    length = len(str(schema))
    _schemas[id(schema)] = (schema, length)
    return length
