"""The rate limits of a server: counted in a sliding minute, a bucket, or minutes of the clock."""

from __future__ import annotations

from collections import deque
from typing import Final, Literal, Protocol

WindowKind = Literal["sliding", "bucket", "fixed"]

MINUTE: Final = 60.0


class Counter(Protocol):
    """Counts one kind of thing against a limit a minute."""

    limit: int

    def used(self, now: float) -> float:
        """How much of the limit is used up now."""
        ...

    def add(self, amount: float, now: float) -> None:
        """Use up some, or give some back where it is below zero."""
        ...

    def until(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` fits; for all of the limit, until it is whole again."""
        ...


class SlidingCounter:
    """Whatever was counted in the last 60 seconds."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._entries: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def used(self, now: float) -> float:
        while self._entries and self._entries[0][0] <= now - MINUTE:
            self._sum -= self._entries.popleft()[1]
        return self._sum

    def add(self, amount: float, now: float) -> None:
        self._entries.append((now, amount))
        self._sum += amount

    def until(self, amount: float, now: float) -> float:
        excess = self.used(now) + amount - self.limit
        for at, counted in self._entries:
            if excess <= 0:
                break
            excess -= counted
            if excess <= 0:
                return at + MINUTE - now
        return 0.0 if excess <= 0 else MINUTE


class BucketCounter:
    """A bucket that holds ``burst``, full at first, and refills evenly with the limit a minute."""

    def __init__(self, limit: int, burst: int | None = None) -> None:
        self.limit = limit
        self._size = float(limit if burst is None else burst)
        self._level = self._size
        self._at = 0.0

    def _refilled(self, now: float) -> float:
        self._level = min(self._size, self._level + max(0.0, now - self._at) * self.limit / MINUTE)
        self._at = now
        return self._level

    def used(self, now: float) -> float:
        # What is not in the bucket counts as used, so that a small bucket refuses early.
        return self.limit - self._refilled(now)

    def add(self, amount: float, now: float) -> None:
        self._level = min(self._size, self._refilled(now) - amount)

    def until(self, amount: float, now: float) -> float:
        lacking = min(amount, self._size) - self._refilled(now)
        return max(0.0, lacking * MINUTE / self.limit)


class FixedCounter:
    """Whatever was counted since the minute began."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._minute = 0
        self._sum = 0.0

    def used(self, now: float) -> float:
        minute = int(now // MINUTE)
        if minute != self._minute:
            self._minute, self._sum = minute, 0.0
        return self._sum

    def add(self, amount: float, now: float) -> None:
        self._sum = self.used(now) + amount

    def until(self, amount: float, now: float) -> float:
        return 0.0 if self.used(now) + amount <= self.limit else MINUTE - now % MINUTE


def make_counter(kind: WindowKind, limit: int, burst: int | None = None) -> Counter:
    """A counter of a kind; only a bucket has a burst."""
    if kind == "sliding":
        return SlidingCounter(limit)
    return BucketCounter(limit, burst) if kind == "bucket" else FixedCounter(limit)


class Limiter:
    """The limits of a server: requests, and LLM tokens in all, of prompts and of completions.

    A request is let in if each limit has room for it; its prompt is counted then, its completion when it
    ends. What is refused is not counted.

    Args:
        limits: By name (``requests``, ``tokens``, ``input-tokens``, ``output-tokens``), a minute.
        kind: How they are counted.
        burst: Size of the request bucket; the limit itself if None.
    """

    def __init__(self, limits: dict[str, int], kind: WindowKind, burst: int | None = None) -> None:
        self._counters = {
            name: make_counter(kind, limit, burst if name == "requests" else None)
            for name, limit in limits.items()
        }

    def enter(self, prompt: int, now: float) -> float:
        """Count a request with a prompt of so many LLM tokens.

        Returns:
            0.0 if it was let in; else seconds until it would be.
        """
        pauses = [
            counter.until(self._cost(name, prompt), now)
            for name, counter in self._counters.items()
            if counter.used(now) + self._cost(name, prompt) > counter.limit
        ]
        if pauses:
            return max(*pauses, 0.001)
        for name, counter in self._counters.items():
            cost = self._cost(name, prompt)
            if cost:
                counter.add(cost, now)
        return 0.0

    def leave(self, counted_prompt: int, prompt: int, completion: int, now: float) -> None:
        """Correct what was counted at entry by what it turned out to be."""
        for name, counter in self._counters.items():
            more = {
                "tokens": prompt - counted_prompt + completion,
                "input-tokens": prompt - counted_prompt,
                "output-tokens": completion,
            }.get(name, 0)
            if more:
                counter.add(more, now)

    def headers(self, now: float) -> dict[str, str]:
        """The state of the limits as ``x-ratelimit-*`` headers."""
        found: dict[str, str] = {}
        for name, counter in self._counters.items():
            found[f"x-ratelimit-limit-{name}"] = str(counter.limit)
            found[f"x-ratelimit-remaining-{name}"] = str(max(0, int(counter.limit - counter.used(now))))
            found[f"x-ratelimit-reset-{name}"] = duration(counter.until(counter.limit, now))
        return found

    @staticmethod
    def _cost(name: str, prompt: int) -> int:
        return 1 if name == "requests" else 0 if name == "output-tokens" else prompt


def duration(seconds: float) -> str:
    """Seconds as OpenAI writes them: ``20ms``, ``1.5s``, ``6m0s``."""
    if seconds < 1:
        return f"{int(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:.3g}s" if minutes else f"{rest:.3g}s"
