"""A request on its way into the journal: hashed, and kept as what it adds to an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message
from toolflow.journal.bodies import CallRecord, KeptFormat, KeptRequest, Part
from toolflow.journal.digest import (
    digest_of_messages,
    digest_of_schema,
    digest_of_settings,
    digest_of_tool,
    request_hash,
)
from toolflow.llm.chat import Completion, Request, ResponseFormat

_encode: Final = msgspec.json.Encoder().encode


class Asked:
    """A request with its digests, which are made when they are first needed.

    As a rule that is when the journal writes down a batch of calls: one after the other they take half as
    long as each at its time, in the midst of all else.

    Args:
        request: What is asked.
        base: An earlier request of the same dialogue and role, recorded before this one; None for none.

    Attributes:
        hash: As :func:`request_hash` gives it; empty until :meth:`digested`.
        settings: The digest of its settings.
        tools: The digests of its tools.
        said: The digest of its messages.
        shared: With how many messages of its base it begins.
    """

    # Of plain bytes wherever it can be: one is kept for each role of each dialogue, and the garbage collector
    # looks again and again at objects that hold others.
    __slots__ = ("_base", "hash", "request", "said", "settings", "shared", "tools")

    def __init__(self, request: Request, base: Asked | None = None) -> None:
        self.request: Request = request
        self.tools: tuple[bytes, ...] = ()
        self.settings = self.said = self.hash = b""
        self.shared = 0
        self._base = base

    def digested(self) -> Asked:
        """Itself, once it has its digests."""
        if self.hash:
            return self
        request, base = self.request, self._base
        self._base = None  # or all that was ever asked would be kept
        before = b""
        if base is not None:
            base.digested()
            self.shared = _count_shared(request.messages, base.request.messages)
            before = base.said if self.shared == len(base.request.messages) else b""
        if base is not None and _same_settings(request, base.request):
            self.tools, self.settings = base.tools, base.settings
        else:
            self.tools = tuple(map(digest_of_tool, request.tools))
            self.settings = digest_of_settings(request, self.tools)
        # What is said anew is little, and what was said before is out of every cache.
        self.said = digest_of_messages(request.messages[self.shared if before else 0 :], before)
        self.hash = request_hash(request, self.settings, self.said)
        return self


class Answered(NamedTuple):
    """A call that has been answered, and is to be recorded.

    Attributes:
        asked: What was asked.
        completion: What was answered.
        sent_at: When it was sent, in Unix seconds.
        base: What ``asked`` was made with.
    """

    asked: Asked
    completion: Completion
    sent_at: float
    base: Asked | None = None

    def record(self) -> CallRecord:
        """What the journal keeps of it."""
        completion, sent_at, base = self.completion, self.sent_at, self.base
        asked = self.asked.digested()
        request, delivery, usage = asked.request, completion.delivery, completion.usage
        added = [msgspec.Raw(message.to_json()) for message in request.messages[asked.shared :]]
        kept = KeptRequest(request.seed, None, asked.shared, added)
        parts: tuple[Part, ...] = ()
        if base is not None:
            kept.base = base.request.key.position
        if base is None or asked.settings != base.settings:
            parts = _add_settings(kept, request, base.request if base is not None else None, asked.tools)
        return CallRecord(
            request.key,
            asked.hash,
            completion.model,
            delivery.endpoint,
            completion.finish_reason,
            usage.prompt,
            usage.completion,
            delivery.attempts,
            sent_at,
            delivery.seconds,
            b'{"request":%b,"reply":%b}' % (_encode(kept), completion.message.to_json()),
            parts,
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
