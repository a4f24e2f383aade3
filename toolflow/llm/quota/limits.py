"""The rate limits of a quota group: what we are told to keep, what answers report, and what is in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LimitKind = Literal["requests", "tokens", "input_tokens", "output_tokens"]

LimitSource = Literal["told", "reported", "inferred"]
"""Who says so: the user, the headers of answers, or refusals (429) that no known limit explains."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What a quota group allows in a minute. None: no such limit is known.

    Attributes:
        requests: Attempts.
        tokens: LLM tokens, prompt and completion together.
        input_tokens: LLM tokens of prompts.
        output_tokens: LLM tokens of completions.
    """

    requests: int | None = None
    tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ReportedLimit:
    """What an answer's headers say about one limit. None: they do not say.

    Attributes:
        kind: What is limited.
        limit: Most in a window.
        remaining: What is left of it now.
        reset: Seconds until all of it is there again.
        window: Seconds of the window, where the headers name it.
    """

    kind: LimitKind
    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
    window: float | None = None


@dataclass(frozen=True, slots=True)
class LimitInForce:
    """A limit that is kept, and why.

    Attributes:
        kind: What is limited.
        limit: Most in a window.
        window: Seconds.
        source: Who says so.
    """

    kind: LimitKind
    limit: int
    window: float
    source: LimitSource
