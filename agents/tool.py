"""The tool simulator: a result for each call, consistent with what it returned before."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, ClassVar

import msgspec

from toolflow.agents.formats import result_format
from toolflow.agents.prompts import Prompts
from toolflow.agents.voice import UnusableReply, Voice, read_value
from toolflow.catalog.tool import Tool, encode_json
from toolflow.dialogue.message import Message, ToolCall
from toolflow.llm.chat import Completion
from toolflow.runtime.agent import Agent
from toolflow.runtime.events import AgentRole, Event, ToolsCalled, ToolsReturned


class ToolSimulator(Agent):
    """Stands in for the services behind the tools.

    The calls of one round are answered at the same time, each knowing the results of all earlier rounds.
    A call that was made before gets the answer it got then, without an LLM call.

    Args:
        voice: Its way to its model.
        prompts: The templates.
        tools: The tools that may be called, by function name.
    """

    role: ClassVar[AgentRole] = "tool"
    hears: ClassVar[tuple[type[Event], ...]] = (ToolsCalled,)

    def __init__(self, voice: Voice, prompts: Prompts, *, tools: dict[str, Tool]) -> None:
        self._voice = voice
        self._prompts = prompts
        self._tools = tools
        self._history: list[dict[str, Any]] = []
        self._results: dict[bytes, object] = {}

    async def handle(self, event: Event) -> None:
        assert isinstance(event, ToolsCalled)
        calls = event.message.tool_calls
        fresh: dict[bytes, ToolCall] = {}
        for call in calls:
            if _identity(call) not in self._results:
                fresh.setdefault(_identity(call), call)
        if len(fresh) == 1:  # by far the most common: no task group for it
            answers = [await self._answer(call) for call in fresh.values()]
        else:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._answer(call)) for call in fresh.values()]
            answers = [task.result() for task in tasks]
        for (identity, call), result in zip(fresh.items(), answers, strict=True):
            self._results[identity] = result
            self._history.append({"tool": call.name, "arguments": call.decoded(), "result": result})
        await self.publish(
            ToolsReturned(
                tuple(
                    Message("tool", encode_json(self._results[_identity(call)]), tool_call_id=call.id)
                    for call in calls
                )
            )
        )

    async def _answer(self, call: ToolCall) -> object:
        tool = self._tools[call.name]
        response_format, wrapped = result_format(tool)
        task = self._prompts.render(
            "tool",
            "task",
            tool=tool,
            history=self._history,
            arguments=call.decoded(),
            wrapped=wrapped,
        )
        return await self._voice.ask(
            (Message("system", self._prompts.render("tool", "system")), Message("user", task)),
            read=partial(_read_result, tool, wrapped=wrapped),
            repair=self._repair,
            reason="invalid_tool_result",
            response_format=response_format,
        )

    def _repair(self, completion: Completion, unusable: UnusableReply) -> tuple[Message, Message]:
        return (
            Message("assistant", completion.message.content or "(nothing)"),
            Message("user", self._prompts.render("tool", "repair", problems=unusable.problems)),
        )


def _identity(call: ToolCall) -> bytes:
    """Equal for calls that ask the same thing, whatever the order of their arguments."""
    return msgspec.json.encode((call.name, call.decoded()), order="deterministic")


def _read_result(tool: Tool, completion: Completion, *, wrapped: bool) -> object:
    value = read_value(completion.message.content)
    if wrapped:
        if not isinstance(value, dict) or "result" not in value:
            raise UnusableReply(['the answer must be an object with the key "result"'])
        value = value["result"]
    problems = tool.result_problems(value)
    if problems:
        raise UnusableReply(problems)
    return value
