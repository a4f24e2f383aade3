"""LLM calls over aiohttp: one session, one body encoded and one decoded a call, or read as a stream."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from yarl import URL

from toolflow.errors import LLMError, PermanentLLMError
from toolflow.llm.chat import Completion, Delivery, Request
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.live import LiveText
from toolflow.llm.providers.failures import connection_failure, fell_silent, response_failure
from toolflow.llm.providers.rate_headers import read_limits
from toolflow.llm.providers.session import CONNECT_SECONDS, KEEPALIVE_SECONDS, open_session
from toolflow.llm.providers.sse import EventReader
from toolflow.llm.providers.wire import Assembly, Dialect

# aiohttp warns about larger bodies of plain bytes.
_LARGEST_PLAIN_BODY: Final = 2**20

_EVENT_STREAM: Final = "text/event-stream"

_LONGEST_SILENCE: Final = 60.0
"""Seconds between two pieces of a stream. Servers under load keep the beginning waiting, which the attempt
timeout bounds, but once they write they write on: Anthropic's send a ping where they pause."""

_LAST_BYTES_SECONDS: Final = 1.0

_NOTHING: Final[frozenset[str]] = frozenset()

_REFUSALS: Final = (
    ("top_p", re.compile(r"\btop_p\b")),
    ("temperature", re.compile(r"\btemperature\b")),
    ("max_tokens", re.compile(r"\bmax_completion_tokens\b")),
    ("tool_choice", re.compile(r"\btool_choice\b")),
    ("stream_options", re.compile(r"\bstream_options\b")),
)
_TOLD: Final = {
    "max_tokens": "it is sent as max_completion_tokens",
    "tool_choice": "structured replies are asked for, not forced",
}
_REFUSED: Final = re.compile(
    r"support|deprecated|cannot both|unknown|unrecognized|unexpected|not compatible|not permitted|may not be|"
    r"extra",
    re.IGNORECASE,
)


class HTTPProvider:
    """A :class:`toolflow.llm.client.Provider` for a server that speaks a dialect.

    The session is opened by the first request and belongs to that request's event loop. What a model refuses
    to be told, such as a temperature, is left out from the first refusal on.

    Args:
        endpoint: Where to send, and how to get in.
        stream: Whether answers shall come in pieces.
        live: Shown what comes in; None where nobody watches.
        tell: Told, once a model, what is left out for it.
        connect_timeout: Seconds until a connection must stand; how long an answer may take is the caller's
            decision.
        keepalive: Seconds that an idle connection is kept.
        silence: Seconds that a stream may stand still.

    Raises:
        UsageError: The environment names a proxy of a kind that is not supported, or the CA bundle is none.
    """

    dialect: Dialect

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        stream: bool = False,
        live: LiveText | None = None,
        tell: Callable[[str], None] | None = None,
        connect_timeout: float = CONNECT_SECONDS,
        keepalive: float = KEEPALIVE_SECONDS,
        silence: float = _LONGEST_SILENCE,
    ) -> None:
        self._endpoint = endpoint
        self._url = URL(f"{endpoint.base_url}{self.dialect.path}")
        endpoint.proxy()  # what is wrong with the way there is told before anything is sent
        if endpoint.base_url.startswith("https"):
            endpoint.trusted()
        self._stream = stream
        self._live = live or LiveText()
        self._tell = tell
        self._connect_timeout = connect_timeout
        self._keepalive = keepalive
        self._silence = silence
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._without: dict[str, frozenset[str]] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._endpoint.base_url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def send(self, request: Request) -> Completion:
        """One attempt.

        Raises:
            LLMError: There is no usable completion.
        """
        while True:
            without = self._without.get(request.model, _NOTHING)
            try:
                return await self._send(request, without)
            except PermanentLLMError as error:
                refused = refused_parameter(error.message, self.dialect.omissible - without)
                if refused is None:
                    raise
                self._leave_out(refused, request.model)

    def _leave_out(self, parameter: str, model: str) -> None:
        known = self._without.get(model, _NOTHING)
        self._without[model] = known | {parameter}
        if self._tell is not None and parameter not in known:
            instead = _TOLD.get(parameter, "it is left out for this model")
            self._tell(f"{model} takes no {parameter} there: {instead}.")

    async def _send(self, request: Request, without: frozenset[str]) -> Completion:
        session = self._session or self._open()
        body = self.dialect.encode(request, stream=self._stream, without=without)
        data = body if len(body) <= _LARGEST_PLAIN_BODY else BytesIO(body)
        result: Completion | LLMError
        try:
            async with session.post(
                self._url, data=data, headers=self.dialect.headers(request), allow_redirects=False
            ) as response:
                result = await self._receive(response, request)
        except (aiohttp.ClientError, OSError) as error:
            result = connection_failure(error, self._endpoint)
        if isinstance(result, Completion):
            return result
        raise result  # out here it drags along no aiohttp error

    async def _receive(self, response: aiohttp.ClientResponse, request: Request) -> Completion | LLMError:
        if not 200 <= response.status < 300:
            answer = await response.read()
            return response_failure(response.status, response.headers, answer, self._endpoint, request.model)
        if self._stream and response.content_type == _EVENT_STREAM:
            result = await self._hear(response, request)
        else:
            result = self.dialect.decode(await response.read(), request, self._endpoint)
        if not isinstance(result, Completion):
            return result
        limits = read_limits(response.headers)
        return replace(result, delivery=Delivery(self._endpoint.base_url, limits=limits))

    async def _hear(self, response: aiohttp.ClientResponse, request: Request) -> Completion | LLMError:
        """The completion that a stream makes, or why it makes none."""
        assembly = self.dialect.assemble(request, self._endpoint)
        try:
            with self._live.speaking(request.key, assembly.pieces):
                async with _Vigil(self._silence) as vigil:
                    await _read(response.content, assembly, vigil)
        except TimeoutError:
            return fell_silent(self._endpoint, self._silence)
        if not response.content.at_eof():
            # What the end of the body lacks is there in a moment; a connection left before it is lost.
            try:
                async with asyncio.timeout(_LAST_BYTES_SECONDS):
                    await response.content.read()
            except TimeoutError:
                pass
        return assembly.completion()

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("the provider is closed")
        self._session = open_session(
            self._endpoint,
            accept=f"{_EVENT_STREAM}, application/json" if self._stream else "application/json",
            connect_timeout=self._connect_timeout,
            keepalive=self._keepalive,
        )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def refused_parameter(message: str, omissible: frozenset[str]) -> str | None:
    """The one of these parameters that an endpoint refuses; None where it complains of another thing."""
    if not _REFUSED.search(message):
        return None
    return next((name for name, said in _REFUSALS if name in omissible and said.search(message)), None)


async def _read(content: aiohttp.StreamReader, assembly: Assembly, vigil: _Vigil) -> None:
    reader = EventReader()
    async for chunk in content.iter_any():
        vigil.heard()
        for data in reader.feed(chunk):
            assembly.feed(data)
        if assembly.done:
            return
    for data in reader.close():
        assembly.feed(data)


class _Vigil:
    """Ends a block with TimeoutError once nothing was heard for so long: one timer, however much is heard.

    Args:
        seconds: Longest silence.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._scope = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    def heard(self) -> None:
        self._heard = self._loop.time()

    async def __aenter__(self) -> _Vigil:
        await self._scope.__aenter__()
        self._look()
        return self

    async def __aexit__(self, *error: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._scope.__aexit__(*error)

    def _look(self) -> None:
        left = self._heard + self._seconds - self._loop.time()
        if left <= 0:
            self._scope.reschedule(self._loop.time())
        else:
            self._timer = self._loop.call_later(left, self._look)
