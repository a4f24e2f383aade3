"""Answers requests over HTTP as a conduct says: late, refused, broken, in one piece or as a stream."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from typing import Any

from aiohttp import web

from toolflow.clock import Clock
from toolflow.dialogue.message import Message
from toolflow.errors import LLMError, RateLimitedError, ServerFailedError, TransientLLMError
from toolflow.llm.chat import CallKey, Completion, Request, Usage
from toolflow.llm.client import Provider
from toolflow.llm.serving.chat_completions import ServedChatCompletions
from toolflow.llm.serving.conduct import Behaviour, Conduct, Entry, Refusal
from toolflow.llm.serving.dialect import Asked, ServedDialect, status_of
from toolflow.llm.serving.faults import spoil
from toolflow.llm.serving.messages import ServedMessages

_JSON = "application/json"
_EVENTS = "text/event-stream"
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
_FIXED_REPLY = "Here is what you asked for."
_FIXED_USAGE = (100, 10)
_INSTEAD = frozenset({"500", "html", "html200", "reset", "stall"})
_NOT_WHOLE = frozenset({"truncate", "cut", "hang", "html200", "overloaded"})
_LONG = 3600.0
_DRIPS, _DRIP_SECONDS = 20, 0.01

CHAT_COMPLETIONS = ServedChatCompletions()
MESSAGES = ServedMessages()


class Answers:
    """Answers chat completions and messages.

    Args:
        provider: Answers the requests; None answers all of them with the same few words.
        model: The model that is served.
        conduct: Latency, limits and faults.
        clock: What limits are counted by.
    """

    def __init__(self, provider: Provider | None, model: str, conduct: Conduct, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._behaviour = Behaviour(conduct)
        self._numbers = itertools.count()
        self._answered: set[bytes] = set()
        usage = Usage(*(conduct.fixed_usage or _FIXED_USAGE))
        self._fixed = Completion(Message("assistant", _FIXED_REPLY), usage=usage, model=model)
        self._fixed_asked = Asked(Request(CallKey(0, "", 0), model, ()))
        self._fixed_bodies: dict[ServedDialect, bytes] = {}

    async def chat_completions(self, http_request: web.Request) -> web.StreamResponse:
        return await self._respond(http_request, CHAT_COMPLETIONS)

    async def messages(self, http_request: web.Request) -> web.StreamResponse:
        return await self._respond(http_request, MESSAGES)

    async def _respond(self, http_request: web.Request, dialect: ServedDialect) -> web.StreamResponse:
        body = await http_request.read()
        behaviour = self._behaviour
        if behaviour.down:
            return _reset(http_request)
        fixed = behaviour.conduct.fixed_usage
        entry = behaviour.arrive(fixed[0] if fixed else len(body) // 4, self._clock())
        if isinstance(entry, Refusal):
            return self._failure(RateLimitedError(entry.reason, retry_after=entry.retry_after), dialect)
        completion: Completion | None = None
        streamed: web.StreamResponse | None = None
        try:
            if entry.fault in _INSTEAD:
                return await self._go_wrong(http_request, entry.fault, dialect)
            completion, asked = await self._think(http_request, body, dialect, entry)
            if asked.stream:
                self._count(body, entry.fault)
                streamed = await self._stream(http_request, dialect, entry, completion, asked)
        except LLMError as error:
            return self._failure(error, dialect)
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
        if streamed is not None:
            return streamed
        assert completion is not None
        if entry.fault != "overloaded":
            self._count(body, entry.fault)
        return await self._send(http_request, dialect, entry.fault, self._encode(dialect, completion, asked))

    def _count(self, body: bytes, fault: str | None) -> None:
        behaviour = self._behaviour
        behaviour.statuses["200"] += 1
        mark = hashlib.blake2b(body, digest_size=8).digest()
        behaviour.counts["repeated"] += mark in self._answered
        if fault not in _NOT_WHOLE:
            self._answered.add(mark)

    async def _think(
        self, http_request: web.Request, body: bytes, dialect: ServedDialect, entry: Entry
    ) -> tuple[Completion, Asked]:
        """The completion, after the time that it takes: all of it, or for a stream that until it begins."""
        if self._provider is None:
            # Nothing else of the request is needed, and reading it would cost more than the answer.
            streams = b'"stream":true' in body
            completion, asked = self._fixed, self._fixed_asked
            asked = Asked(asked.request, stream=True) if streams else asked
        else:
            asked = dialect.decode(body, http_request.headers)
            completion = await self._provider.send(asked.request)
        completion = spoil(completion, entry.fault)
        seconds = entry.seconds
        if not asked.stream:
            seconds += self._behaviour.conduct.time_per_token * completion.usage.completion
        if seconds > 0:
            await asyncio.sleep(seconds)
        return completion, asked

    def _encode(self, dialect: ServedDialect, completion: Completion, asked: Asked) -> bytes:
        if completion is not self._fixed:
            return dialect.encode(completion, asked, next(self._numbers), int(time.time()))
        if dialect not in self._fixed_bodies:
            self._fixed_bodies[dialect] = dialect.encode(completion, asked, 0, 0)
        return self._fixed_bodies[dialect]

    async def _send(
        self, http_request: web.Request, dialect: ServedDialect, fault: str | None, answer: bytes
    ) -> web.StreamResponse:
        if fault == "overloaded":
            return self._failure(ServerFailedError("Overloaded"), dialect, _overload_status(dialect))
        headers = self._limit_headers(dialect)
        half = len(answer) // 2
        if fault == "cut":
            return web.Response(body=answer[:half], content_type=_JSON, headers=headers)
        if fault not in {"truncate", "hang", "drip"}:
            return web.Response(body=answer, content_type=_JSON, headers=headers)
        response = web.StreamResponse(headers={"Content-Length": str(len(answer)), "Content-Type": _JSON})
        await response.prepare(http_request)
        if fault == "drip":
            await _drip(response, answer)
            return response
        await response.write(answer[:half])
        if fault == "hang":
            await asyncio.sleep(_LONG)
        return _reset(http_request)

    async def _stream(
        self,
        http_request: web.Request,
        dialect: ServedDialect,
        entry: Entry,
        completion: Completion,
        asked: Asked,
    ) -> web.StreamResponse:
        conduct, fault = self._behaviour.conduct, entry.fault
        events = dialect.events(
            completion, asked, next(self._numbers), int(time.time()), tokens=conduct.tokens_per_event
        )
        response = web.StreamResponse(
            headers={"Content-Type": _EVENTS, "Cache-Control": "no-cache", **self._limit_headers(dialect)}
        )
        await response.prepare(http_request)
        if fault in {"truncate", "cut", "hang", "overloaded"}:
            await _write_paced(response, events[: len(events) // 2], 0.0)
            if fault == "overloaded":
                error = ServerFailedError("Overloaded")
                await response.write(dialect.error_event(error, _overload_status(dialect)))
            if fault == "hang":
                await asyncio.sleep(_LONG)
            if fault in {"truncate", "hang"}:
                return _reset(http_request)
        elif fault == "drip":
            await _drip(response, b"".join(events))
        else:
            await _write_paced(response, events, conduct.time_per_token * completion.usage.completion)
        await response.write_eof()
        return response

    async def _go_wrong(
        self, http_request: web.Request, fault: str | None, dialect: ServedDialect
    ) -> web.Response:
        if fault == "stall":
            await asyncio.sleep(_LONG)
        if fault in {"reset", "stall"}:
            return _reset(http_request)
        if fault == "500":
            return self._failure(ServerFailedError("made to fail"), dialect)
        status = 200 if fault == "html200" else 502
        self._behaviour.statuses[str(status)] += 1
        return web.Response(status=status, body=_HTML, content_type="text/html")

    def _failure(self, error: LLMError, dialect: ServedDialect, status: int | None = None) -> web.Response:
        status = status or status_of(error)
        self._behaviour.statuses[str(status)] += 1
        headers = self._limit_headers(dialect)
        if isinstance(error, TransientLLMError) and error.retry_after is not None:
            headers["Retry-After"] = f"{error.retry_after:g}"
        body = dialect.error_body(error, status)
        return web.Response(status=status, headers=headers, body=body, content_type=_JSON)

    def _limit_headers(self, dialect: ServedDialect) -> dict[str, str]:
        return dialect.limit_headers(self._behaviour.limits(self._clock()))

    async def report(self, _: web.Request) -> web.Response:
        """What was counted."""
        return web.json_response({**self._behaviour.report(), "cpu_seconds": time.process_time()})

    async def reset(self, _: web.Request) -> web.Response:
        """Count anew."""
        behaviour = self._behaviour
        for counter in (behaviour.counts, behaviour.statuses, behaviour.faults):
            counter.clear()
        behaviour.most_in_flight = behaviour.in_flight
        self._answered.clear()
        return web.json_response({})

    async def change(self, http_request: web.Request) -> web.Response:
        """Go down, or come up again."""
        wanted: Any = await http_request.json()
        if not isinstance(wanted, dict) or not isinstance(wanted.get("down"), bool) or len(wanted) != 1:
            raise web.HTTPBadRequest(reason='the body must be {"down": true} or {"down": false}')
        self._behaviour.down = wanted["down"]
        return web.json_response({})


def _overload_status(dialect: ServedDialect) -> int:
    return 529 if dialect is MESSAGES else 503


async def _write_paced(response: web.StreamResponse, events: list[bytes], seconds: float) -> None:
    """Write events spread evenly over a time."""
    if seconds <= 0:
        await response.write(b"".join(events))
        return
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number, event in enumerate(events, 1):
        await response.write(event)
        pause = begun + seconds * number / len(events) - loop.time()
        if pause > 0:
            await asyncio.sleep(pause)


async def _drip(response: web.StreamResponse, body: bytes) -> None:
    step = max(1, len(body) // _DRIPS)
    for place in range(0, len(body), step):
        await response.write(body[place : place + step])
        await asyncio.sleep(_DRIP_SECONDS)


def _reset(http_request: web.Request) -> web.Response:
    if http_request.transport is not None:
        http_request.transport.abort()
    return web.Response()
