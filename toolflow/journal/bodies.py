"""What a call said and what was answered, as it is kept: JSON, compressed.

A body is a JSON object::

    {"request": {"seed": 7, "base": 3, "shared": 5, "messages": [...], ...}, "reply": {...}}

``reply`` is the message that was answered. A request is kept as what it adds to an earlier one, since the
prompts of a role grow by what was said in between: it begins with the first ``shared`` messages of the call
of the same dialogue and role at position ``base``, and ``messages`` follow them. ``model``, ``sampling``,
``tools``, ``tool_choice`` and ``response_format`` are left out where they are those of the base too. Tools
and reply schemas are named by their hash in ``parts``. Messages are of the chat-completions shape.

A base is named by its place and not by its row, so that a call which was lost and is paid again makes those
that rest on it whole again.

The bodies of calls that are committed together are the lines of one Zstandard frame with a checksum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import local
from typing import Any, Final, Literal, NamedTuple

import msgspec
import zstandard

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message, message_from_openai
from toolflow.errors import JournalDamagedError
from toolflow.llm.chat import (
    CallKey,
    Completion,
    Delivery,
    FinishReason,
    Request,
    ResponseFormat,
    Sampling,
    Usage,
)

_LEVEL: Final = 1
_LARGEST: Final = 256 * 2**20
"""No frame holds more; a damaged one may claim to."""


class Part(NamedTuple):
    """What many requests share."""

    hash: bytes
    kind: Literal["tool", "schema"]
    content: Any


class CallRecord(NamedTuple):
    """One completed call as it is kept: a row of ``calls``, with its body instead of where that is.

    ``parts`` are those that its request names and its base does not.
    """

    key: CallKey
    request_hash: bytes
    model: str
    endpoint: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    attempts: int
    sent_at: float
    seconds: float
    body: bytes
    parts: tuple[Part, ...] = ()


class KeptFormat(msgspec.Struct, gc=False):
    """A reply format in a body; ``schema`` is the hash of a part."""

    name: str
    schema: str


class KeptRequest(msgspec.Struct, omit_defaults=True, gc=False):
    """A request in a body: what it adds to its base. What is None is as it is there."""

    seed: int
    base: int | None = None
    shared: int = 0
    messages: list[Any] = []
    model: str | None = None
    sampling: Sampling | None = None
    tools: list[str] | None = None
    tool_choice: Literal["auto", "none"] | None = None
    response_format: KeptFormat | Literal["none"] | None = None


class Body(msgspec.Struct):
    """The JSON of a body."""

    request: KeptRequest
    reply: dict[str, Any]


class _Reply(msgspec.Struct):
    """Of a body only what replay needs."""

    reply: dict[str, Any]


_decode_body = msgspec.json.Decoder(Body).decode
_decode_reply = msgspec.json.Decoder(_Reply).decode


@dataclass(frozen=True, slots=True)
class JournalledCall:
    """A completed call, read back.

    Attributes:
        number: Counts the calls of the run in the order in which they were completed.
        request: What was asked; None where its text was lost with a damaged part of the journal.
        completion: What was answered, by which model, and how it came (endpoint, attempts, seconds).
        request_hash: Of the request.
        sent_at: When the last attempt was sent, in Unix seconds.
    """

    number: int
    key: CallKey
    request: Request | None
    completion: Completion
    request_hash: bytes
    sent_at: float


def completion_of(record: CallRecord) -> Completion:
    """What was answered."""
    return Completion(
        message_from_openai(_decode_reply(record.body).reply),
        record.finish_reason,
        Usage(record.prompt_tokens, record.completion_tokens),
        record.model,
        Delivery(record.endpoint, record.attempts, record.seconds),
    )


def requests_of(
    records: Mapping[CallKey, CallRecord], part: Callable[[bytes], Any]
) -> dict[CallKey, Request | None]:
    """The requests of one dialogue's calls; None where a base or a part of one is lost.

    Args:
        records: The calls of the dialogue, all of them.
        part: The content of a part by its hash; raises KeyError where it is lost.
    """
    found: dict[CallKey, Request | None] = {}

    def restore(key: CallKey) -> Request | None:
        if key not in found:
            record = records.get(key)
            kept = None if record is None else _decode_body(record.body).request
            base = None
            if kept is not None and kept.base is not None:
                base = restore(key._replace(position=kept.base))
                kept = None if base is None else kept
            try:
                found[key] = None if kept is None else _whole(key, kept, base, part)
            except KeyError:
                found[key] = None
        return found[key]

    # In the order of completion, so that the chain of bases is never followed deeper than one step.
    for key in records:
        restore(key)
    return {key: found[key] for key in records}


def compress(bodies: Sequence[bytes]) -> bytes:
    """One frame of bodies, each of them JSON without a line break."""
    compressor = getattr(_tools, "compressor", None)
    if compressor is None:
        compressor = _tools.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    frame: bytes = compressor.compress(b"\n".join(bodies))
    return frame


def decompress(frame: bytes) -> list[bytes]:
    """The bodies in a frame.

    Raises:
        JournalDamagedError: It is not what was written.
    """
    decompressor = getattr(_tools, "decompressor", None)
    if decompressor is None:
        decompressor = _tools.decompressor = zstandard.ZstdDecompressor()
    try:
        if not 0 <= zstandard.frame_content_size(frame) <= _LARGEST:
            raise JournalDamagedError("a body in the journal is damaged: its length cannot be")
        content: bytes = decompressor.decompress(frame)
    except (zstandard.ZstdError, MemoryError) as error:
        raise JournalDamagedError(f"a body in the journal is damaged: {error}") from error
    return content.split(b"\n")


def decode(frame: bytes) -> list[Any]:
    """The JSON in a column ``body``, for whoever reads the journal with other programs.

    Raises:
        JournalDamagedError: It is not what was written.
    """
    return [msgspec.json.decode(body) for body in decompress(frame)]


_tools = local()
"""Compressors belong to one thread each."""


def _whole(key: CallKey, kept: KeptRequest, base: Request | None, part: Callable[[bytes], Any]) -> Request:
    messages: tuple[Message, ...] = tuple(message_from_openai(raw) for raw in kept.messages)
    if base is not None:
        messages = (*base.messages[: kept.shared], *messages)
    return Request(
        key,
        kept.model or (base.model if base else ""),
        messages,
        _tools_of(kept, base, part),
        kept.tool_choice or (base.tool_choice if base else "auto"),
        _format_of(kept, base, part),
        kept.sampling or (base.sampling if base else Sampling()),
        kept.seed,
    )


def _tools_of(kept: KeptRequest, base: Request | None, part: Callable[[bytes], Any]) -> tuple[Tool, ...]:
    if kept.tools is None:
        return base.tools if base else ()
    contents = (part(bytes.fromhex(name)) for name in kept.tools)
    return tuple(Tool(tool["name"], tool["description"], tool["parameters"]) for tool in contents)


def _format_of(
    kept: KeptRequest, base: Request | None, part: Callable[[bytes], Any]
) -> ResponseFormat | None:
    match kept.response_format:
        case None:
            return base.response_format if base else None
        case "none":
            return None
        case named:
            return ResponseFormat(named.name, part(bytes.fromhex(named.schema)))
