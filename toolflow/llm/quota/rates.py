"""All rate limits of a quota group: what was told, what answers report, and how to keep both."""

from __future__ import annotations

from typing import Final

from toolflow.errors import UsageError
from toolflow.llm.chat import Usage
from toolflow.llm.quota.limits import LimitInForce, LimitKind, LimitSource, RateLimits, ReportedLimit
from toolflow.llm.quota.pace import Allowance, Pace
from toolflow.llm.quota.window import SLOTS_PER_SECOND, SlidingWindow

_LONGER_THAN_A_MINUTE: Final = 75.0
"""Nothing that is counted by the minute needs longer than 60 s to be full again; the rest is for clocks."""

_WINDOWS: Final = (3_600.0, 86_400.0)


Sent = tuple[int, int, int]
"""What had been sent at some moment, as estimated: requests, LLM tokens of prompts and of completions."""


class Rates:
    """Keeps what was told and learns the rest; of two limits of a kind the lower holds.

    A limit whose time until full is plainly longer than a minute is one of an hour or a day: it is not spread
    over its window, only kept.

    Args:
        told: What the user told.

    Attributes:
        requests: The pace of attempts; None where no limit is known.

    Raises:
        UsageError: A limit is less than one.
    """

    def __init__(self, told: RateLimits) -> None:
        self.requests: Pace | None = None
        self._tokens: Pace | None = None
        self._input: Pace | None = None
        self._output: Pace | None = None
        self._allowances: dict[LimitKind, Allowance] = {}
        self._requests_sent = SlidingWindow()
        self._sent: Sent = (0, 0, 0)
        self._told: dict[LimitKind, int] = {}
        limits: dict[LimitKind, int | None] = {
            "requests": told.requests,
            "tokens": told.tokens,
            "input_tokens": told.input_tokens,
            "output_tokens": told.output_tokens,
        }
        for kind, limit in limits.items():
            if limit is None:
                continue
            if limit < 1:
                raise UsageError(
                    f"a limit of {limit} {kind.replace('_', ' ')} a minute lets no call through",
                    hint="Give 1 or more, or leave it out.",
                )
            self._told[kind] = limit
            self.keep(kind, limit, "told", 0.0)

    @property
    def limits(self) -> RateLimits:
        """What is kept for a minute."""
        paces = {pace.kind: pace.limit for pace in self._paces()}
        return RateLimits(
            paces.get("requests"), paces.get("tokens"), paces.get("input_tokens"), paces.get("output_tokens")
        )

    @property
    def in_force(self) -> tuple[LimitInForce, ...]:
        """All that is kept."""
        minutes = [LimitInForce(pace.kind, pace.limit, 60.0, pace.source) for pace in self._paces()]
        longer = [
            LimitInForce(kind, it.limit, it.window, "reported") for kind, it in self._allowances.items()
        ]
        return (*minutes, *longer)

    def wait(self, cost: Usage, now: float) -> float:
        """Seconds until a request of that cost may fit; 0.0: it fits."""
        prompt, completion = cost.prompt, cost.completion
        pause = 0.0 if self.requests is None else self.requests.wait(1, 1, now)
        if self._tokens is not None:
            other = self._tokens.wait(prompt + completion, prompt, now)
            pause = other if other > pause else pause
        if self._input is not None:
            pause = max(pause, self._input.wait(prompt, prompt, now))
        if self._output is not None:
            pause = max(pause, self._output.wait(completion, 0, now))
        if self._allowances:
            for kind, allowance in self._allowances.items():
                pause = max(pause, allowance.wait(_amount(kind, 1, prompt, completion), now))
        return pause

    def reserve(self, cost: Usage, now: float) -> Sent:
        """Count a request of that cost; all that was sent, it included."""
        prompt, completion = cost.prompt, cost.completion
        if self.requests is not None:
            self.requests.reserve(1, 1, now)
        else:
            self._requests_sent.add(1, int(now * SLOTS_PER_SECOND))
        if self._tokens is not None:
            self._tokens.reserve(prompt + completion, prompt, now)
        if self._input is not None:
            self._input.reserve(prompt, prompt, now)
        if self._output is not None:
            self._output.reserve(completion, 0, now)
        if self._allowances:
            for kind, allowance in self._allowances.items():
                allowance.reserve(_amount(kind, 1, prompt, completion), now)
        requests, prompts, completions = self._sent
        sent = self._sent = (requests + 1, prompts + prompt, completions + completion)
        return sent

    def settle(self, cost: Usage, charged: Usage, sent: float, now: float) -> None:
        """Charge what a request cost that was sent at ``sent`` and counted as ``cost``."""
        prompt, completion = charged.prompt - cost.prompt, charged.completion - cost.completion
        if self._tokens is not None:
            self._tokens.correct(sent, prompt, completion, charged.completion, now)
        if self._input is not None:
            self._input.correct(sent, prompt, 0, 0, now)
        if self._output is not None:
            self._output.correct(sent, 0, completion, charged.completion, now)
        if self._allowances:
            for kind, allowance in self._allowances.items():
                allowance.correct(_amount(kind, 0, prompt, completion))

    def near(self, now: float) -> bool:
        """Whether any limit is nearly used up, so that a refusal (429) is likely its doing."""
        return any(pace.near(now) for pace in self._paces()) or any(
            allowance.near(now) for allowance in self._allowances.values()
        )

    def requests_in_window(self, now: float) -> int:
        """Attempts sent in the last minute."""
        self._requests_sent.advance(int(now * SLOTS_PER_SECOND))
        return self._requests_sent.total

    def keep(self, kind: LimitKind, limit: int, source: LimitSource, now: float) -> Pace:
        """Keep a limit from now on, or what the user told if that is lower."""
        told = self._told.get(kind)
        if told is not None and told <= limit:
            limit, source = told, "told"
        pace = self._pace(kind)
        if pace is not None:
            pace.change(limit, source)
            return pace
        pace = Pace(kind, limit, source, now, self._requests_sent if kind == "requests" else None)
        self._set_pace(kind, pace)
        return pace

    def learn(self, reported: ReportedLimit, sent: float, before: Sent, now: float) -> None:
        """Take over what an answer reports.

        Args:
            reported: What it says.
            sent: When its request was sent.
            before: What had been sent by then, it included.
            now: Monotonic seconds.
        """
        kind, limit, remaining = reported.kind, reported.limit, reported.remaining
        since = self._sent_since(kind, before)
        if limit is None or limit < 1:
            limit = None
        elif reported.window is not None and reported.window < 60.0:
            # So many a second: what is left of this second is old news.
            limit, remaining = max(1, int(limit * 60.0 / reported.window)), None
        elif self._is_longer(reported):
            self._learn_longer(reported, limit, since, now)
            return
        pace = self._pace(kind)
        if limit is not None and pace is None:
            pace = self.keep(kind, limit, "reported", now)
            # Of LLM tokens sent before nothing is known; all that the server counts is taken for a moment's.
            known = pace.used - since if kind == "requests" else 0
            others = 0 if remaining is None else max(0, limit - remaining - known)
            if reported.reset:
                # All is there again by then: of a bucket that holds less than a minute's worth, little is
                # gone.
                others = min(others, int(reported.reset * limit / 60.0) + 1)
            pace.count(others if kind == "requests" else others + since, now)
        elif limit is not None and pace is not None and limit != pace.limit:
            pace = self.keep(kind, limit, "reported", now)
        if pace is not None and remaining is not None:
            # What came back and what was sent since that request left are both not in the figure.
            pace.left(remaining + (now - sent) * pace.limit / 60.0 - since, now)

    def _is_longer(self, reported: ReportedLimit) -> bool:
        if reported.window is not None:
            return reported.window > _LONGER_THAN_A_MINUTE
        known = self._allowances.get(reported.kind)
        return (known is not None and known.limit == reported.limit) or (
            reported.reset is not None and reported.reset > _LONGER_THAN_A_MINUTE
        )

    def _learn_longer(self, reported: ReportedLimit, limit: int, since: int, now: float) -> None:
        kind, pace = reported.kind, self._pace(reported.kind)
        if pace is not None and pace.source == "reported" and pace.limit == limit:
            # It was taken for a minute's before.
            told = self._told.get(kind)
            if told is None:
                self._set_pace(kind, None)
            else:
                pace.change(told, "told")
                pace.left(None, now)
        known = self._allowances.get(kind)
        if known is None or known.limit != limit:
            known = self._allowances[kind] = Allowance(limit, _window_of(reported, limit), now)
        if reported.remaining is not None:
            known.left(reported.remaining - since, now)

    def _sent_since(self, kind: LimitKind, before: Sent) -> int:
        requests, prompt, completion = self._sent
        return _amount(kind, requests - before[0], prompt - before[1], completion - before[2])

    def _paces(self) -> list[Pace]:
        return [pace for pace in (self.requests, self._tokens, self._input, self._output) if pace is not None]

    def _pace(self, kind: LimitKind) -> Pace | None:
        if kind == "requests":
            return self.requests
        if kind == "tokens":
            return self._tokens
        return self._input if kind == "input_tokens" else self._output

    def _set_pace(self, kind: LimitKind, pace: Pace | None) -> None:
        if kind == "requests":
            self.requests = pace
        elif kind == "tokens":
            self._tokens = pace
        elif kind == "input_tokens":
            self._input = pace
        else:
            self._output = pace


def _amount(kind: LimitKind, requests: int, prompt: int, completion: int) -> int:
    if kind == "requests":
        return requests
    return (prompt if kind != "output_tokens" else 0) + (completion if kind != "input_tokens" else 0)


def _window_of(reported: ReportedLimit, limit: int) -> float:
    """Seconds of the window of a limit that is longer than a minute.

    Where it refills evenly, as Groq's does, the time until full tells: what was used comes back within it.
    """
    if reported.window is not None:
        return reported.window
    reset = reported.reset or _WINDOWS[0]
    used = max(1, limit - (reported.remaining or 0))
    guess = max(reset, reset * limit / used)
    return next((window for window in _WINDOWS if guess <= window * 1.1), guess)
