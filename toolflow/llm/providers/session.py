"""An HTTP session with an endpoint, as all that is sent there has it."""

from __future__ import annotations

import aiohttp

import toolflow
from toolflow.llm.endpoint import Endpoint

CONNECT_SECONDS = 30.0
KEEPALIVE_SECONDS = 30.0


def open_session(
    endpoint: Endpoint,
    *,
    accept: str = "application/json",
    connect_timeout: float = CONNECT_SECONDS,
    keepalive: float = KEEPALIVE_SECONDS,
) -> aiohttp.ClientSession:
    """Open a session; it belongs to the running event loop, and whoever opens it closes it.

    Requests go to whole URLs, and must not follow redirects: a redirected POST would come back as a GET, and
    its key might go to a stranger. Errors of aiohttp must not be chained to others: their repr shows the
    headers, key and all.

    Args:
        endpoint: Where to send, and how to get in.
        accept: What answers are taken.
        connect_timeout: Seconds until a connection must stand; how long an answer may take is the caller's
            decision.
        keepalive: Seconds that an idle connection is kept.

    Raises:
        UsageError: The environment names a proxy of a kind that is not supported, or the CA bundle is none.
    """
    return aiohttp.ClientSession(
        # Who sends bounds the connections; a second queue here would not know which request goes first.
        connector=aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=keepalive,
            ttl_dns_cache=300,
            ssl=endpoint.trusted() if endpoint.base_url.startswith("https") else True,
        ),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        # Asked once: aiohttp's trust_env asks again for each request, in a thread.
        proxy=endpoint.proxy(),
        headers={
            "Content-Type": "application/json",
            "Accept": accept,
            "User-Agent": f"toolflow/{toolflow.__version__}",
            **endpoint.sent_headers(),
        },
    )
