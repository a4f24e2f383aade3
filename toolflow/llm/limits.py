"""The rate limits of a quota group: what we are told to keep, and what answers report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LimitKind = Literal["requests", "tokens", "input_tokens", "output_tokens"]


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
    """

    kind: LimitKind
    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
