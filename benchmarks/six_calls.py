"""The dialogue of six LLM calls: plan, user, assistant (calls), tool, assistant (answers), user (is done).

The server knows a request by its response format, answers with canned bytes after a fixed latency, and
counts. It is a process of its own, so that its CPU time is not ours.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aiohttp import web

from toolflow.catalog.tool import Tool
from toolflow.graph.link import ToolSet

WEATHER = Tool(
    "get_weather",
    "Current weather in a city.",
    {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Name of the city."}},
        "required": ["city"],
    },
    {
        "type": "object",
        "properties": {"celsius": {"type": "number"}, "sky": {"type": "string"}},
        "required": ["celsius", "sky"],
    },
)
TOOL_SET = ToolSet((WEATHER,), ())
CALLS_PER_DIALOGUE = 6

_PLAN = {
    "topic": "a weekend away",
    "goals": [
        {
            "kind": "tool",
            "request": "The user wants to know how warm it is in Oslo.",
            "calls": [
                {"tool": "get_weather", "arguments": [{"name": "city", "source": "user", "value": "Oslo"}]}
            ],
        }
    ],
}


def _reply(message: dict[str, Any]) -> bytes:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "canned",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 400, "completion_tokens": 60, "total_tokens": 460},
    }
    return json.dumps(body).encode()


def _says(value: object) -> bytes:
    return _reply({"content": value if isinstance(value, str) else json.dumps(value)})


_CALL = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
_REPLIES = {
    "plan": _says(_PLAN),
    "opens": _says({"status": "next_goal", "message": "Hi, how warm is it in Oslo right now?"}),
    "is done": _says({"status": "finished", "message": ""}),
    "calls": _reply({"content": None, "tool_calls": [_CALL]}),
    "answers": _says("It is 21.5 degrees in Oslo, with a clear sky."),
    "tool_result": _says({"celsius": 21.5, "sky": "clear"}),
}


def _which(body: bytes) -> str:
    if b'"name":"plan"' in body:
        return "plan"
    if b'"name":"user_turn"' in body:
        return "opens" if b"The conversation begins" in body else "is done"
    if b'"name":"tool_result"' in body:
        return "tool_result"
    return "answers" if b'"role":"tool"' in body else "calls"


async def _serve(latency: float) -> None:
    answered = 0

    async def complete(request: web.Request) -> web.Response:
        nonlocal answered
        body = await request.read()
        if latency:
            await asyncio.sleep(latency)
        answered += 1
        return web.Response(body=_REPLIES[_which(body)], content_type="application/json")

    async def count(_request: web.Request) -> web.Response:
        return web.json_response({"answered": answered})

    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_get("/count", count)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    # Whoever started us closes our standard input when it has done.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.run(_serve(float(sys.argv[1])))
    except ImportError:
        asyncio.run(_serve(float(sys.argv[1])))
