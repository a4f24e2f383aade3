"""Hashes of requests: what tells whether a journalled reply answers the very request that is made now."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from toolflow.catalog.tool import Tool
from toolflow.llm.chat import Request, ResponseFormat


def request_hash(request: Request) -> bytes:
    """16 bytes that change with anything the model is told."""
    content: list[Any] = [
        request.model,
        [
            (message.role, message.content, message.tool_calls, message.tool_call_id)
            for message in request.messages
        ],
        [digest_of_tool(tool) for tool in request.tools],
        request.tool_choice,
        _digest_of_format(request.response_format) if request.response_format else None,
        request.sampling,
        request.seed,
    ]
    return hashlib.blake2b(msgspec.msgpack.encode(content), digest_size=16).digest()


_digests: Final[dict[int, tuple[object, bytes]]] = {}
_MOST_DIGESTS: Final = 8192
"""By identity, for tools and schemas never change. The object is kept too, so that its id stays its own."""


def digest_of_tool(tool: Tool) -> bytes:
    """16 bytes of what the model is told about a tool."""
    known = _digests.get(id(tool))
    return known[1] if known else _digest(tool, [tool.function_name, tool.description, tool.parameters])


def digest_of_schema(schema: Mapping[str, Any]) -> bytes:
    """16 bytes of a reply schema."""
    known = _digests.get(id(schema))
    return known[1] if known else _digest(schema, schema)


def _digest_of_format(response_format: ResponseFormat) -> list[Any]:
    return [response_format.name, digest_of_schema(response_format.schema)]


def _digest(thing: object, content: object) -> bytes:
    digest = hashlib.blake2b(msgspec.msgpack.encode(content), digest_size=16).digest()
    if len(_digests) >= _MOST_DIGESTS:
        del _digests[next(iter(_digests))]
    _digests[id(thing)] = (thing, digest)
    return digest
