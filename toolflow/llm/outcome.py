"""How one attempt ended: what everything that decides about attempts is told."""

from __future__ import annotations

from dataclasses import dataclass

from toolflow.errors import LLMError
from toolflow.llm.chat import Usage
from toolflow.llm.quota.limits import ReportedLimit


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended.

    Attributes:
        seconds: From the permit to the answer or the failure.
        usage: LLM tokens that the endpoint counted; zero where it did not say.
        error: None for a usable completion.
        limits: What the answer's headers told about the quota group.
    """

    seconds: float
    usage: Usage = Usage()
    error: LLMError | None = None
    limits: tuple[ReportedLimit, ...] = ()
