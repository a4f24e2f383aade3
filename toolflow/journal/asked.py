"""A request on its way into the journal: hashed and encoded once, as what it adds to an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message
from toolflow.journal.bodies import CallRecord, KeptFormat, KeptRequest, Part
from toolflow.journal.digest import (
    digest_of_message,
    digest_of_request,
    digest_of_schema,
    digest_of_tool,
    encode_message,
)
from toolflow.llm.chat import Completion, Request, ResponseFormat

_encode: Final = msgspec.json.Encoder().encode


class Asked:
    """A request with its hash, and what it adds to an earlier one: worked out once, before it is sent.

    Args:
        request: What is asked.
        base: An earlier request of the same dialogue and role, recorded before this one; None for none.
    """

    # Of plain bytes wherever it can be: one is kept for each role of each dialogue, and the garbage collector
    # looks again and again at objects that hold others.
    __slots__ = ("encoded", "hash", "messages", "parts", "request", "tools")

    def __init__(self, request: Request, base: Asked | None = None) -> None:
        self.request: Request = request
        self.messages: tuple[bytes, ...]
        self.tools: tuple[bytes, ...]
        known: Sequence[bytes] = ()
        if base is not None:
            shared = _count_shared(request.messages, base.request.messages)
            known = base.messages[:shared]
        new = [encode_message(message) for message in request.messages[len(known) :]]
        self.messages = (*known, *map(digest_of_message, new))
        if base is not None and request.tools == base.request.tools:
            self.tools = base.tools
        else:
            self.tools = tuple(map(digest_of_tool, request.tools))
        self.hash = digest_of_request(request, b"".join(self.messages), self.tools)
        kept, self.parts = _difference(request, base.request if base else None, self.tools)
        kept.shared = len(known)
        kept.messages = [msgspec.Raw(message) for message in new]
        self.encoded: bytes = _encode(kept)


def record_call(asked: Asked, completion: Completion, *, sent_at: float) -> CallRecord:
    """The record of a call.

    Args:
        asked: What was asked.
        completion: What was answered.
        sent_at: When it was sent, in Unix seconds.
    """
    delivery, usage = completion.delivery, completion.usage
    return CallRecord(
        asked.request.key,
        asked.hash,
        completion.model,
        delivery.endpoint,
        completion.finish_reason,
        usage.prompt,
        usage.completion,
        delivery.attempts,
        sent_at,
        delivery.seconds,
        b'{"request":%b,"reply":%b}' % (asked.encoded, encode_message(completion.message)),
        asked.parts,
    )


def _count_shared(messages: Sequence[Message], base: Sequence[Message]) -> int:
    """With how many equal messages both begin."""
    count = 0
    for one, other in zip(messages, base, strict=False):
        if one is not other and one != other:
            break
        count += 1
    return count


def _difference(
    request: Request, base: Request | None, tools: Sequence[bytes]
) -> tuple[KeptRequest, tuple[Part, ...]]:
    """What a request adds to its base, without the messages; the parts that it names."""
    kept = KeptRequest(request.seed)
    if base is not None:
        kept.base = base.key.position
    if base is None or request.model != base.model:
        kept.model = request.model
    if base is None or request.sampling != base.sampling:
        kept.sampling = request.sampling
    if base is None or request.tool_choice != base.tool_choice:
        kept.tool_choice = request.tool_choice
    parts: list[Part] = []
    if base is None or request.tools != base.tools:
        parts += [
            Part(digest, "tool", _told_of(tool)) for digest, tool in zip(tools, request.tools, strict=True)
        ]
        kept.tools = [digest.hex() for digest in tools]
    wanted = request.response_format
    if base is None or not _same_format(wanted, base.response_format):
        if wanted is None:
            kept.response_format = "none"
        else:
            schema = Part(digest_of_schema(wanted.schema), "schema", wanted.schema)
            parts.append(schema)
            kept.response_format = KeptFormat(wanted.name, schema.hash.hex())
    return kept, tuple(parts)


def _same_format(one: ResponseFormat | None, other: ResponseFormat | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.schema is other.schema and one.name == other.name


def _told_of(tool: Tool) -> dict[str, Any]:
    return {"name": tool.function_name, "description": tool.description, "parameters": tool.parameters}
