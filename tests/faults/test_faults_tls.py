"""Certificates and proxies: a real TLS server on loopback, and a real proxy in front of it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.faults.misbehaving_server import GOOD, KEY, REQUEST
from toolflow.errors import ConnectionFailedError, UsageError
from toolflow.llm.chat import Completion
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.probe import probe_endpoint
from toolflow.llm.providers.openai import OpenAIProvider
from toolflow.llm.transport import proxy_of, trust

Look = Callable[[Endpoint], Awaitable[object]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(autouse=True)
def _no_proxy_and_no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    trust.cache_clear()
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def tls_server(authority: trustme.CA, host: str = "localhost") -> AsyncGenerator[int]:
    """An endpoint behind a certificate for a host; its port on loopback."""

    async def complete(_: web.Request) -> web.Response:
        return web.json_response(GOOD)

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m"}]})

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host).configure_cert(context)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_get("/v1/models", models)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=context)
    assert server.port is not None
    try:
        yield server.port
    finally:
        await server.close()


async def call(endpoint: Endpoint) -> Completion:
    async with OpenAIProvider(endpoint) as provider:
        return await provider.send(REQUEST)


def reach(authority: trustme.CA, look: Look, host: str = "localhost", **trusting: Any) -> object:
    async def play() -> object:
        async with tls_server(authority, host) as port:
            return await look(Endpoint(f"https://localhost:{port}/v1", KEY, **trusting))

    return asyncio.run(play())


looks = pytest.mark.parametrize("look", [call, probe_endpoint], ids=["call", "probe"])


@looks
def test_a_certificate_that_is_not_trusted_is_told_with_what_to_do(authority: trustme.CA, look: Look) -> None:
    with pytest.raises(ConnectionFailedError, match="certificate is not trusted") as caught:
        reach(authority, look)
    assert caught.value.hint is not None
    assert all(way in caught.value.hint for way in ("--ca-bundle", "SSL_CERT_FILE", "--insecure"))
    assert KEY not in str(caught.value)


@looks
def test_a_bundle_of_ones_own_is_trusted(authority: trustme.CA, bundle: str, look: Look) -> None:
    assert reach(authority, look, ca_bundle=bundle)


@looks
def test_the_environments_bundle_is_trusted(
    authority: trustme.CA, bundle: str, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    assert reach(authority, look)


@looks
def test_who_asks_for_no_check_gets_none(authority: trustme.CA, look: Look) -> None:
    assert reach(authority, look, host="elsewhere.example", insecure=True)


@looks
def test_a_certificate_for_another_host_is_no_matter_of_trust(
    authority: trustme.CA, bundle: str, look: Look
) -> None:
    with pytest.raises(ConnectionFailedError, match="certificate is not valid") as caught:
        reach(authority, look, host="elsewhere.example", ca_bundle=bundle)
    assert "--insecure" not in (caught.value.hint or "")


@pytest.mark.parametrize(("content", "said"), [("hello", "no PEM file"), (None, "No such file")])
def test_a_bundle_that_is_none_is_refused_in_words(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=said):
        OpenAIProvider(Endpoint("https://host/v1", ca_bundle=str(path)))


class Proxy:
    """A forward proxy that takes CONNECT and leads every host to one port on loopback.

    Attributes:
        asked: What came in, head by head.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.asked: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head)
        if b"Proxy-Authorization: Basic bWU6d29yZA==" not in head.replace(b"proxy-auth", b"Proxy-Auth"):
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        there = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._carry(reader, there[1]))
            group.create_task(self._carry(there[0], writer))

    @staticmethod
    async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                target.write(data)
                await target.drain()
        target.close()


@looks
@pytest.mark.parametrize("word", ["word", "wrong-password"])
def test_tls_goes_through_a_proxy(
    authority: trustme.CA, bundle: str, look: Look, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> object:
        async with tls_server(authority, "endpoint.example") as port:
            proxy = Proxy(port)
            server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
            try:
                address = server.sockets[0].getsockname()
                monkeypatch.setenv("HTTPS_PROXY", f"http://me:{word}@127.0.0.1:{address[1]}")
                return await look(Endpoint("https://endpoint.example/v1", KEY, ca_bundle=bundle))
            finally:
                assert proxy.asked[0].startswith(b"CONNECT endpoint.example:443")
                assert KEY.encode() not in proxy.asked[0]
                server.close()

    if word == "word":
        assert asyncio.run(play())
        return
    with pytest.raises(ConnectionFailedError, match="the proxy answered 407") as caught:
        asyncio.run(play())
    assert "wrong-password" not in str(caught.value)
    assert "HTTPS_PROXY" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("no_proxy", "url", "through"),
    [
        ("", "http://10.1.2.3:8000/v1", True),
        ("10.0.0.0/8", "http://10.1.2.3:8000/v1", False),
        ("10.0.0.0/8", "http://11.1.2.3:8000/v1", True),
        (".corp.example", "http://llm.corp.example/v1", False),
        ("llm.example:8000", "http://llm.example:8000/v1", False),
        ("llm.example:8000", "http://llm.example:9000/v1", True),
        ("*", "http://anywhere.example/v1", False),
        ("", "http://127.0.0.1:8000/v1", False),
        ("", "http://localhost:8000/v1", False),
        ("", "http://[::1]:8000/v1", False),
    ],
)
def test_no_proxy_means_what_users_expect(
    no_proxy: str, url: str, through: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (proxy_of(url) is not None) == through
