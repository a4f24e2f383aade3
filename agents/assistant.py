"""The assistant: sees the tools and the conversation, never the plan; its words are the training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from toolflow.agents.formats import JsonReply, assistant_turn_format
from toolflow.agents.prompts import Prompts
from toolflow.agents.voice import UnusableReply, Voice, read_json
from toolflow.catalog.tool import Tool, encode_json
from toolflow.dialogue.message import Message, ToolCall
from toolflow.llm.chat import Completion, ToolCallStyle
from toolflow.runtime.agent import Agent
from toolflow.runtime.events import (
    AgentRole,
    AssistantSpoke,
    Event,
    ToolsCalled,
    ToolsReturned,
    UserSpoke,
)


class Assistant(Agent):
    """Answers, asks back, or calls tools, several rounds a turn.

    Args:
        voice: Its way to its model.
        prompts: The templates.
        tools: The tools on offer, by function name.
        style: How the endpoint lets a model call tools.
        most_rounds: Rounds of calls in one turn, after which it must answer.
    """

    role: ClassVar[AgentRole] = "assistant"
    hears: ClassVar[tuple[type[Event], ...]] = (UserSpoke, ToolsReturned)

    def __init__(
        self,
        voice: Voice,
        prompts: Prompts,
        *,
        tools: dict[str, Tool],
        style: ToolCallStyle,
        most_rounds: int,
    ) -> None:
        self._voice = voice
        self._prompts = prompts
        self._tools = tools
        self._style = style
        self._most_rounds = most_rounds
        self._calls_made = 0
        system = prompts.render("assistant", "system")
        if style == "json":
            offer = prompts.render("assistant", "json_mode", tools=list(tools.values()))
            system = f"{system}\n\n{offer}"
        self._shown = [Message("system", system)]

    async def handle(self, event: Event) -> None:
        assert isinstance(event, UserSpoke)
        self._shown.append(event.message)
        for round_number in range(self._most_rounds + 1):
            message = await self._reply(must_answer=round_number == self._most_rounds)
            self._shown.append(self._as_sent(message))
            if not message.tool_calls:
                await self.publish(AssistantSpoke(message))
                return
            await self.publish(ToolsCalled(message))
            returned = await self.hear()
            assert isinstance(returned, ToolsReturned)
            self._shown += self._as_returned(returned.messages)

    async def _reply(self, *, must_answer: bool) -> Message:
        native = self._style == "native"
        return await self._voice.ask(
            self._shown,
            read=lambda completion: self._read(completion, must_answer=must_answer),
            repair=self._repair,
            reason="invalid_tool_call",
            tools=tuple(self._tools.values()) if native else (),
            tool_choice="none" if must_answer else "auto",
            response_format=None
            if native
            else assistant_turn_format(list(self._tools.values()), may_call=not must_answer),
        )

    def _read(self, completion: Completion, *, must_answer: bool) -> Message:
        """The message as the data set keeps it: valid calls under ids of our own, or an answer."""
        content, calls = self._spoken(completion)
        if calls and must_answer:
            raise UnusableReply(["no more calls in this turn: answer the user with what is known"])
        if not calls and not content:
            raise UnusableReply(["the answer is empty"])
        problems = [problem for call in calls for problem in self._call_problems(call)]
        if problems:
            raise UnusableReply(problems)
        first = self._calls_made + 1
        self._calls_made += len(calls)
        named = tuple(
            ToolCall(f"call_{number}", call.name, encode_json(call.decoded()))
            for number, call in enumerate(calls, first)
        )
        return Message("assistant", content, named)

    def _spoken(self, completion: Completion) -> tuple[str, Sequence[ToolCall]]:
        message = completion.message
        if self._style == "native":
            return message.content.strip(), message.tool_calls
        reply = read_json(JsonReply, message.content)
        calls = [ToolCall("", call.name, encode_json(call.arguments)) for call in reply.calls]
        return "" if calls else reply.reply.strip(), calls

    def _call_problems(self, call: ToolCall) -> list[str]:
        tool = self._tools.get(call.name)
        if tool is None:
            return [f"there is no tool {call.name!r}; the tools are {', '.join(self._tools)}"]
        arguments = call.decoded()
        if arguments is None:
            return [f"{call.name}: the arguments are not a JSON object: {call.arguments[:200]}"]
        return [f"{call.name}: {problem}" for problem in tool.argument_problems(arguments)]

    def _repair(self, completion: Completion, unusable: UnusableReply) -> tuple[Message, Message]:
        message = completion.message
        attempts = [f"{call.name}({call.arguments})" for call in message.tool_calls]
        said = "\n".join(filter(None, [message.content, *attempts]))
        # A malformed call cannot be sent back as a call: endpoints refuse it. It goes back as text.
        missing = any("required property" in problem for problem in unusable.problems)
        text = self._prompts.render("assistant", "repair", problems=unusable.problems, missing=missing)
        return Message("assistant", said or "(nothing)"), Message("user", text)

    def _as_sent(self, message: Message) -> Message:
        """An own message in the form in which this endpoint is shown it again."""
        if self._style == "native":
            return message
        calls = [{"name": call.name, "arguments": call.decoded()} for call in message.tool_calls]
        return Message("assistant", encode_json({"calls": calls, "reply": message.content}))

    def _as_returned(self, messages: Sequence[Message]) -> Sequence[Message]:
        if self._style == "native":
            return messages
        return [Message("user", self._prompts.render("assistant", "results", messages=messages))]
