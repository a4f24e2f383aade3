"""Where an LLM is served, and the secrets to get in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from toolflow.errors import UsageError

OPENAI_BASE_URL = "https://api.openai.com/v1"
_SHORTEST_SECRET = 8


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible endpoint.

    Attributes:
        base_url: What ``/chat/completions`` is appended to; usually ends in ``/v1``.
        api_key: Sent as a bearer token; in no repr, log or error text.
        headers: Sent with every request; they may hold secrets too and are treated so.

    Raises:
        UsageError: The URL cannot be used, or the key or a header holds what HTTP does not carry.
    """

    base_url: str
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    def __post_init__(self) -> None:
        url = self.base_url.strip().rstrip("/").removesuffix("/chat/completions").rstrip("/")
        _check_url(url)
        object.__setattr__(self, "base_url", url)
        # Keys that are read from files end in a newline.
        object.__setattr__(self, "api_key", (self.api_key or "").strip() or None)
        for name, value in self.sent_headers().items():
            if not (name + value).isprintable() or not (name + value).isascii():
                what = "the API key" if name == "Authorization" else f"the header {name!r}"
                raise UsageError(f"{what} holds characters that cannot be sent in an HTTP header")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], base_url: str | None = None) -> Endpoint:
        """The endpoint that ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY`` name.

        Args:
            environment: Usually ``os.environ``.
            base_url: Goes before ``OPENAI_BASE_URL``.
        """
        url = base_url or environment.get("OPENAI_BASE_URL") or OPENAI_BASE_URL
        return cls(url, environment.get("OPENAI_API_KEY"))

    def sent_headers(self) -> dict[str, str]:
        """Headers of every request."""
        key = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return key | dict(self.headers)

    def proxy(self) -> str | None:
        """The proxy that the environment's proxy variables name for this endpoint.

        Raises:
            UsageError: It is of a kind that is not supported.
        """
        url = urlsplit(self.base_url)
        if proxy_bypass(url.hostname or ""):
            return None
        proxies = getproxies()
        proxy = proxies.get(url.scheme) or proxies.get("all")
        if proxy is None:
            return None
        scheme = proxy.partition("://")[0].lower() if "://" in proxy else "http"
        if scheme not in {"http", "https"}:
            raise UsageError(
                f"the proxy that the environment names for {self.base_url} is of the kind {scheme!r}",
                hint="Name an http:// proxy, or put the endpoint's host into NO_PROXY.",
            )
        return proxy if "://" in proxy else f"http://{proxy}"

    def redact(self, text: str) -> str:
        """``text`` without this endpoint's secrets: servers like to quote the key they refuse."""
        for secret in (self.api_key, *self.headers.values()):
            if secret and len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
        return text


def _check_url(text: str) -> None:
    url = _split(text)
    # What is wrong with the URL may be its password, so the URL is not shown.
    if url.username is not None or url.password is not None:
        raise UsageError(
            "the base URL holds a user name or password", hint="Set OPENAI_API_KEY, or a header, instead."
        )
    if url.query or url.fragment:
        raise UsageError(
            "the base URL must end before any '?' or '#'", hint="Send a key as a header instead."
        )
    blank = any(letter.isspace() or not letter.isprintable() for letter in text)
    if url.scheme not in {"http", "https"} or not url.hostname or blank:
        raise UsageError(
            f"{text!r} is no base URL of an endpoint",
            hint="Write it with scheme and host, such as http://localhost:8000/v1.",
        )


def _split(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        _ = url.port, (url.hostname or "").encode("idna")
    except ValueError as error:
        raise UsageError(
            f"the base URL cannot be read: {error}", hint="Write it like http://localhost:8000/v1."
        ) from None
    return url
