"""An endpoint and its callers in virtual time: events on a heap, and a controller that is told.

Callers send one attempt after the other; refused and failed ones pause for up to a second and return.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Literal

from toolflow.errors import LLMError, RateLimitedError, ServerFailedError
from toolflow.llm.concurrency.adaptive import AdaptiveConcurrency
from toolflow.llm.concurrency.limit import Concurrency, Ended
from toolflow.llm.outcome import Outcome

Latency = Callable[[int, float, Random], float]
"""Seconds of an attempt by the number that the server works on, itself included, and by the time."""

_REFUSAL = 0.002


@dataclass(frozen=True, slots=True)
class Run:
    """How a simulated run went."""

    answered: int
    seconds: float
    attempts: int
    refused: int
    answered_at: tuple[float, ...]

    @property
    def pace(self) -> float:
        return self.answered / self.seconds

    def between(self, begin: float, end: float) -> float:
        """Answers a second in a part of the run."""
        return sum(begin <= at < end for at in self.answered_at) / (end - begin)


@dataclass(order=True, frozen=True, slots=True)
class _Event:
    at: float
    number: int
    kind: Literal["served", "answered", "refused", "failed", "back"]
    began: float = 0.0
    in_flight: int = 0
    place: int = 0
    role: str = "user"


def simulate_endpoint(
    calls: int,
    *,
    latency: Latency,
    cap: Callable[[float], int] = lambda _: 1_000_000,
    failing: float = 0.0,
    failing_after: float = 0.1,
    roles: Mapping[str, float] = MappingProxyType({"user": 1.0}),
    callers: int = 400,
    network: float = 0.0,
    seconds: float = float("inf"),
    concurrency: Concurrency | None = None,
    seed: int = 0,
) -> Run:
    """Play until all calls are answered or the time is over.

    Args:
        calls: How many there are.
        latency: Of an attempt of the plainest role.
        cap: Most that the server works on, by the time; it refuses the others.
        failing: Share of attempts that fail.
        failing_after: Seconds until they do.
        roles: How many times the latency each role's attempts take; they are drawn evenly.
        network: Seconds that an answer is on its way.
        callers: Most calls that wait or are in flight.
        seconds: When to stop.
        concurrency: What holds the limit; an adaptive one if None.
        seed: Of all that is drawn.
    """
    names = list(roles)
    random = Random(seed)
    controller = concurrency or AdaptiveConcurrency()
    now = 0.0
    events: list[_Event] = []
    waiting = min(callers, calls)
    left = calls - waiting
    in_flight = served = attempts = refused = number = 0
    answered_at: list[float] = []

    def send() -> None:
        nonlocal waiting, in_flight, served, attempts, number
        while waiting and in_flight < controller.limit:
            waiting, in_flight, attempts, number = waiting - 1, in_flight + 1, attempts + 1, number + 1
            if served >= cap(now):
                heapq.heappush(events, _Event(now + _REFUSAL, number, "refused", now, in_flight, attempts))
                continue
            served += 1
            fails = random.random() < failing
            role = random.choice(names)
            pause = failing_after if fails else roles[role] * latency(served, now, random)
            kind: Literal["failed", "answered"] = "failed" if fails else "answered"
            heapq.heappush(events, _Event(now + pause, number, "served"))
            number += 1
            heapq.heappush(
                events, _Event(now + pause + network, number, kind, now, in_flight, attempts, role)
            )

    send()
    while events and now < seconds:
        event = heapq.heappop(events)
        now = event.at
        if event.kind == "back":
            waiting += 1
            send()
            continue
        if event.kind == "served":
            served -= 1
            continue
        saturated = waiting > 0 or in_flight >= controller.limit
        in_flight -= 1
        error: LLMError | None = None
        if event.kind == "refused":
            refused += 1
            error = RateLimitedError("429")
        else:
            error = ServerFailedError("500") if event.kind == "failed" else None
        if error is None:
            answered_at.append(now)
            if left:
                left, waiting = left - 1, waiting + 1
        else:
            number += 1
            heapq.heappush(events, _Event(now + random.uniform(0.5, 1.0), number, "back"))
        outcome = Outcome(now - event.began, error=error)
        controller.settled(
            Ended(
                outcome,
                event.role,
                event.began,
                event.place,
                attempts,
                event.in_flight,
                in_flight,
                saturated,
            ),
            now,
        )
        send()
    return Run(len(answered_at), now, attempts, refused, tuple(answered_at))
