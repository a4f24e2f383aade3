"""Where an LLM is served, what is spoken there, and the secrets to get in."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from toolflow.errors import UsageError
from toolflow.llm.transport import proxy_of, trust

Api = Literal["openai", "anthropic"]
"""What an endpoint speaks: OpenAI's chat completions, or Anthropic's Messages API."""

OPENAI_BASE_URL: Final = "https://api.openai.com/v1"
ANTHROPIC_BASE_URL: Final = "https://api.anthropic.com/v1"
ANTHROPIC_VERSION: Final = "2023-06-01"

UNCHECKED: Final = (
    "WARNING: certificates are not checked (--insecure). Whoever sits between this machine and the endpoint "
    "can read the key and every prompt, and write the answers."
)

_SHORTEST_SECRET = 8
_CHAT = re.compile(r"/chat/completions/*$")
_MESSAGES = re.compile(r"(?:/v1)?(?:/messages)?/*$")


@dataclass(frozen=True, slots=True)
class Access:
    """How to get in at endpoints of which a user names the URL alone.

    Attributes:
        key_variable: The environment variable that holds the key; None for the usual one of what is spoken.
        headers: As in :class:`Endpoint`.
        ca_bundle: Likewise.
        insecure: Likewise.
    """

    key_variable: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    ca_bundle: str | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint.

    Attributes:
        base_url: What ``/chat/completions`` or ``/messages`` is appended to; usually ends in ``/v1``, with
            Anthropic's API always.
        api_key: Sent as a bearer token or as ``x-api-key``; in no repr, log or error text.
        headers: Sent with every request; they may hold secrets too and are treated so.
        api: What is spoken there.
        ca_bundle: PEM file of authorities that are trusted beside the system's.
        insecure: Whether any certificate will do.

    Raises:
        UsageError: The URL cannot be used, or the key or a header holds what HTTP does not carry.
    """

    base_url: str
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    api: Api = "openai"
    ca_bundle: str | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        url = self.base_url.strip().rstrip("/")
        # Anthropic's own libraries take the URL without /v1, ours with it: both are meant.
        url = _MESSAGES.sub("", url) + "/v1" if self.api == "anthropic" else _CHAT.sub("", url).rstrip("/")
        _check_url(url)
        object.__setattr__(self, "base_url", url)
        # Keys that are read from files end in a newline.
        object.__setattr__(self, "api_key", (self.api_key or "").strip() or None)
        for name, value in self.sent_headers().items():
            if not (name + value).isprintable() or not (name + value).isascii():
                what = "the API key" if value.endswith(self.api_key or "\n") else f"the header {name!r}"
                raise UsageError(f"{what} holds characters that cannot be sent in an HTTP header")

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str],
        base_url: str | None = None,
        api: Api = "openai",
        access: Access | None = None,
    ) -> Endpoint:
        """The endpoint that ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY`` name, or ``ANTHROPIC_…``.

        Args:
            environment: Usually ``os.environ``.
            base_url: Goes before the environment's.
            api: What is spoken there.
            access: How to get in.

        Raises:
            UsageError: The URL cannot be used, or there is no such variable as the key is said to be in.
        """
        way = access or Access()
        prefix, usual = (
            ("ANTHROPIC", ANTHROPIC_BASE_URL) if api == "anthropic" else ("OPENAI", OPENAI_BASE_URL)
        )
        url = base_url or environment.get(f"{prefix}_BASE_URL") or usual
        key = environment.get(way.key_variable or f"{prefix}_API_KEY")
        endpoint = cls(url, key, way.headers, api, way.ca_bundle, way.insecure)
        if key is None and way.key_variable is not None:
            raise UsageError(
                f"the environment variable {way.key_variable} is not set: it is to hold the key of "
                f"{endpoint.base_url}",
                hint="Set it, or name another one with --api-key-env, or api_key_env in the configuration.",
            )
        return endpoint

    def sent_headers(self) -> dict[str, str]:
        """Headers of every request."""
        if self.api == "anthropic":
            key = {"x-api-key": self.api_key} if self.api_key else {}
            return _merged({"anthropic-version": ANTHROPIC_VERSION, **key}, self.headers)
        return _merged({"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}, self.headers)

    def proxy(self) -> str | None:
        """The proxy that the environment's proxy variables name for this endpoint.

        Raises:
            UsageError: It is of a kind that is not supported.
        """
        return proxy_of(self.base_url)

    def trusted(self) -> ssl.SSLContext:
        """Whose certificates are trusted.

        Raises:
            UsageError: The CA bundle cannot be read.
        """
        return trust(self.ca_bundle, insecure=self.insecure)

    def redact(self, text: str) -> str:
        """``text`` without this endpoint's secrets: servers like to quote the key they refuse."""
        for secret in (self.api_key, *self.headers.values(), *self._proxy_secrets()):
            if secret and len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
        return text

    def _proxy_secrets(self) -> tuple[str, ...]:
        try:
            password = urlsplit(self.proxy() or "").password or ""
        except (UsageError, ValueError):
            return ()
        return password, unquote(password)


def speaks(base_url: str) -> Api:
    """What an endpoint speaks, as far as its URL tells."""
    url = urlsplit(base_url.strip())
    host = f".{url.hostname or ''}"
    anthropic = host.endswith(".anthropic.com") or url.path.rstrip("/").endswith("/messages")
    return "anthropic" if anthropic else "openai"


def speaks_there(environment: Mapping[str, str], models: Sequence[str]) -> Api | None:
    """What is spoken where the environment's variables point; None where they name no endpoint.

    Anthropic's are heeded for models named ``claude-…`` alone, for they may be set for another program; and
    not where ``OPENAI_BASE_URL`` names a gateway, which may serve those models too.
    """
    openai_url = environment.get("OPENAI_BASE_URL")
    anthropic = environment.get("ANTHROPIC_API_KEY") or environment.get("ANTHROPIC_BASE_URL")
    claude = bool(models) and all(model.startswith("claude-") for model in models)
    if anthropic and claude and not openai_url:
        return "anthropic"
    return "openai" if openai_url or environment.get("OPENAI_API_KEY") else None


def _merged(headers: dict[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The user's headers win, whatever the case of their names."""
    given = {name.lower() for name in own}
    return {name: value for name, value in headers.items() if name.lower() not in given} | dict(own)


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
