"""What the headers of an answer say about rate limits, in the dialects of many providers.

* ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}``: OpenAI, Azure, Groq, xAI and gateways; resets as
  durations (``6m0s``, ``20ms``, ``1.5``) or as moments (seconds or milliseconds of the epoch).
* the same with ``-minute``, ``-hour``, ``-day`` behind it (Cerebras), and with ``req`` for ``requests``
  (Mistral).
* ``anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}``: resets as
  RFC 3339 moments.
* ``x-ratelimit-{limit,remaining,reset}``: OpenRouter; beside ``x-tokenlimit-…`` they are Together's, by the
  second.
* ``RateLimit`` and ``RateLimit-Policy`` of draft-ietf-httpapi-ratelimit-headers-10, the one field of draft 07
  and the three of draft 06.

Nothing that a server writes here raises: what cannot be read, or makes no sense, is None.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Final, NamedTuple

from toolflow.llm.quota.limits import LimitKind, ReportedLimit

_MARKS: Final = (
    "x-ratelimit-limit-requests", "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens",
    "x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-input-tokens-limit",
    "x-ratelimit-limit-tokens-minute", "x-ratelimit-limit-req-minute", "x-ratelimit-limit-requests-minute",
    "x-ratelimit-limit-requests-day", "x-ratelimit-limit", "ratelimit", "ratelimit-limit",
)  # fmt: skip
"""An answer that has none of these is taken to say nothing: this is asked for every call."""

_WINDOWS: Final = {"second": 1.0, "minute": 60.0, "hour": 3_600.0, "day": 86_400.0}

_OPENAI: Final[dict[str, LimitKind]] = {"requests": "requests", "req": "requests", "tokens": "tokens"}
_ANTHROPIC: Final[dict[str, LimitKind]] = {
    "requests": "requests",
    "tokens": "tokens",
    "input-tokens": "input_tokens",
    "output-tokens": "output_tokens",
}


class _Headers(NamedTuple):
    """The headers of one limit."""

    kind: LimitKind
    window: float | None
    limit: str
    remaining: str
    reset: str


def _prefixed(kind: LimitKind, name: str, window: float | None = None) -> _Headers:
    return _Headers(kind, window, f"{name}-limit", f"{name}-remaining", f"{name}-reset")


def _openai(kind: LimitKind, name: str, window: float | None) -> _Headers:
    limit, remaining, reset = (f"x-ratelimit-{field}-{name}" for field in ("limit", "remaining", "reset"))
    return _Headers(kind, window, limit, remaining, reset)


_NAMES: Final = (
    tuple(_openai(kind, name, None) for name, kind in _OPENAI.items()),
    tuple(_prefixed(kind, f"anthropic-ratelimit-{name}") for name, kind in _ANTHROPIC.items()),
    tuple(
        _openai(kind, f"{name}-{unit}", window)
        for name, kind in _OPENAI.items()
        for unit, window in _WINDOWS.items()
    ),
)
_SHARED_NAMES: Final = (_prefixed("requests", "x-ratelimit"), _prefixed("requests", "ratelimit"))
_BY_SECOND: Final = (
    _prefixed("requests", "x-ratelimit", 1.0),
    _prefixed("tokens", "x-tokenlimit", 1.0),
)

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_DRAFT_PART: Final = re.compile(r"(?:^|[;,\s])(limit|remaining|reset|[rtqw])\s*=\s*(\d{1,15})\b")
_DRAFT_UNIT: Final = re.compile(r';\s*(?:qu|pk)\s*=\s*"([^"]*)"')
_FIRST_MOMENT: Final = 1e9
"""Seconds of the epoch in 2001: no duration is as long, and no moment as early."""

_LONGEST: Final = 400 * 86_400.0


def read_limits(headers: Mapping[str, str]) -> tuple[ReportedLimit, ...]:
    """The rate limits that an answer reports; empty where it reports none.

    Args:
        headers: The answer's headers, of any case.
    """
    if isinstance(headers, dict):
        headers = {str(name).lower(): value for name, value in headers.items()}
    for mark in _MARKS:
        if mark in headers:
            return _read(headers)
    return ()


def reset_wait(limits: Iterable[ReportedLimit]) -> float | None:
    """Seconds to wait after a refusal (429) that names none: until the last exhausted limit is full again.

    None where no limit is exhausted, or none says when it is full.
    """
    return max((limit.reset for limit in limits if limit.remaining == 0 and limit.reset), default=None)


def _read(headers: Mapping[str, str]) -> tuple[ReportedLimit, ...]:
    for names in (*_NAMES, _BY_SECOND if "x-tokenlimit-limit" in headers else _SHARED_NAMES):
        found = _read_all(names, headers)
        if found:
            return found
    return _read_draft(headers)


def _read_all(names: Iterable[_Headers], headers: Mapping[str, str]) -> tuple[ReportedLimit, ...]:
    found: list[ReportedLimit] = []
    for kind, window, limit_name, remaining_name, reset_name in names:
        if limit_name not in headers and remaining_name not in headers:
            continue
        limit, remaining = _count(headers.get(limit_name)), _count(headers.get(remaining_name))
        # Azure writes -1 or 0 where it does not limit.
        if limit == 0 or (limit is None and remaining is None):
            continue
        found.append(
            ReportedLimit(kind, limit, remaining, _seconds(headers.get(reset_name), headers), window)
        )
    return tuple(found)


def _read_draft(headers: Mapping[str, str]) -> tuple[ReportedLimit, ...]:
    now, policy = headers.get("ratelimit", ""), headers.get("ratelimit-policy", "")
    unit = _DRAFT_UNIT.search(policy)
    if "," in policy or (unit is not None and unit[1] != "requests"):
        return ()
    # Draft 07 separates its parts with commas, later ones its items; only a single item is read.
    parts = {name: int(value) for name, value in _DRAFT_PART.findall(f"{policy} ; {now}")}
    limit, remaining = parts.get("limit", parts.get("q")), parts.get("remaining", parts.get("r"))
    reset, window = parts.get("reset", parts.get("t")), parts.get("w")
    if not limit and remaining is None:
        return ()
    return (ReportedLimit("requests", limit or None, remaining, reset, window or None),)


def _count(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        # Draft 03 puts policies behind the figure.
        value = float(text if text.isdecimal() else text.partition(",")[0].partition(";")[0])
    except ValueError:
        return None
    return int(value) if 0 <= value < 1e15 else None


def _seconds(text: str | None, headers: Mapping[str, str]) -> float | None:
    """Seconds until a moment, or of a duration, in any of the forms in use."""
    if text is None:
        return None
    text = text.strip()
    try:
        if text.endswith("ms"):
            seconds = float(text[:-2]) / 1_000
        else:
            seconds = float(text[:-1] if text.endswith("s") else text)
    except ValueError:
        if _DURATION.fullmatch(text):
            seconds = sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))
        else:
            seconds = _until(text, headers)
    else:
        if seconds >= _FIRST_MOMENT:
            milliseconds = seconds >= 1_000 * _FIRST_MOMENT
            seconds = (seconds / 1_000 if milliseconds else seconds) - _server_time(headers)
    return min(max(0.0, seconds), _LONGEST) if isfinite(seconds) else None


def _until(text: str, headers: Mapping[str, str]) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return float("nan")
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return moment.timestamp() - _server_time(headers)


def _server_time(headers: Mapping[str, str]) -> float:
    # The server's own Date is the zero point, for its clock and ours may differ.
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return time.time()
