"""The one thing agents know about language models: ask for a completion of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message
from toolflow.llm.quota.limits import ReportedLimit

ToolCallStyle = Literal["native", "json"]
"""How an endpoint lets a model call tools: by ``tools`` and ``tool_calls``, or by structured output."""

FinishReason = Literal["stop", "tool_calls", "length", "content_filter"]


class CallKey(NamedTuple):
    """The place of a call in a run; determined by the dialogue alone, whatever runs beside it.

    Attributes:
        dialogue: Index of the dialogue in the run.
        role: ``planner``, ``user``, ``assistant`` or ``tool``.
        position: Counts the calls of that role in the dialogue, from 0.
    """

    dialogue: int
    role: str
    position: int


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """Structured output: the reply must be JSON that is valid under ``schema``."""

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the model draws its words. None leaves a setting to the endpoint."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One logical LLM call.

    Attributes:
        key: Its place in the run; never sent.
        model: Name of the model as the endpoint knows it.
        messages: What the model is shown, oldest first.
        tools: Tools the model may call; empty for none.
        tool_choice: ``none`` forbids calls although tools are shown.
        response_format: Structured output, or None for free text.
        sampling: How words are drawn.
        seed: Sent to the endpoint; determined by the run's seed and ``key``.
    """

    key: CallKey
    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: Literal["auto", "none"] = "auto"
    response_format: ResponseFormat | None = None
    sampling: Sampling = Sampling()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """LLM tokens of one or more calls."""

    prompt: int = 0
    completion: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.prompt + other.prompt, self.completion + other.completion)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a completion came to us; no part of what was said.

    Attributes:
        endpoint: Base URL of who answered; empty where nothing was sent anywhere.
        attempts: How many were needed.
        seconds: What the last one took, from the permit to the answer.
        limits: What the answer's headers told about the quota group.
    """

    endpoint: str = ""
    attempts: int = 1
    seconds: float = 0.0
    limits: tuple[ReportedLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model answered."""

    message: Message
    finish_reason: FinishReason = "stop"
    usage: Usage = Usage()
    model: str = ""
    delivery: Delivery = field(default=Delivery(), compare=False, repr=False)


class ChatModel(Protocol):
    """Answers requests. Raises :class:`toolflow.errors.LLMError` when it gives up."""

    async def complete(self, request: Request) -> Completion: ...
