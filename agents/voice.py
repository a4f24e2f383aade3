"""One role's way to its model in one dialogue: numbers and seeds the calls, has unusable replies mended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from toolflow.catalog.tool import Tool
from toolflow.clock import derive_seed
from toolflow.dialogue.message import Message
from toolflow.errors import AgentError
from toolflow.llm.chat import CallKey, ChatModel, Completion, Request, ResponseFormat, Sampling, Usage

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class RoleModel:
    """The model that plays a role in one dialogue."""

    name: str
    sampling: Sampling = Sampling()


class UnusableReply(Exception):  # noqa: N818  not an error yet: it asks for a repair
    """A reply that its agent cannot use; ``problems`` tells the model why."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


class Voice:
    """Asks the model of one role in one dialogue.

    Args:
        model: Answers the requests.
        cast: Which model plays the role.
        role: Names the role in call keys.
        dialogue: Index of the dialogue.
        seed: The run's seed.
        repairs: How often an unusable reply is sent back with what is wrong with it.
    """

    def __init__(
        self, model: ChatModel, cast: RoleModel, *, role: str, dialogue: int, seed: int, repairs: int
    ) -> None:
        self._model = model
        self._cast = cast
        self._role = role
        self._dialogue = dialogue
        self._seed = seed
        self._repairs = repairs
        self._next_position = 0
        self.usage = Usage()
        self.repaired = 0

    async def ask(
        self,
        messages: Sequence[Message],
        *,
        read: Callable[[Completion], T],
        repair: Callable[[Completion, UnusableReply], Sequence[Message]],
        reason: str,
        tools: tuple[Tool, ...] = (),
        tool_choice: Literal["auto", "none"] = "auto",
        response_format: ResponseFormat | None = None,
    ) -> T:
        """Ask until the reply can be used.

        Args:
            messages: What the model is shown.
            read: Makes a value of the completion, or raises :class:`UnusableReply`.
            repair: The messages that tell the model what was wrong; they follow ``messages``.
            reason: Word for the reason counts if every repair fails.
            tools: Offered natively.
            tool_choice: See :class:`Request`.
            response_format: Structured output.

        Raises:
            AgentError: No reply could be used, repairs included.
            LLMError: A call failed.
        """
        # Repairs have their positions set aside, so that asking several things at once stays determined.
        position = self._next_position
        self._next_position += 1 + self._repairs
        shown = tuple(messages)
        problems: list[str] = []
        for attempt in range(1 + self._repairs):
            key = CallKey(self._dialogue, self._role, position + attempt)
            completion = await self._model.complete(
                Request(
                    key=key,
                    model=self._cast.name,
                    messages=shown,
                    tools=tools,
                    tool_choice=tool_choice,
                    response_format=response_format,
                    sampling=self._cast.sampling,
                    seed=derive_seed(self._seed, *key),
                )
            )
            self.usage += completion.usage
            try:
                return read(completion)
            except UnusableReply as unusable:
                problems = unusable.problems
                shown = (*messages, *repair(completion, unusable))
                self.repaired += 1
        raise AgentError(
            f"the {self._role}'s reply cannot be used after {self._repairs} repairs: {'; '.join(problems)}",
            reason=reason,
        )


def read_json(shape: type[ModelT], text: str) -> ModelT:
    """Read a structured reply.

    Raises:
        UnusableReply: The text is no JSON, or JSON of another shape.
    """
    try:
        return shape.model_validate_json(json_text(text))
    except ValidationError as error:
        raise UnusableReply(
            [
                f"{'.'.join(str(step) for step in problem['loc'])}: {problem['msg']}".removeprefix(": ")
                for problem in error.errors(include_url=False)[:8]
            ]
        ) from None


def read_value(text: str) -> object:
    """Read a reply that is JSON of no fixed shape.

    Raises:
        UnusableReply: The text is no JSON.
    """
    try:
        value: object = msgspec.json.decode(json_text(text))
    except msgspec.DecodeError as error:
        raise UnusableReply([f"not valid JSON: {error}"]) from None
    return value


def json_text(text: str) -> str:
    """The JSON object in a reply: models like to fence it or to say a word before it."""
    stripped = text.strip()
    if stripped.startswith("{"):
        return stripped
    start, end = stripped.find("{"), stripped.rfind("}")
    return stripped[start : end + 1] if 0 <= start < end else stripped
