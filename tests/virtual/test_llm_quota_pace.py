"""The pace that a quota keeps against servers of every kind, on a clock that only events move."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Protocol

from toolflow.errors import RateLimitedError
from toolflow.llm.chat import Usage
from toolflow.llm.limits import RateLimits, ReportedLimit
from toolflow.llm.outcome import Outcome
from toolflow.llm.pacing import Pacing, Reservation

RPM, TPM = 3_000, 600_000


class Server(Protocol):
    """Counts requests and LLM tokens: prompts on arrival, completions when they are complete."""

    def arrive(self, prompt: int, now: float) -> bool: ...

    def complete(self, completion: int, now: float) -> None: ...

    def remaining(self, now: float) -> tuple[int, int]: ...

    def reset(self, now: float) -> float: ...


class SlidingServer:
    """Allows so much in any 60 s."""

    def __init__(self, rpm: int, tpm: int) -> None:
        self.rpm, self.tpm = rpm, tpm
        self.arrived: deque[float] = deque()
        self.charged: deque[tuple[float, int]] = deque()
        self.tokens = 0

    def _forget(self, now: float) -> None:
        while self.arrived and self.arrived[0] <= now - 60:
            self.arrived.popleft()
        while self.charged and self.charged[0][0] <= now - 60:
            self.tokens -= self.charged.popleft()[1]

    def arrive(self, prompt: int, now: float) -> bool:
        self._forget(now)
        if len(self.arrived) >= self.rpm or self.tokens + prompt > self.tpm:
            return False
        self.arrived.append(now)
        self.complete(prompt, now)
        return True

    def complete(self, completion: int, now: float) -> None:
        self.charged.append((now, completion))
        self.tokens += completion

    def remaining(self, now: float) -> tuple[int, int]:
        self._forget(now)
        return max(0, self.rpm - len(self.arrived)), max(0, self.tpm - self.tokens)

    def reset(self, now: float) -> float:
        return self.arrived[-1] + 60 - now if self.arrived else 0.0


class FixedServer(SlidingServer):
    """Allows so much in each minute of its own clock, which is ``phase`` seconds ahead."""

    def __init__(self, rpm: int, tpm: int, phase: float = 25.0) -> None:
        super().__init__(rpm, tpm)
        self.phase = phase
        self.minute = 0

    def _forget(self, now: float) -> None:
        minute = int((now + self.phase) // 60)
        if minute != self.minute:
            self.minute, self.tokens = minute, 0
            self.arrived.clear()
            self.charged.clear()

    def reset(self, now: float) -> float:
        return 60 - (now + self.phase) % 60


class BucketServer:
    """Buckets that refill evenly and hold ``seconds`` worth; full at first."""

    def __init__(self, rpm: int, tpm: int, seconds: float = 60.0) -> None:
        self.rates = (rpm / 60, tpm / 60)
        self.most = (rpm / 60 * seconds, tpm / 60 * seconds)
        self.levels = list(self.most)
        self.at = 0.0

    def _refill(self, now: float) -> None:
        for index in (0, 1):
            level = self.levels[index] + (now - self.at) * self.rates[index]
            self.levels[index] = min(self.most[index], level)
        self.at = now

    def arrive(self, prompt: int, now: float) -> bool:
        self._refill(now)
        if self.levels[0] < 1 or self.levels[1] < prompt:
            return False
        self.levels[0] -= 1
        self.levels[1] -= prompt
        return True

    def complete(self, completion: int, now: float) -> None:
        self._refill(now)
        self.levels[1] -= completion

    def remaining(self, now: float) -> tuple[int, int]:
        self._refill(now)
        return max(0, int(self.levels[0])), max(0, int(self.levels[1]))

    def reset(self, now: float) -> float:
        self._refill(now)
        return max((most - level) / rate for most, level, rate in zip(self.most, self.levels, self.rates))


@dataclass
class Drive:
    """Sends requests for a while, as many as the quota and ``most_in_flight`` let.

    Attributes:
        reports: Whether answers say what is left.
        jitter: Longest way to the server, in seconds; the shortest takes no time.
        retry_after: What a refusal asks to wait.
        others: Requests a minute of somebody else on the same account.
    """

    pacing: Pacing
    server: Server
    sizes: Iterator[tuple[Usage, Usage]]
    seconds: float = 180.0
    most_in_flight: int = 1_000
    reports: RateLimits | None = None
    jitter: float = 0.3
    latency: float = 2.0
    retry_after: float | None = 1.0
    others: int = 0
    accepted: list[tuple[float, int]] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    in_flight: int = 0

    def __post_init__(self) -> None:
        self.random = Random(7)
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.tickets = count()
        self.waiting: deque[tuple[Usage, Usage]] = deque()
        self.now = 0.0
        self.woken_at = float("inf")

    def at(self, time: float, event: Callable[[], None]) -> None:
        heapq.heappush(self.events, (time, next(self.tickets), event))

    def run(self) -> Drive:
        self.at(0.0, self.pump)
        if self.others:
            self.at(0.0, self.somebody_else)
        while self.events:
            self.now, _, event = heapq.heappop(self.events)
            event()
        return self

    def somebody_else(self) -> None:
        self.server.arrive(0, self.now)
        if self.now < self.seconds:
            self.at(self.now + 60 / self.others, self.somebody_else)

    def pump(self) -> None:
        if self.now >= self.woken_at:
            self.woken_at = float("inf")
        while self.now < self.seconds and self.in_flight < self.most_in_flight:
            if not self.waiting:
                self.waiting.append(next(self.sizes))
            estimate, actual = self.waiting[0]
            pause = self.pacing.wait(estimate, self.now)
            if pause > 0:
                if self.now + pause < self.woken_at:
                    self.woken_at = self.now + pause
                    self.at(self.woken_at, self.pump)
                return
            self.waiting.popleft()
            self.send(estimate, actual)

    def send(self, estimate: Usage, actual: Usage) -> None:
        self.in_flight += 1
        reservation = self.pacing.reserve(estimate, self.now)
        way = self.random.uniform(0.0, self.jitter)
        self.at(self.now + way, lambda: self.arrive(reservation, estimate, actual))

    def arrive(self, reservation: Reservation, estimate: Usage, actual: Usage) -> None:
        began = self.now
        if self.server.arrive(actual.prompt, began):
            self.accepted.append((began, actual.prompt + actual.completion))
            taken = self.latency * self.random.lognormvariate(0.0, 0.5)
            self.at(began + taken, lambda: self.complete(reservation, actual))
            return
        self.refused.append(began)
        error = RateLimitedError("429", retry_after=self.retry_after)
        self.settle(reservation, Outcome(0.0, error=error))
        self.at(began + (self.retry_after or 1.0), lambda: self.again(estimate, actual))

    def again(self, estimate: Usage, actual: Usage) -> None:
        self.waiting.appendleft((estimate, actual))
        self.pump()

    def complete(self, reservation: Reservation, actual: Usage) -> None:
        self.server.complete(actual.completion, self.now)
        self.settle(reservation, Outcome(1.0, actual, limits=self.report()))

    def report(self) -> tuple[ReportedLimit, ...]:
        if self.reports is None:
            return ()
        requests, tokens = self.server.remaining(self.now)
        return (
            ReportedLimit("requests", self.reports.requests, requests, self.server.reset(self.now)),
            ReportedLimit("tokens", self.reports.tokens, tokens, self.server.reset(self.now)),
        )

    def settle(self, reservation: Reservation, outcome: Outcome) -> None:
        self.in_flight -= 1
        self.pacing.settle(reservation, outcome, self.now)
        self.pump()

    def pace(self, after: float = 0.0) -> float:
        """Requests accepted, as a share of the limit."""
        sent = sum(time >= after for time, _ in self.accepted)
        return sent / (RPM / 60 * (self.seconds - after))

    def token_pace(self, after: float = 0.0) -> float:
        sent = sum(tokens for time, tokens in self.accepted if time >= after)
        return sent / (TPM / 60 * (self.seconds - after))


def small(tokens: int = 100) -> Iterator[tuple[Usage, Usage]]:
    while True:
        yield Usage(tokens // 2, tokens // 2), Usage(tokens // 2, tokens // 2)


def large(seed: int = 3) -> Iterator[tuple[Usage, Usage]]:
    """Prompts of a few hundred to a few thousand LLM tokens, estimated some 10 % high and now and then low."""
    random = Random(seed)
    while True:
        prompt, completion = int(random.lognormvariate(6.5, 0.6)), int(random.lognormvariate(5.5, 0.6))
        yield Usage(int(prompt * random.uniform(0.98, 1.15)), 450), Usage(prompt, completion)
