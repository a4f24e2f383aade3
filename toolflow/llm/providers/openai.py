"""OpenAI-compatible chat completions over aiohttp: one session, one body encoded and one decoded a call."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from types import TracebackType

import aiohttp
from yarl import URL

import toolflow
from toolflow.errors import LLMError
from toolflow.llm.chat import Completion, Delivery, Request
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.providers.failures import connection_failure, response_failure
from toolflow.llm.providers.rate_headers import read_limits
from toolflow.llm.providers.wire import decode_completion, encode_request

# aiohttp warns about larger bodies of plain bytes.
_LARGEST_PLAIN_BODY = 2**20


class OpenAIProvider:
    """A :class:`toolflow.llm.client.Provider` for any server that speaks OpenAI's chat completions.

    The session is opened by the first request and belongs to that request's event loop.

    Args:
        endpoint: Where to send, and how to get in.
        connect_timeout: Seconds until a connection must stand; how long an answer may take is the caller's
            decision.
        keepalive: Seconds that an idle connection is kept.

    Raises:
        UsageError: The environment names a proxy of a kind that is not supported.
    """

    def __init__(self, endpoint: Endpoint, *, connect_timeout: float = 30.0, keepalive: float = 30.0) -> None:
        self._endpoint = endpoint
        self._url = URL(f"{endpoint.base_url}/chat/completions")
        # Asked once: aiohttp's trust_env asks again for each request, in a thread.
        self._proxy = endpoint.proxy()
        self._connect_timeout = connect_timeout
        self._keepalive = keepalive
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<OpenAIProvider {self._endpoint.base_url}>"

    async def __aenter__(self) -> OpenAIProvider:
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
        session = self._session or self._open()
        body = encode_request(request)
        data = body if len(body) <= _LARGEST_PLAIN_BODY else BytesIO(body)
        failure: LLMError
        try:
            # A redirected POST would come back as a GET, and its key might go to a stranger.
            async with session.post(self._url, data=data, allow_redirects=False) as response:
                answer = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            failure = connection_failure(error, self._endpoint)
        else:
            if 200 <= response.status < 300:
                completion = decode_completion(answer, request, self._endpoint)
                limits = read_limits(response.headers)
                return replace(completion, delivery=Delivery(self._endpoint.base_url, limits=limits))
            failure = response_failure(
                response.status, response.headers, answer, self._endpoint, request.model
            )
        # Raised out here, it drags along no aiohttp error: their repr shows the headers, key and all.
        raise failure

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("the provider is closed")
        self._session = aiohttp.ClientSession(
            # The gate bounds the connections; a second queue here would not know which call goes first.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=self._keepalive, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=self._proxy,
            headers={
                "Content-Type": "application/json",
                "Accept": "application/json",
                "User-Agent": f"toolflow/{toolflow.__version__}",
                **self._endpoint.sent_headers(),
            },
        )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()
