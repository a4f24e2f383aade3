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
    digest_of_settings,
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
    __slots__ = ("encoded", "hash", "messages", "parts", "request", "settings", "tools")

    def __init__(self, request: Request, base: Asked | None = None) -> None:
        self.request: Request = request
        self.messages: tuple[bytes, ...]
        self.tools: tuple[bytes, ...]
        self.settings: bytes
        self.parts: tuple[Part, ...] = ()
        known: Sequence[bytes] = ()
        if base is not None:
            known = base.messages[: _count_shared(request.messages, base.request.messages)]
        new = [encode_message(message) for message in request.messages[len(known) :]]
        self.messages = (*known, *map(digest_of_message, new))
        kept = KeptRequest(request.seed, None, len(known), [msgspec.Raw(message) for message in new])
        if base is not None:
            kept.base = base.request.key.position
        if base is not None and _same_settings(request, base.request):
            self.tools = base.tools
            self.settings = base.settings
        else:
            self.tools = tuple(map(digest_of_tool, request.tools))
            self.settings = digest_of_settings(request, self.tools)
            self.parts = _add_settings(kept, request, base.request if base else None, self.tools)
        self.hash = digest_of_request(request.seed, self.settings, self.messages)
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


def _count_shared(messages: tuple[Message, ...], base: tuple[Message, ...]) -> int:
    """With how many equal messages both begin."""
    if messages[: len(base)] == base:  # as a rule, and tuples of the same messages are compared in no time
        return len(base)
    count = 0
    for one, other in zip(messages, base, strict=False):
        if one != other:
            break
        count += 1
    return count


def _same_settings(one: Request, other: Request) -> bool:
    return (
        one.model == other.model
        and (one.sampling is other.sampling or one.sampling == other.sampling)
        and one.tool_choice == other.tool_choice
        and one.tools == other.tools
        and _same_format(one.response_format, other.response_format)
    )


def _add_settings(
    kept: KeptRequest, request: Request, base: Request | None, tools: Sequence[bytes]
) -> tuple[Part, ...]:
    """Put into what is kept how a request differs from its base, messages aside; the parts that it names."""
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
    return tuple(parts)


def _same_format(one: ResponseFormat | None, other: ResponseFormat | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.schema is other.schema and one.name == other.name


def _told_of(tool: Tool) -> dict[str, Any]:
    return {"name": tool.function_name, "description": tool.description, "parameters": tool.parameters}
