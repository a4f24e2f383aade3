"""Tools of live MCP servers, through the official SDK (the extra ``mcp``). Imported when one is named."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import os
import re
import shlex
import tempfile
from pathlib import PurePath
from typing import IO, Any
from urllib.parse import urlsplit

import msgspec

from toolflow.catalog.source import Source
from toolflow.errors import CatalogueError, UsageError, leaves
from toolflow.text import one_line

TIMEOUT_SECONDS = 30.0
"""How long a server may take to start and to list its tools, unless told otherwise."""

_NOT_IN_LABEL = re.compile(r"[^\w-]+")
_LONGEST_REASON = 300


def stdio_source(command: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Source:
    """Start a server, list its tools over its standard input and output, and end it.

    Args:
        command: The command with its arguments, quoted as in a shell. It runs in this process's environment.
        timeout_seconds: How long all of it may take.

    Returns:
        The ``tools/list`` result, all pages of it, to be read as a catalogue.

    Raises:
        UsageError: The SDK is not installed, or the command is empty or wrongly quoted.
        CatalogueError: The server cannot be started, dies, answers with an error or takes too long.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"the command of the MCP server is wrongly quoted: {error}") from error
    if not words:
        raise UsageError(
            "the command of the MCP server is empty", hint='Give it as --mcp-stdio "COMMAND ARGS".'
        )
    _require_sdk()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        sdk = importlib.import_module("mcp")
        parameters = sdk.StdioServerParameters(command=words[0], args=words[1:], env=dict(os.environ))
        transport = sdk.stdio_client(parameters, errlog=said)
        # The arguments stay out of messages: they may hold keys.
        return _listed(transport, f"MCP server {words[0]!r}", PurePath(words[0]).stem, timeout_seconds, said)


def http_source(url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Source:
    """List the tools of a server that speaks Streamable HTTP.

    Args:
        url: Its address, such as ``http://localhost:8000/mcp``.
        timeout_seconds: How long all of it may take.

    Returns:
        The ``tools/list`` result, all pages of it, to be read as a catalogue.

    Raises:
        UsageError: The SDK is not installed, or the address is none.
        CatalogueError: No connection, an answer that is no MCP, an error, or the time is up.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise UsageError("the address of an MCP server must begin with http:// or https://")
    _require_sdk()
    label = Source(url).label
    return _listed(url, f"MCP server {label}", urlsplit(label).hostname or "server", timeout_seconds, None)


def _require_sdk() -> None:
    if importlib.util.find_spec("mcp") is None:
        raise UsageError(
            "live MCP servers need the extra: mcp", hint="Run: pip install 'toolflow-synth[mcp]'"
        )
    # What a server says that is no MCP is told once, as an error of ours.
    logging.getLogger("mcp").addHandler(logging.NullHandler())


def _listed(server: Any, label: str, name: str, timeout_seconds: float, said: IO[str] | None) -> Source:
    try:
        title, tools = asyncio.run(_list(server, timeout_seconds))
    except TimeoutError as error:
        raise CatalogueError(
            f"{label}: gave no list of tools within {timeout_seconds:g} s{_last_words(said)}",
            hint="Check that it is an MCP server, or allow more time with --mcp-timeout.",
        ) from error
    except Exception as error:
        reason = "; ".join(_reason(leaf) for leaf in leaves(error))
        if isinstance(server, str):
            reason = reason.replace(server, label)
        reason = one_line(reason, _LONGEST_REASON)
        raise CatalogueError(
            f"{label}: {reason}{_last_words(said)}",
            hint="Check that the command or address is that of an MCP server, and that it runs by itself.",
        ) from error
    stem = _NOT_IN_LABEL.sub("_", title or name).strip("_") or "server"
    return Source(f"mcp:{stem}", content=msgspec.json.encode({"tools": tools}))


async def _list(server: Any, timeout_seconds: float) -> tuple[str | None, list[Any]]:
    """The server's own name and its tools, from all pages."""
    sdk = importlib.import_module("mcp")
    async with asyncio.timeout(timeout_seconds), sdk.Client(server, cache=None) as client:
        tools: list[Any] = []
        cursors: set[str] = set()
        cursor: str | None = None
        while cursor not in cursors:
            cursors |= {cursor} if cursor is not None else set()
            page = await client.list_tools(cursor=cursor)
            tools += (tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in page.tools)
            cursor = page.next_cursor
            if cursor is None:
                info = client.server_info
                return (info.name if info is not None else None), tools
        raise CatalogueError(f"the page {cursor!r} of its tools leads back to itself")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be started: {error.strerror}"
    return str(error) or type(error).__name__


def _last_words(said: IO[str] | None) -> str:
    """The last line that a server wrote before it ended: mostly the reason."""
    if said is None:
        return ""
    said.seek(0)
    lines = [line for line in said.read().splitlines() if line.strip()]
    return f" (its last words: {one_line(lines[-1], _LONGEST_REASON)})" if lines else ""
