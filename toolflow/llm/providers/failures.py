"""The one place where what endpoints and the network do wrong becomes an error of our tree."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import isfinite
from typing import Any

import msgspec

from toolflow.errors import (
    AuthenticationError,
    ConnectionFailedError,
    ContextLengthError,
    FatalLLMError,
    LLMError,
    ModelNotFoundError,
    PermanentLLMError,
    RateLimitedError,
    ServerFailedError,
)
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.providers.rate_headers import read_limits, reset_wait
from toolflow.text import one_line

_LONGEST_QUOTE = 300

# OpenAI, vLLM, SGLang, llama.cpp, Anthropic, Mistral, Gemini and their gateways.
_CONTEXT_LENGTH = re.compile(
    r"context[_ ](?:length|window|size)|maximum model length|max_model_len|too many tokens"
    r"|exceeds? (?:the )?context|(?:prompt|input) is too long|token count .{0,40}exceeds"
    r"|reduce the length of",
    re.IGNORECASE,
)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_NO_MONEY_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_NO_MONEY = re.compile(r"credit balance is too low", re.IGNORECASE)
_TRY_OTHER_URL = "Check the URL: it usually ends in /v1."
_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Anthropic's error types (https://platform.claude.com/docs/en/api/errors); a stream has no other status."""


# OpenSSL: self-signed, self-signed in the chain, no local issuer.
_OF_NO_KNOWN_AUTHORITY = {18, 19, 20}


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What a server said about a failure.

    Attributes:
        message: Its words, or what its body looks like; short, without control characters.
        codes: Its machine-readable words (``code`` and ``type``), lower case.
    """

    message: str
    codes: frozenset[str]


def response_failure(
    status: int, headers: Mapping[str, str], body: bytes, endpoint: Endpoint, model: str
) -> LLMError:
    """The error for an HTTP answer that is no success.

    Args:
        status: HTTP status.
        headers: The answer's headers; looked up without regard to case.
        body: The answer's body, of any kind.
        endpoint: Who answered; its secrets are cut out of the text.
        model: The model that was asked for.
    """
    said = read_error_body(body)
    to = f" to {quote(headers['location'])}" if status < 400 and "location" in headers else ""
    phrase = f"{endpoint.base_url} answered {_status_words(status)}{to}: {said.message}"
    retry_after = _retry_after(headers)
    if retry_after is None and status == HTTPStatus.TOO_MANY_REQUESTS:
        retry_after = reset_wait(read_limits(headers))
    return _classify(status, phrase, said, endpoint=endpoint, model=model, retry_after=retry_after)


def embedded_failure(error: object, endpoint: Endpoint, model: str) -> LLMError:
    """The error for an ``error`` object inside an answer with status 200."""
    said = _read_error(error)
    codes = [int(code) for code in said.codes if code.isdecimal()]
    codes += [_STATUS_OF_TYPE[code] for code in said.codes if code in _STATUS_OF_TYPE]
    status = next((code for code in codes if 400 <= code < 600), None)
    if status is None and any("rate_limit" in code for code in said.codes):
        status = HTTPStatus.TOO_MANY_REQUESTS
    elif status is None:
        status = HTTPStatus.BAD_REQUEST if _is_context_length(said) else HTTPStatus.BAD_GATEWAY
    phrase = f"{endpoint.base_url} answered 200 with an error inside: {said.message}"
    return _classify(status, phrase, said, endpoint=endpoint, model=model)


def unreadable_failure(body: bytes, endpoint: Endpoint, wanted: str = "chat completion") -> ServerFailedError:
    """The error for a successful answer whose body is not what it should be."""
    seen = endpoint.redact(read_error_body(body).message)
    return ServerFailedError(
        f"{endpoint.base_url} answered with something that is no {wanted}: {seen}", hint=_TRY_OTHER_URL
    )


def ended_early(endpoint: Endpoint) -> ServerFailedError:
    """The error for a stream that ended before its end."""
    return ServerFailedError(f"{endpoint.base_url} ended the stream before the answer was complete")


def fell_silent(endpoint: Endpoint, seconds: float) -> ConnectionFailedError:
    """The error for a stream that stands still."""
    return ConnectionFailedError(
        f"{endpoint.base_url} fell silent for {seconds:g} s in the middle of an answer",
        hint="Lower --max-concurrency where the endpoint is overloaded.",
    )


def connection_failure(error: BaseException, endpoint: Endpoint) -> ConnectionFailedError:
    """The error for a request that got no complete HTTP answer, whichever library reports it."""
    causes = list(_causes(error))
    # aiohttp's own class is one of these too, but says nothing of why.
    distrusted = (cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError))
    untrusted = next((cause for cause in distrusted if hasattr(cause, "verify_message")), None)
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    hint = "Check the URL and that the server runs; behind a proxy, check HTTPS_PROXY and NO_PROXY."
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        what = "the host name cannot be resolved"
    elif untrusted is not None:
        what, hint = _distrust(untrusted)
    elif tls is not None:
        what = f"TLS failed: {quote(str(tls))}"
        hint = "Check that the endpoint speaks https; a server without TLS has a base URL with http://."
    elif any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        what = "connection refused"
    elif any(isinstance(cause, TimeoutError) for cause in causes):
        what = "connecting took too long"
    elif (refused := next((status for status in map(_proxy_status, causes) if status), None)) is not None:
        what = f"the proxy answered {_status_words(refused)}"
        hint = "Check HTTPS_PROXY, with its user and password, or put the endpoint's host into NO_PROXY."
    else:
        what = quote(str(error)) or type(error).__name__
        hint = "If it keeps happening, look into the server's log and lower --max-concurrency."
    return ConnectionFailedError(endpoint.redact(f"{endpoint.base_url} cannot be reached: {what}"), hint=hint)


def _distrust(error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    """Why a certificate is not trusted, and what to do about it."""
    reason = quote(error.verify_message or str(error))
    if error.verify_code in _OF_NO_KNOWN_AUTHORITY:
        hint = (
            "If an authority of your own signs it, give its certificate with --ca-bundle FILE or "
            "SSL_CERT_FILE; --insecure goes on without any check."
        )
        return f"its certificate is not trusted ({reason})", hint
    hint = "Check the host in --base-url, and this machine's clock."
    return f"its certificate is not valid ({reason})", hint


def _proxy_status(error: BaseException) -> int | None:
    """The status with which a proxy refused to connect; httpx tells it in words."""
    if type(error).__name__ == "ClientHttpProxyError":
        status: int = getattr(error, "status", 0)
        return status
    words = str(error).split(maxsplit=1)
    named = type(error).__name__ == "ProxyError" and words and words[0].isdecimal()
    return int(words[0]) if named else None


def read_error_body(body: bytes) -> ErrorBody:
    """Find the server's words in a body of any shape."""
    text = body.decode("utf-8", "replace").strip()
    if not text:
        return ErrorBody("an empty body", frozenset())
    if text.startswith("<"):
        title = _TITLE.search(text)
        named = f" titled {quote(title[1])!r}" if title else ""
        return ErrorBody(f"an HTML page{named}", frozenset())
    try:
        return _read_error(msgspec.json.decode(body))
    except (ValueError, RecursionError):
        return ErrorBody(quote(text), frozenset())


def quote(text: str) -> str:
    """A stranger's words, fit for one line of an error text."""
    return one_line(text[: 4 * _LONGEST_QUOTE], _LONGEST_QUOTE)


def _read_error(value: Any) -> ErrorBody:
    # OpenAI: {"error": {...}}; older vLLM: the error itself; Ollama: {"error": "text"};
    # FastAPI: {"detail": ...}; Gemini: a list of one. The innermost object with a message speaks.
    if isinstance(value, list) and value:
        return _read_error(value[0])
    if not isinstance(value, dict):
        return ErrorBody(quote(str(value)), frozenset())
    inner = value.get("error")
    if isinstance(inner, dict) or (inner and not value.get("message")):
        return _read_error(inner)
    message = value.get("message") or value.get("detail") or value.get("msg") or value
    if not isinstance(message, str):
        message = msgspec.json.encode(message).decode()
    codes = frozenset(str(value[name]).lower() for name in ("code", "type") if value.get(name) is not None)
    return ErrorBody(quote(message), codes)


def _classify(
    status: int,
    phrase: str,
    said: ErrorBody,
    *,
    endpoint: Endpoint,
    model: str,
    retry_after: float | None = None,
) -> LLMError:
    failure: LLMError
    phrase = endpoint.redact(phrase)
    key = "ANTHROPIC_API_KEY" if endpoint.api == "anthropic" else "OPENAI_API_KEY"
    if status in {401, 403} or "invalid_api_key" in said.codes or "API key not valid" in said.message:
        state = "The key that was sent is refused" if endpoint.api_key else "No key was sent"
        failure = AuthenticationError(phrase, hint=f"{state}: set {key} to one that it accepts.")
    elif status == 402 or said.codes & _NO_MONEY_CODES or _NO_MONEY.search(said.message):
        failure = FatalLLMError(phrase, hint="Top up the account, or use another key or endpoint.")
    elif status == 429:
        hint = "Lower --max-concurrency."
        failure = RateLimitedError(phrase, hint=hint, retry_after=retry_after)
    elif status == 404 or "model_not_found" in said.codes:
        failure = ModelNotFoundError(
            phrase, hint=f"Check --model ({quote(model)}) and --base-url: it usually ends in /v1."
        )
    elif status in {408, 409} or status >= 500:
        failure = ServerFailedError(phrase, retry_after=retry_after)
    elif status < 400:
        failure = FatalLLMError(phrase, hint="Use the address it points to as --base-url.")
    elif status in {400, 413, 422} and _is_context_length(said):
        failure = ContextLengthError(
            phrase, hint="Use a model with a longer context window, fewer tools or shorter dialogues."
        )
    else:
        failure = PermanentLLMError(phrase)
    return failure


def _is_context_length(said: ErrorBody) -> bool:
    return any(_CONTEXT_LENGTH.search(text) for text in (said.message, *said.codes))


def _status_words(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _causes(error: BaseException | None) -> list[BaseException]:
    causes: list[BaseException] = []
    while error is not None and error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__
    return causes


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: ``retry-after-ms``, or ``Retry-After``, seconds or a date."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            seconds = float(text) * unit
        except ValueError:
            seconds = _seconds_until(text, headers.get("date"))
        if isfinite(seconds) and seconds >= 0:
            return seconds
    return None


def _seconds_until(text: str, server_time: str | None) -> float:
    # The server's own Date is the zero point, for its clock and ours may differ.
    try:
        now = parsedate_to_datetime(server_time) if server_time else datetime.now(UTC)
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (TypeError, ValueError):
        return float("nan")
