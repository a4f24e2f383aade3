"""The conversation as the assistant sees it, whichever way its tool calls are written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolflow.dialogue.message import Message
from toolflow.llm.chat import Request
from toolflow.llm.providers.rehearsal.matching import Offer, offer_of
from toolflow.llm.providers.rehearsal.prompt import as_object, block, is_repair, json_lines, read_json


@dataclass(frozen=True, slots=True)
class UserSaid:
    """A message of the user."""

    text: str


@dataclass(frozen=True, slots=True)
class AssistantSaid:
    """Words of the assistant, without calls."""

    text: str


@dataclass(frozen=True, slots=True)
class Called:
    """A call with its result, which is None until it is known."""

    tool: str
    arguments: Mapping[str, Any]
    result: Any = None


Step = UserSaid | AssistantSaid | Called

_ASKS = re.compile(r"\?\s*$")


@dataclass(frozen=True, slots=True)
class Conversation:
    """What an assistant decides from.

    Attributes:
        steps: What was said, called and returned, oldest first.
        offers: The tools it may call.
        problems: What is wrong with its last reply, where that was sent back.
        rejected: The reply that was sent back.
    """

    steps: tuple[Step, ...]
    offers: tuple[Offer, ...]
    problems: str = ""
    rejected: str = ""

    @property
    def opening(self) -> int:
        """Index of the user's message that opened the request under way, before any questions about it."""
        opened = -1
        for index, step in enumerate(self.steps):
            if isinstance(step, UserSaid):
                before = self.steps[index - 1] if index else None
                answers = (
                    opened >= 0 and isinstance(before, AssistantSaid) and bool(_ASKS.search(before.text))
                )
                opened = opened if answers else index
        return opened

    @property
    def request(self) -> str:
        """All that the user has said towards the request under way."""
        return "\n".join(self.replies)

    @property
    def replies(self) -> Sequence[str]:
        """The opening message and the answers to questions about it."""
        return [step.text for step in self.steps[max(self.opening, 0) :] if isinstance(step, UserSaid)]

    @property
    def calls_made(self) -> Sequence[Called]:
        """The calls made for the request under way."""
        return [step for step in self.steps[max(self.opening, 0) :] if isinstance(step, Called)]

    @property
    def earlier(self) -> Sequence[Step]:
        """What came before the request under way."""
        return self.steps[: max(self.opening, 0)]


def read_conversation(request: Request) -> Conversation:
    """The conversation of an assistant's request, with native tool calls or calls in JSON."""
    messages = list(request.messages)
    problems = rejected = ""
    while is_repair(messages):
        problems = block(messages[-1].content, "problems") or ""
        messages.pop()
        if messages and messages[-1].role == "assistant":
            rejected = messages.pop().content
    system = "\n".join(message.content for message in messages if message.role == "system")
    offers = tuple(offer_of(tool.function_name, tool.description, tool.parameters) for tool in request.tools)
    if not offers:
        rows = json_lines(system, "tools")
        offers = tuple(
            offer_of(
                str(row.get("name") or ""),
                str(row.get("description") or ""),
                as_object(row.get("parameters")),
            )
            for row in rows
        )
    return Conversation(_steps(messages), offers, problems, rejected)


def _steps(messages: Sequence[Message]) -> tuple[Step, ...]:
    steps: list[Step] = []
    waiting: dict[str, int] = {}
    for message in messages:
        if message.role == "user":
            results = block(message.content, "results")
            if results is None:
                steps.append(UserSaid(message.content))
            else:
                _fill_results(steps, results)
        elif message.role == "assistant":
            _add_assistant(steps, message, waiting)
        elif message.role == "tool" and message.tool_call_id in waiting:
            place = waiting[message.tool_call_id]
            called = steps[place]
            if isinstance(called, Called):
                steps[place] = Called(called.tool, called.arguments, _result(message.content))
    return tuple(steps)


def _add_assistant(steps: list[Step], message: Message, waiting: dict[str, int]) -> None:
    if message.tool_calls:
        for call in message.tool_calls:
            waiting[call.id] = len(steps)
            steps.append(Called(call.name, call.decoded() or {}))
        return
    content = read_json(message.content) if message.content.startswith("{") else None
    if not isinstance(content, dict) or "calls" not in content:
        steps.append(AssistantSaid(message.content))
        return
    calls = content["calls"] if isinstance(content["calls"], list) else []
    steps += [Called(str(row.get("name")), as_object(row.get("arguments"))) for row in map(as_object, calls)]
    if not calls:
        steps.append(AssistantSaid(str(content.get("reply") or "")))


def _fill_results(steps: list[Step], results: str) -> None:
    """Results of JSON-style calls come one a line, in the order of the calls they answer."""
    lines = results.splitlines()
    open_calls = [
        index for index, step in enumerate(steps) if isinstance(step, Called) and step.result is None
    ]
    for index, line in zip(open_calls[-len(lines) :] if lines else [], lines, strict=False):
        called = steps[index]
        if isinstance(called, Called):
            steps[index] = Called(called.tool, called.arguments, _result(line))


def _result(text: str) -> Any:
    value = read_json(text)
    return text if value is None else value
