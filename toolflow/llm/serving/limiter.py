"""The rate limits of a server: counted in a sliding minute, a bucket, or minutes of the clock."""

from __future__ import annotations

from collections import deque
from typing import Final, Literal, NamedTuple, Protocol

WindowKind = Literal["sliding", "bucket", "fixed"]

MINUTE: Final = 60.0


class LimitState(NamedTuple):
    """How far a limit is used up.

    Attributes:
        name: What is limited.
        limit: Most a minute.
        remaining: What is left.
        whole_in: Seconds until all of it is there again.
    """

    name: str
    limit: int
    remaining: int
    whole_in: float


class Charge:
    """Something that was counted.

    Attributes:
        at: When.
        amount: How much.
    """

    __slots__ = ("amount", "at")

    def __init__(self, at: float, amount: float) -> None:
        self.at = at
        self.amount = amount


class Counter(Protocol):
    """Counts one kind of thing against a limit a minute."""

    limit: int

    def used(self, now: float) -> float:
        """How much of the limit is used up now."""
        ...

    def add(self, amount: float, now: float) -> Charge:
        """Use up some."""
        ...

    def correct(self, charge: Charge, amount: float, now: float) -> None:
        """Use up so much more with a charge, or less; it is forgotten together with it."""
        ...

    def until(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` fits."""
        ...

    def until_whole(self, now: float) -> float:
        """Seconds until nothing is used up."""
        ...


class SlidingCounter:
    """Whatever was counted in the last 60 seconds."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._charges: deque[Charge] = deque()
        self._sum = 0.0

    def used(self, now: float) -> float:
        while self._charges and self._charges[0].at <= now - MINUTE:
            self._sum -= self._charges.popleft().amount
        return self._sum

    def add(self, amount: float, now: float) -> Charge:
        charge = Charge(now, amount)
        self._charges.append(charge)
        self._sum += amount
        return charge

    def correct(self, charge: Charge, amount: float, now: float) -> None:
        self.used(now)
        if charge.at > now - MINUTE:
            charge.amount += amount
            self._sum += amount

    def until(self, amount: float, now: float) -> float:
        excess = self.used(now) + amount - self.limit
        for charge in self._charges:
            if excess <= 0:
                break
            excess -= charge.amount
            if excess <= 0:
                return charge.at + MINUTE - now
        return 0.0 if excess <= 0 else MINUTE

    def until_whole(self, now: float) -> float:
        return self._charges[-1].at + MINUTE - now if self.used(now) > 0 else 0.0


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

    def add(self, amount: float, now: float) -> Charge:
        self._level = min(self._size, self._refilled(now) - amount)
        return Charge(now, amount)

    def correct(self, charge: Charge, amount: float, now: float) -> None:  # noqa: ARG002
        self._level = min(self._size, self._refilled(now) - amount)

    def until(self, amount: float, now: float) -> float:
        lacking = min(amount, self._size) - self._refilled(now)
        return max(0.0, lacking * MINUTE / self.limit)

    def until_whole(self, now: float) -> float:
        return self.until(self._size, now)


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

    def add(self, amount: float, now: float) -> Charge:
        self._sum = self.used(now) + amount
        return Charge(now, amount)

    def correct(self, charge: Charge, amount: float, now: float) -> None:
        used = self.used(now)
        if charge.at // MINUTE == now // MINUTE:
            self._sum = used + amount

    def until(self, amount: float, now: float) -> float:
        return 0.0 if self.used(now) + amount <= self.limit else MINUTE - now % MINUTE

    def until_whole(self, now: float) -> float:
        return MINUTE - now % MINUTE if self.used(now) > 0 else 0.0


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

    def enter(self, prompt: int, now: float) -> dict[str, Charge] | float:
        """Count a request with a prompt of so many LLM tokens.

        Returns:
            What was charged, by limit, if it was let in; else seconds until it would be.
        """
        pauses = [
            counter.until(self._cost(name, prompt), now)
            for name, counter in self._counters.items()
            if counter.used(now) + self._cost(name, prompt) > counter.limit
        ]
        if pauses:
            return max(*pauses, 0.001)
        return {
            name: counter.add(self._cost(name, prompt), now)
            for name, counter in self._counters.items()
            if name != "output-tokens"
        }

    def leave(
        self, charges: dict[str, Charge], counted: int, prompt: int, completion: int, now: float
    ) -> None:
        """Correct what was counted of the prompt at entry, and count the completion."""
        for name, counter in self._counters.items():
            if name in {"tokens", "input-tokens"} and prompt != counted:
                counter.correct(charges[name], prompt - counted, now)
            if name in {"tokens", "output-tokens"} and completion:
                counter.add(completion, now)

    def state(self, now: float) -> list[LimitState]:
        """How far the limits are used up."""
        return [
            LimitState(
                name,
                counter.limit,
                max(0, int(counter.limit - counter.used(now))),
                counter.until_whole(now),
            )
            for name, counter in self._counters.items()
        ]

    @staticmethod
    def _cost(name: str, prompt: int) -> int:
        return 1 if name == "requests" else 0 if name == "output-tokens" else prompt
