"""Hashes of requests: what tells whether a journalled reply answers the very request that is made now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from xxhash import xxh3_128_digest

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message
from toolflow.llm.chat import Request, ResponseFormat

_pack: Final = msgspec.msgpack.Encoder().encode


def request_hash(request: Request, settings: bytes | None = None, said: bytes | None = None) -> bytes:
    """16 bytes that change with anything the model is told.

    Args:
        request: What is asked.
        settings: What :func:`digest_of_settings` gives, where it is known.
        said: What :func:`digest_of_messages` gives, where it is known.
    """
    if settings is None:
        settings = digest_of_settings(request, [digest_of_tool(tool) for tool in request.tools])
    if said is None:
        said = digest_of_messages(request.messages)
    return xxh3_128_digest(b"%d %b%b" % (request.seed, settings, said))


def digest_of_messages(messages: Iterable[Message], said: bytes = b"") -> bytes:
    """16 bytes of messages, so made that those which follow can be added; empty for none.

    Args:
        messages: What was said.
        said: The digest of what was said before.
    """
    for message in messages:
        said = xxh3_128_digest(said + message.to_json())
    return said


def digest_of_settings(request: Request, tools: Sequence[bytes]) -> bytes:
    """16 bytes of all but messages and seed: what the requests of a role mostly have in common.

    Args:
        request: What is asked.
        tools: The digests of its tools.
    """
    content: list[Any] = [
        tools,
        request.model,
        request.tool_choice,
        _digest_of_format(request.response_format) if request.response_format else None,
        request.sampling,
    ]
    return xxh3_128_digest(_pack(content))


class _Known:
    """Digests of the last so many things, by identity, for tools and schemas never change.

    The thing is kept beside its digest, so that its id stays its own.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._digests: dict[int, tuple[object, bytes]] = {}

    def get(self, thing: object) -> bytes | None:
        known = self._digests.get(id(thing))
        return known[1] if known else None

    def add(self, thing: object, content: object) -> bytes:
        digest = xxh3_128_digest(_pack(content))
        if len(self._digests) >= self._most:
            del self._digests[next(iter(self._digests))]
        self._digests[id(thing)] = (thing, digest)
        return digest


_tools: Final = _Known(8192)
_schemas: Final = _Known(256)
"""That of a plan belongs to one dialogue alone and takes 30 KB: few are kept."""


def digest_of_tool(tool: Tool) -> bytes:
    """16 bytes of what the model is told about a tool."""
    return _tools.get(tool) or _tools.add(tool, [tool.function_name, tool.description, tool.parameters])


def digest_of_schema(schema: Mapping[str, Any]) -> bytes:
    """16 bytes of a reply schema."""
    return _schemas.get(schema) or _schemas.add(schema, schema)


def _digest_of_format(response_format: ResponseFormat) -> list[Any]:
    return [response_format.name, digest_of_schema(response_format.schema)]
