"""A small MCP server for the tests: ``python mcp_server_process.py pages|loop|dies [http]``.

Over HTTP it takes any free port of the loopback and writes it as its first line.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from typing import Any

import uvicorn
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.types import ListToolsResult, PaginatedRequestParams, Tool

PAGES = 3


async def list_tools(
    _: ServerRequestContext[Any, Any], params: PaginatedRequestParams | None
) -> ListToolsResult:
    """Give one tool a page; the server ``loop`` leads back to its second page for ever."""
    kind = sys.argv[1]
    page = int(params.cursor) if params is not None and params.cursor else 0
    if kind == "dies" and page == 1:
        sys.stderr.write("the disk is full\n")
        sys.stderr.flush()
        os._exit(3)
    schema = {"type": "object", "properties": {"page": {"type": "integer"}}}
    tool = Tool(name=f"tool_{page}", description=f"Page {page}.", input_schema=schema)
    following = "1" if kind == "loop" else str(page + 1) if page + 1 < PAGES else None
    return ListToolsResult(tools=[tool], next_cursor=following)


async def main() -> None:
    """Serve until standard input closes, or over HTTP until the end of the process."""
    server = Server("pages", on_list_tools=list_tools)
    if "http" in sys.argv[2:]:
        listener = socket.create_server(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)  # noqa: T201 - the test reads it
        application = uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="error"))
        await application.serve(sockets=[listener])
        return
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(main())
