"""A provider as an OpenAI-compatible server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import itertools
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Generator
from typing import NoReturn

from aiohttp import web

from toolflow.clock import Clock, monotonic
from toolflow.dialogue.message import Message
from toolflow.errors import LLMError, RateLimitedError, UsageError
from toolflow.llm.chat import CallKey, Completion, Request, Usage
from toolflow.llm.client import Provider
from toolflow.llm.served import decode_request, encode_completion, encode_error, error_body
from toolflow.llm.serving.conduct import Behaviour, Conduct, Entry, Refusal
from toolflow.llm.serving.faults import spoil

_LARGEST_BODY = 64 * 2**20
_SHUTDOWN_SECONDS = 10.0
_JSON = "application/json"
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
_FIXED_REPLY = "Here is what you asked for."
_FIXED_USAGE = (100, 10)
_NOT_WHOLE = frozenset({"truncate", "html200"})
_STALL_SECONDS = 3600.0
_DRIPS, _DRIP_SECONDS = 20, 0.01

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(
    provider: Provider | None,
    *,
    model: str = "rehearsal",
    conduct: Conduct | None = None,
    clock: Clock = monotonic,
) -> web.Application:
    """An application that answers ``/v1/chat/completions``, ``/v1/models`` and ``/healthz``.

    ``GET /rehearsal/counters`` tells what was counted; ``POST /rehearsal/counters/reset`` begins anew;
    ``POST /rehearsal/conduct`` with ``{"down": true}`` resets every connection until it is false again.

    Args:
        provider: Answers the requests, whatever model they name; closed by whoever made it. None answers all
        of
            them with the same few words.
        model: The model that ``/v1/models`` lists.
        conduct: Latency, limits and faults; None for an endpoint that has none.
        clock: What limits are counted by.
    """
    chat = _Chat(provider, model, conduct or Conduct(), clock)
    models = {
        "object": "list",
        "data": [{"id": model, "object": "model", "created": 0, "owned_by": "toolflow"}],
    }

    async def list_models(_: web.Request) -> web.Response:
        return web.json_response(models)

    async def report_health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    app = web.Application(client_max_size=_LARGEST_BODY, middlewares=[_errors_as_json])
    app.router.add_post("/v1/chat/completions", chat.complete)
    app.router.add_get("/v1/models", list_models)
    app.router.add_get("/healthz", report_health)
    app.router.add_get("/rehearsal/counters", chat.report)
    app.router.add_post("/rehearsal/counters/reset", chat.reset)
    app.router.add_post("/rehearsal/conduct", chat.change)
    return app


class _Chat:
    """Answers chat completions as its conduct says."""

    def __init__(self, provider: Provider | None, model: str, conduct: Conduct, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._behaviour = Behaviour(conduct)
        self._numbers = itertools.count()
        self._answered: set[bytes] = set()
        usage = conduct.fixed_usage or _FIXED_USAGE
        words = Completion(Message("assistant", _FIXED_REPLY), usage=Usage(*usage), model=model)
        self._fixed = words, encode_completion(words, Request(CallKey(0, "", 0), model, ()), 0, 0)

    async def complete(self, http_request: web.Request) -> web.StreamResponse:
        body = await http_request.read()
        behaviour = self._behaviour
        if behaviour.down:
            return _reset(http_request)
        fixed = behaviour.conduct.fixed_usage
        entry = behaviour.arrive(fixed[0] if fixed else len(body) // 4, self._clock())
        if isinstance(entry, Refusal):
            behaviour.statuses["429"] += 1
            error = RateLimitedError(entry.reason, retry_after=entry.retry_after)
            return self._failure(error)
        completion: Completion | None = None
        try:
            if entry.fault in {"500", "html", "reset", "stall"}:
                return await self._go_wrong(http_request, entry.fault)
            completion, answer = await self._answer(body, entry)
        except LLMError as error:
            return self._failure(error)
        finally:
            usage = Usage(entry.prompt) if completion is None else completion.usage
            prompt, spoken = fixed or (usage.prompt, usage.completion)
            behaviour.leave(
                entry,
                self._clock(),
                prompt=prompt,
                completion=0 if completion is None else spoken,
                answered=completion is not None and entry.fault not in _NOT_WHOLE,
            )
        behaviour.statuses["200"] += 1
        mark = hashlib.blake2b(body, digest_size=8).digest()
        behaviour.counts["repeated"] += mark in self._answered
        if entry.fault not in _NOT_WHOLE:
            self._answered.add(mark)
        return await self._send(http_request, entry.fault, answer)

    async def _answer(self, body: bytes, entry: Entry) -> tuple[Completion, bytes]:
        conduct = self._behaviour.conduct
        if self._provider is None:
            completion, answer = self._fixed
        else:
            request = decode_request(body)
            completion = spoil(await self._provider.send(request), entry.fault)
            answer = encode_completion(completion, request, next(self._numbers), int(time.time()))
        seconds = entry.seconds + conduct.time_per_token * completion.usage.completion
        if seconds > 0:
            await asyncio.sleep(seconds)
        if entry.fault == "empty" and self._provider is None:
            empty = Completion(Message("assistant", ""), usage=completion.usage, model=completion.model)
            answer = encode_completion(empty, Request(CallKey(0, "", 0), completion.model, ()), 0, 0)
        return completion, answer

    async def _send(self, http_request: web.Request, fault: str | None, answer: bytes) -> web.StreamResponse:
        headers = self._behaviour.headers(self._clock())
        if fault == "html200":
            return web.Response(body=_HTML, content_type="text/html")
        if fault in {"truncate", "drip"}:
            response = web.StreamResponse(headers={"Content-Length": str(len(answer)), "Content-Type": _JSON})
            await response.prepare(http_request)
            if fault == "truncate":
                await response.write(answer[: len(answer) // 2])
                return _reset(http_request)
            step = max(1, len(answer) // _DRIPS)
            for place in range(0, len(answer), step):
                await response.write(answer[place : place + step])
                await asyncio.sleep(_DRIP_SECONDS)
            return response
        return web.Response(body=answer, content_type=_JSON, headers=headers)

    async def _go_wrong(self, http_request: web.Request, fault: str) -> web.Response:
        if fault == "stall":
            await asyncio.sleep(_STALL_SECONDS)
        if fault in {"reset", "stall"}:
            return _reset(http_request)
        self._behaviour.statuses["502" if fault == "html" else "500"] += 1
        if fault == "html":
            return web.Response(status=502, body=_HTML, content_type="text/html")
        return web.Response(status=500, body=error_body("made to fail", "server_error"), content_type=_JSON)

    def _failure(self, error: LLMError) -> web.Response:
        status, headers, body = encode_error(error)
        headers |= self._behaviour.headers(self._clock())
        return web.Response(status=status, headers=headers, body=body, content_type=_JSON)

    async def report(self, _: web.Request) -> web.Response:
        return web.json_response({**self._behaviour.report(), "cpu_seconds": time.process_time()})

    async def reset(self, _: web.Request) -> web.Response:
        behaviour = self._behaviour
        for counter in (behaviour.counts, behaviour.statuses, behaviour.faults):
            counter.clear()
        behaviour.most_in_flight = behaviour.in_flight
        self._answered.clear()
        return web.json_response({})

    async def change(self, http_request: web.Request) -> web.Response:
        wanted = await http_request.json()
        if not isinstance(wanted, dict) or not isinstance(wanted.get("down"), bool) or len(wanted) != 1:
            raise web.HTTPBadRequest(reason='the body must be {"down": true} or {"down": false}')
        self._behaviour.down = wanted["down"]
        return web.json_response({})


def _reset(http_request: web.Request) -> web.Response:
    if http_request.transport is not None:
        http_request.transport.abort()
    return web.Response()


@web.middleware
async def _errors_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        body = error_body(f"{request.method} {request.path}: {error.reason}", "invalid_request_error")
        return web.Response(status=error.status, body=body, content_type=_JSON)


async def serve(
    provider: Provider | None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    model: str = "rehearsal",
    conduct: Conduct | None = None,
    ready: Callable[[str], None] = print,
) -> None:
    """Serve until SIGINT or SIGTERM, let the requests in flight finish, and close the provider.

    Args:
        provider: Answers the requests; None answers all of them with the same few words.
        host: Address to listen on.
        port: TCP port; 0 takes a free one.
        model: The model that ``/v1/models`` lists.
        conduct: Latency, limits and faults; None for an endpoint that has none.
        ready: Told the base URL once the server listens.

    Raises:
        UsageError: The address cannot be listened on.
    """
    runner = web.AppRunner(
        create_app(provider, model=model, conduct=conduct),
        access_log=None,
        shutdown_timeout=_SHUTDOWN_SECONDS,
        handler_cancellation=True,  # who has hung up is not in flight any more
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except (OSError, OverflowError, UnicodeError) as error:
            _refuse_address(error, host, port)
        with _stop_signals() as stopped:
            ready(_base_url(runner, host))
            await stopped.wait()
    finally:
        await runner.cleanup()
        if provider is not None:
            await provider.close()


def _base_url(runner: web.AppRunner, host: str) -> str:
    port: int = runner.addresses[0][1]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def _refuse_address(error: Exception, host: str, port: int) -> NoReturn:
    where = f"cannot listen on {host}:{port}"
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, socket.gaierror | UnicodeError) or number == errno.EADDRNOTAVAIL:
        reason, hint = "this machine has no such address", "Give --host 127.0.0.1."
    elif number == errno.EADDRINUSE:
        reason, hint = "the port is in use", "Give another --port, or 0 for a free one."
    elif number in {errno.EACCES, errno.EPERM}:
        reason, hint = "not permitted", "Give a --port of 1024 or more."
    else:
        reason, hint = str(error), "Give another --host or --port."
    raise UsageError(f"{where}: {reason}", hint=hint) from error


@contextlib.contextmanager
def _stop_signals() -> Generator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set; afterwards, a second Ctrl-C ends the process as usual."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    handled: list[signal.Signals] = []
    # Windows has no signal handlers in its loop: there Ctrl-C cancels the task.
    with contextlib.suppress(NotImplementedError):
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
            handled.append(number)
    try:
        yield stopped
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
