"""How many LLM tokens to set aside for an attempt: its estimate, and room for what estimates miss."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from toolflow.llm.chat import Request, Usage

_KEPT: Final = 256
"""Ratios that are remembered of each kind of call; the last 1 % of them is two or three."""
_ENOUGH: Final = 64
"""Ratios from which on a quantile says more than the first guess."""
_SHARE: Final = 0.99
_MARGIN: Final = 1.25
_FIRST_PROMPT: Final = 1.5
_FIRST_COMPLETION: Final = 4.0


class Headroom:
    """Learns, per model and role, by how much actual usage passes its estimate.

    A prompt is reserved with its estimate times a factor. A completion is reserved with ``max_tokens`` where
    the request sets it, for the endpoint keeps to that, and else likewise. The factor is 1.5 for prompts and
    4 for completions, or 1.25 times the largest ratio of usage to estimate so far if that is more; after 64
    calls it is 1.25 times the 99th percentile of the last 256 ratios, and never less than 1. These constants
    are choices, not measured: the first ones are wide on purpose, since a reservation that is too large waits
    and one that is too small overshoots.
    """

    def __init__(self) -> None:
        self._ratios: dict[tuple[str, str], tuple[_Ratios, _Ratios]] = {}

    def size(self, request: Request, estimate: Usage) -> Usage:
        """LLM tokens to reserve for one attempt of the request."""
        prompts, completions = self._of(request)
        most = request.sampling.max_tokens
        return Usage(
            math.ceil(max(estimate.prompt, 1) * prompts.factor),
            math.ceil(max(estimate.completion, 1) * completions.factor) if most is None else most,
        )

    def learn(self, request: Request, estimate: Usage, usage: Usage) -> None:
        """Take in what an attempt used."""
        prompts, completions = self._of(request)
        prompts.add(usage.prompt / max(estimate.prompt, 1))
        if request.sampling.max_tokens is None:
            completions.add(usage.completion / max(estimate.completion, 1))

    def _of(self, request: Request) -> tuple[_Ratios, _Ratios]:
        kind = request.model, request.key.role
        found = self._ratios.get(kind)
        if found is None:
            found = self._ratios[kind] = _Ratios(_FIRST_PROMPT), _Ratios(_FIRST_COMPLETION)
        return found


class _Ratios:
    __slots__ = ("_last", "_seen", "factor")

    def __init__(self, first: float) -> None:
        self.factor = first
        self._last: deque[float] = deque(maxlen=_KEPT)
        self._seen = 0

    def add(self, ratio: float) -> None:
        self._last.append(ratio)
        self._seen += 1
        if self._seen < _ENOUGH:
            self.factor = max(self.factor, ratio * _MARGIN)
        elif self._seen % _ENOUGH == 0:  # Sorting is dear, and a quantile moves slowly.
            ordered = sorted(self._last)
            self.factor = max(1.0, ordered[math.ceil(_SHARE * len(ordered)) - 1] * _MARGIN)
