"""Messages in the chat-completions vocabulary: what is said in a dialogue, and what a model is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

Role = Literal["system", "user", "assistant", "tool"]

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that an assistant asks for.

    Attributes:
        id: Unique in its dialogue.
        name: The function name offered to the assistant.
        arguments: JSON text exactly as the model wrote it, which may be malformed.
    """

    id: str
    name: str
    arguments: str

    def decoded(self) -> dict[str, Any] | None:
        """The arguments as an object, or None where the text is not a JSON object."""
        try:
            value: Any = msgspec.json.decode(self.arguments or "{}")
        except msgspec.DecodeError:
            return None
        return value if isinstance(value, dict) else None

    def to_openai(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        }


@dataclass(frozen=True, slots=True)
class Message:
    """One message. A tool message answers the call named by ``tool_call_id``."""

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    _json: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def to_json(self) -> bytes:
        """The JSON of :meth:`to_openai`, made once: a message is sent, hashed and kept again and again.

        Raises:
            UnicodeEncodeError: A text holds half a surrogate pair, which no JSON can carry.
        """
        if self._json is None:
            object.__setattr__(self, "_json", _encode(self.to_openai()))
            assert self._json is not None
        return self._json

    def to_openai(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            message["content"] = self.content or None
            message["tool_calls"] = [call.to_openai() for call in self.tool_calls]
        if self.tool_call_id is not None:
            message["tool_call_id"] = self.tool_call_id
        return message


def message_from_openai(raw: dict[str, Any]) -> Message:
    """Read a chat-completions message back; fields that this vocabulary lacks are left behind."""
    calls = tuple(
        ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in raw.get("tool_calls") or ()
    )
    return Message(raw["role"], raw.get("content") or "", calls, raw.get("tool_call_id"))
