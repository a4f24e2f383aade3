"""A real server on loopback that answers as badly as it is told, and a client that has to live with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.test_utils import TestServer

from toolflow.dialogue.message import Message
from toolflow.llm.chat import CallKey, Completion, Request
from toolflow.llm.client import Client
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.gate import Gate
from toolflow.llm.providers.openai import OpenAIProvider
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.router import Router
from toolflow.llm.stall import Stalls
from toolflow.llm.tally import ClientStatistics

KEY = "sk-very-secret-0123456789"
REQUEST = Request(CallKey(0, "user", 0), "m", (Message("user", "hello"),))
GOOD = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}

Facts = TypeVar("Facts")
Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answer(body: Any = None, status: int = 200, **headers: str) -> Behaviour:
    """Answers with a JSON value, or with bytes as they are."""
    raw = body if isinstance(body, bytes) else json.dumps(GOOD if body is None else body).encode()

    async def behave(request: web.Request) -> web.StreamResponse:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=raw, status=status, headers=sent)

    return behave


class MisbehavingServer:
    """Behaves once in each of the given ways, and in the last one from then on.

    Attributes:
        received: Bodies and headers of the requests so far.
        pauses: What the client slept, in seconds; nobody really sleeps.
        client: The client of the last :meth:`complete`.
    """

    def __init__(self, *behaviours: Behaviour) -> None:
        self._behaviours = list(behaviours)
        self._runner = asyncio.Runner()
        self.received: list[tuple[bytes, dict[str, str]]] = []
        self.pauses: list[float] = []

    def __enter__(self) -> MisbehavingServer:
        self._runner.run(self._start())
        return self

    async def _start(self) -> None:
        self._leaving = asyncio.Event()
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._behave)
        self._server = TestServer(app)
        await self._server.start_server()
        self.endpoint = Endpoint(str(self._server.make_url("/v1")), KEY)

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._runner.run(self._server.close())
        self._runner.close()

    async def _behave(self, request: web.Request) -> web.StreamResponse:
        self.received.append((await request.read(), dict(request.headers)))
        behaviour = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
        return await behaviour(request)

    async def stall(self, request: web.Request) -> web.StreamResponse:
        """A behaviour: take the request and say nothing."""
        await self._leaving.wait()
        return web.Response()

    def behave(self, *behaviours: Behaviour) -> None:
        self._behaviours = list(behaviours)

    def complete(self, request: Request = REQUEST, policy: RetryPolicy | None = None) -> Completion:
        """Ask through the whole client: gate, provider and retries."""
        return self._runner.run(self._complete(request, policy))

    async def _complete(self, request: Request, policy: RetryPolicy | None) -> Completion:
        self.client = Client(Router.single(OpenAIProvider(self.endpoint), Gate(1)), policy, sleep=self._sleep)
        try:
            return await self.client.complete(request)
        finally:
            assert self.client.statistics().in_flight == 0
            await self.client.close()

    def complete_many(self, count: int, at_once: int) -> ClientStatistics:
        """Ask for so many completions, giving up what is lost."""
        return self._runner.run(self._complete_many(count, at_once))

    async def _complete_many(self, count: int, at_once: int) -> ClientStatistics:
        router = Router.single(OpenAIProvider(self.endpoint), Gate(at_once))
        client = Client(router, stalls=Stalls(), sleep=self._sleep)
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(count):
                    request = replace(REQUEST, key=CallKey(number, "user", 0))
                    group.create_task(client.complete(request))
        finally:
            await client.close()
        return client.statistics()

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def look(self, probe: Callable[[Endpoint], Coroutine[Any, Any, Facts]]) -> Facts:
        """Run a probe of the endpoint."""
        return self._runner.run(probe(self.endpoint))
