"""A provider as a server on loopback that speaks OpenAI's chat completions and Anthropic's Messages API."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Awaitable, Callable, Generator
from typing import NoReturn

from aiohttp import web

from toolflow.clock import Clock, monotonic
from toolflow.errors import PermanentLLMError, UsageError
from toolflow.llm.client import Provider
from toolflow.llm.serving.answers import CHAT_COMPLETIONS, MESSAGES, Answers
from toolflow.llm.serving.conduct import Conduct

_BACKLOG = 4096
"""Connections that wait to be taken: thousands of calls may begin at once."""

_LARGEST_BODY = 64 * 2**20
_SHUTDOWN_SECONDS = 10.0

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(
    provider: Provider | None,
    *,
    model: str = "rehearsal",
    conduct: Conduct | None = None,
    clock: Clock = monotonic,
) -> web.Application:
    """An application that answers ``/v1/chat/completions``, ``/v1/messages``, ``/v1/models``, ``/healthz``.

    ``GET /rehearsal/counters`` tells what was counted; ``POST /rehearsal/counters/reset`` begins anew;
    ``POST /rehearsal/conduct`` with ``{"down": true}`` resets every connection until it is false again.

    Args:
        provider: Answers the requests, whatever model they name; closed by whoever made it. None answers all
            of them with the same few words.
        model: The model that ``/v1/models`` lists.
        conduct: Latency, limits and faults; None for an endpoint that has none.
        clock: What limits are counted by.
    """
    answers = Answers(provider, model, conduct or Conduct(), clock)
    # The fields of both listings, which do not clash.
    openai = {"id": model, "object": "model", "created": 0, "owned_by": "toolflow"}
    anthropic = {"type": "model", "display_name": model, "created_at": "1970-01-01T00:00:00Z"}
    models = {
        "object": "list",
        "data": [openai | anthropic],
        "has_more": False,
        "first_id": model,
        "last_id": model,
    }

    async def list_models(_: web.Request) -> web.Response:
        return web.json_response(models)

    async def report_health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    app = web.Application(client_max_size=_LARGEST_BODY, middlewares=[_errors_as_json])
    app.router.add_post("/v1/chat/completions", answers.chat_completions)
    app.router.add_post("/v1/messages", answers.messages)
    app.router.add_get("/v1/models", list_models)
    app.router.add_get("/healthz", report_health)
    app.router.add_get("/rehearsal/counters", answers.report)
    app.router.add_post("/rehearsal/counters/reset", answers.reset)
    app.router.add_post("/rehearsal/conduct", answers.change)
    return app


@web.middleware
async def _errors_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        dialect = MESSAGES if request.path.startswith("/v1/messages") else CHAT_COMPLETIONS
        told = PermanentLLMError(f"{request.method} {request.path}: {error.reason}")
        body = dialect.error_body(told, error.status)
        return web.Response(status=error.status, body=body, content_type="application/json")


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
        site = web.TCPSite(runner, host, port, backlog=_BACKLOG)
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
