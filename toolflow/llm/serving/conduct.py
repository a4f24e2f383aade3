"""How a rehearsal server shall behave, and what it decides about each request; time is told to it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from toolflow.errors import UsageError
from toolflow.llm.serving.limiter import Charge, Limiter, LimitState, WindowKind

FAULTS: Final[dict[str, str]] = {
    "500": "status 500 at once",
    "reset": "the connection is reset",
    "overloaded": "status 503 (Anthropic: 529) at once, or such an error in the middle of a stream",
    "stall": "no answer for a very long time",
    "hang": "half of the answer, then nothing for a very long time",
    "drip": "the body comes in many small pieces",
    "truncate": "the body is cut off by a reset",
    "cut": "the body ends in the middle as if it were whole",
    "html": "an HTML page with status 502",
    "html200": "an HTML page with status 200",
    "badjson": "tool calls whose arguments are no JSON",
    "wrongid": "tool calls that all have the same id",
    "empty": "a message without content",
}


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a server behaves.

    Attributes:
        latency: Seconds of an answer.
        spread: Sigma of a lognormal factor on it, with mean 1.
        time_per_token: Seconds more for each LLM token of the completion; a stream is spread over them.
        tokens_per_event: LLM tokens in each event of a stream.
        knee: Requests in flight above which latency grows; None for never.
        exponent: How fast: latency × (in flight at arrival / knee) ** exponent.
        cap: Most in flight from so many seconds after the first request on; ascending by time; empty for any.
        retry_after: Sent with refusals by the cap; None for no such header.
        limits: A minute, by name: requests, tokens, input-tokens, output-tokens.
        window: How they are counted.
        burst: Size of the request bucket.
        headers: Whether rate-limit headers and Retry-After are sent.
        faults: Share of requests, by fault.
        seed: Of latencies and faults.
        fixed_usage: LLM tokens of prompt and completion to claim; None for the model's own figures.
    """

    latency: float = 0.0
    spread: float = 0.0
    time_per_token: float = 0.0
    tokens_per_event: int = 1
    knee: int | None = None
    exponent: float = 2.0
    cap: tuple[tuple[float, int], ...] = ()
    retry_after: float | None = None
    limits: dict[str, int] = field(default_factory=dict)
    window: WindowKind = "sliding"
    burst: int | None = None
    headers: bool = True
    faults: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    fixed_usage: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A 429.

    Attributes:
        reason: What is exhausted.
        retry_after: Seconds; None where the server does not say.
    """

    reason: str
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A request that was let in.

    Attributes:
        prompt: LLM tokens counted for its prompt.
        seconds: How long it takes, completion tokens apart.
        fault: What goes wrong with it.
        charges: What the limits have counted for it.
    """

    prompt: int
    seconds: float
    fault: str | None
    charges: dict[str, Charge] = field(default_factory=dict)


class Behaviour:
    """Decides about requests and counts them."""

    def __init__(self, conduct: Conduct) -> None:
        self.conduct = conduct
        self.down = False
        self._limiter = Limiter(conduct.limits, conduct.window, conduct.burst)
        self._random = Random(conduct.seed)
        self._first: float | None = None
        self.in_flight = 0
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.most_in_flight = 0

    def arrive(self, prompt: int, now: float) -> Entry | Refusal:
        """Let a request in, or refuse it.

        Args:
            prompt: LLM tokens of its prompt.
            now: Seconds.
        """
        conduct = self.conduct
        self._first = now if self._first is None else self._first
        self.counts["requests"] += 1
        cap = self._cap(now - self._first)
        if cap is not None and self.in_flight >= cap:
            return self._refuse("too many requests at once", conduct.retry_after)
        charges = self._limiter.enter(prompt, now)
        if not isinstance(charges, dict):
            return self._refuse("rate limit reached", charges)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        fault = self._draw_fault()
        if fault is not None:
            self.faults[fault] += 1
        return Entry(prompt, self._latency(), fault, charges)

    def leave(self, entry: Entry, now: float, *, prompt: int, completion: int, answered: bool) -> None:
        """A request that was let in is over."""
        self.in_flight -= 1
        self._limiter.leave(entry.charges, entry.prompt, prompt, completion, now)
        if answered:
            self.counts["completed"] += 1
            self.counts["prompt_tokens"] += prompt
            self.counts["completion_tokens"] += completion

    def limits(self, now: float) -> list[LimitState]:
        """What an answer's headers tell about the limits."""
        return self._limiter.state(now) if self.conduct.headers else []

    def report(self) -> dict[str, Any]:
        """The counters."""
        return {
            "requests": self.counts["requests"],
            "completed": self.counts["completed"],
            "rate_limited": self.counts["rate_limited"],
            "repeated": self.counts["repeated"],
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
            "tokens": {
                "prompt": self.counts["prompt_tokens"],
                "completion": self.counts["completion_tokens"],
            },
            "by_status": dict(self.statuses),
            "faults": dict(self.faults),
        }

    def _refuse(self, reason: str, pause: float | None) -> Refusal:
        self.counts["rate_limited"] += 1
        return Refusal(reason, pause if self.conduct.headers else None)

    def _cap(self, elapsed: float) -> int | None:
        found: int | None = None
        for since, cap in self.conduct.cap:
            if elapsed >= since:
                found = cap
        return found

    def _latency(self) -> float:
        conduct = self.conduct
        seconds = conduct.latency
        if conduct.spread:
            seconds *= self._random.lognormvariate(-(conduct.spread**2) / 2, conduct.spread)
        if conduct.knee is not None and self.in_flight > conduct.knee:
            seconds *= (self.in_flight / conduct.knee) ** conduct.exponent
        return seconds

    def _draw_fault(self) -> str | None:
        if not self.conduct.faults:
            return None
        draw = self._random.random()
        for name, share in self.conduct.faults.items():
            draw -= share
            if draw < 0:
                return name
        return None


def read_faults(text: str) -> dict[str, float]:
    """Faults and their shares: ``500=0.03,reset=0.02``.

    Raises:
        UsageError: A name is unknown, or a share is none.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.strip().partition("=")
        if name not in FAULTS:
            raise UsageError(f"{name!r} is no fault", hint=f"Faults: {', '.join(FAULTS)}.")
        try:
            found[name] = float(share)
        except ValueError:
            found[name] = -1.0
        if not 0 <= found[name] <= 1:
            raise UsageError(f"{part.strip()!r}: the share must be from 0 to 1", hint="Write 500=0.03.")
    if sum(found.values()) > 1:
        raise UsageError("the shares of the faults add up to more than 1")
    return found


def read_cap(text: str) -> tuple[tuple[float, int], ...]:
    """A cap, or one that moves: ``48`` or ``48,16@60,96@120`` (``cap@seconds`` since the first request).

    Raises:
        UsageError: It cannot be read.
    """
    found: list[tuple[float, int]] = []
    for part in text.split(","):
        cap, _, since = part.strip().partition("@")
        try:
            found.append((float(since or 0), int(cap)))
        except ValueError:
            found.append((math.nan, 0))
        if not math.isfinite(found[-1][0]):
            raise UsageError(f"{part!r} is no cap", hint="Write 48, or 48,16@60 for 16 after 60 s.")
    if any(cap < 1 for _, cap in found):
        raise UsageError(f"a cap of {min(cap for _, cap in found)} lets nothing in", hint="Give at least 1.")
    if any(since < 0 for since, _ in found):
        raise UsageError("a cap cannot begin before the first request", hint="Give seconds from 0 on.")
    return tuple(sorted(found))
