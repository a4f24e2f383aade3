"""An endpoint and its callers in virtual time: events on a heap, and a controller that is told.

Callers send one attempt after the other; refused and failed ones pause for up to a second and return.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

from toolflow.errors import LLMError, RateLimitedError, ServerFailedError
from toolflow.llm.concurrency import AdaptiveConcurrency, Concurrency
from toolflow.llm.outcome import Outcome

Latency = Callable[[int, Random], float]
"""Seconds of an attempt by the number that the server works on, itself included."""

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


@dataclass(order=True, frozen=True, slots=True)
class _Event:
    at: float
    number: int
    kind: Literal["answered", "refused", "failed", "back"]
    began: float = 0.0
    in_flight: int = 0


def simulate_endpoint(
    calls: int,
    *,
    latency: Latency,
    cap: Callable[[float], int] = lambda _: 1_000_000,
    failing: float = 0.0,
    callers: int = 400,
    seconds: float = float("inf"),
    concurrency: Concurrency | None = None,
    seed: int = 0,
) -> Run:
    """Play until all calls are answered or the time is over."""
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
                heapq.heappush(events, _Event(now + _REFUSAL, number, "refused", now, in_flight))
                continue
            served += 1
            fails = random.random() < failing
            pause = 0.1 if fails else latency(served, random)
            heapq.heappush(
                events, _Event(now + pause, number, "failed" if fails else "answered", now, in_flight)
            )

    send()
    while events and now < seconds:
        event = heapq.heappop(events)
        now = event.at
        if event.kind == "back":
            waiting += 1
            send()
            continue
        saturated = waiting > 0 or in_flight >= controller.limit
        in_flight -= 1
        error: LLMError | None = None
        if event.kind == "refused":
            refused += 1
            error = RateLimitedError("429")
        else:
            served -= 1
            error = ServerFailedError("500") if event.kind == "failed" else None
        if error is None:
            answered_at.append(now)
            if left:
                left, waiting = left - 1, waiting + 1
        else:
            number += 1
            heapq.heappush(events, _Event(now + random.uniform(0.5, 1.0), number, "back"))
        controller.settled(
            Outcome(now - event.began, error=error),
            began=event.began,
            in_flight=event.in_flight,
            saturated=saturated,
            now=now,
        )
        send()
    return Run(len(answered_at), now, attempts, refused, tuple(answered_at))
