"""The pace that a quota keeps against servers of every kind, on a clock that only events move."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Protocol

import pytest

from toolflow.dialogue.message import Message
from toolflow.errors import RateLimitedError
from toolflow.llm.chat import CallKey, Request, Usage
from toolflow.llm.gate import Gate
from toolflow.llm.outcome import Outcome
from toolflow.llm.quota.limits import RateLimits, ReportedLimit
from toolflow.llm.quota.pacing import Pacing, Reservation
from toolflow.llm.quota.quota import Quota
from toolflow.runtime.testing import run_virtual

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
        self.most = (max(2.0, rpm / 60 * seconds), max(2_000.0, tpm / 60 * seconds))
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
        return max(
            (most - level) / rate
            for most, level, rate in zip(self.most, self.levels, self.rates, strict=True)
        )


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
    """Prompts of a few hundred to a few thousand LLM tokens, estimated a little high and now and then low."""
    random = Random(seed)
    while True:
        prompt, completion = int(random.lognormvariate(6.5, 0.6)), int(random.lognormvariate(5.5, 0.6))
        yield Usage(int(prompt * random.uniform(0.98, 1.15)), 450), Usage(prompt, completion)


class CappedServer(SlidingServer):
    """Has no rate limit, and refuses what is more than ``cap`` at a time."""

    def __init__(self, cap: int) -> None:
        super().__init__(0, 0)
        self.cap, self.held = cap, 0

    def arrive(self, prompt: int, now: float) -> bool:
        if self.held >= self.cap:
            return False
        self.held += 1
        return True

    def complete(self, completion: int, now: float) -> None:
        self.held -= 1


TOLD = RateLimits(RPM, TPM)
SERVERS: dict[str, Callable[[int, int], Server]] = {
    "sliding": SlidingServer,
    "fixed": FixedServer,
    "full bucket": BucketServer,
    "small bucket": lambda rpm, tpm: BucketServer(rpm, tpm, seconds=2.0),
}


@pytest.fixture(params=SERVERS)
def server_of(request: pytest.FixtureRequest) -> Callable[[int, int], Server]:
    return SERVERS[request.param]


@pytest.mark.parametrize("reports", [None, TOLD], ids=["silent", "with headers"])
@pytest.mark.parametrize("seconds", [60.0, 150.0])
def test_told_limits_are_used_up_without_a_refusal(
    server_of: Callable[[int, int], Server], reports: RateLimits | None, seconds: float
) -> None:
    drive = Drive(Pacing(TOLD), server_of(RPM, TPM), small(), seconds=seconds, reports=reports).run()
    assert drive.refused == []
    assert 0.98 <= drive.pace() <= 1.01


def test_told_token_limits_are_used_up_without_a_refusal(server_of: Callable[[int, int], Server]) -> None:
    drive = Drive(Pacing(TOLD), server_of(RPM, TPM), large(), seconds=300.0).run()
    assert drive.refused == []
    assert 0.98 <= drive.token_pace() <= 1.01


@pytest.mark.parametrize("limits", [RateLimits(7), RateLimits(60), RateLimits(requests=500, tokens=20_000)])
def test_small_limits_are_kept_too(server_of: Callable[[int, int], Server], limits: RateLimits) -> None:
    rpm, tpm = limits.requests or 0, limits.tokens or TPM
    drive = Drive(Pacing(limits), server_of(rpm, tpm), small(), seconds=600.0).run()
    assert drive.refused == []
    possible = min(rpm, tpm / 100) * 10
    assert len(drive.accepted) >= 0.97 * possible


@pytest.mark.parametrize("sizes", [small, large])
def test_limits_are_learned_from_headers_alone(
    server_of: Callable[[int, int], Server], sizes: Callable[[], Iterator[tuple[Usage, Usage]]]
) -> None:
    drive = Drive(Pacing(), server_of(RPM, TPM), sizes(), seconds=240.0, most_in_flight=200, reports=TOLD)
    drive.run()
    assert drive.pacing.limits == TOLD
    assert max(drive.pace(62.0), drive.token_pace(62.0)) >= 0.95
    # A bucket of two seconds is emptied before its first answer can say anything.
    assert [moment for moment in drive.refused if moment > 62.0] == []
    if not isinstance(drive.server, BucketServer) or drive.server.most[0] == RPM:
        assert drive.refused == []


def test_what_others_use_is_left_to_them(server_of: Callable[[int, int], Server]) -> None:
    """Somebody else takes 40 %: with the servers' word most of the rest is used, and few are refused."""
    drive = Drive(Pacing(TOLD), server_of(RPM, TPM), small(), seconds=240.0, reports=TOLD, others=1_200).run()
    assert drive.pacing.limits == TOLD
    assert drive.pace(62.0) >= 0.55
    assert len(drive.refused) <= 0.1 * len(drive.accepted)


def test_a_rate_that_nobody_tells_is_inferred_from_refusals() -> None:
    drive = Drive(Pacing(), SlidingServer(600, TPM), small(), seconds=900.0, most_in_flight=30).run()
    assert [(it.kind, it.source) for it in drive.pacing.in_force] == [("requests", "inferred")]
    late = [moment for moment, _ in drive.accepted if moment >= 300.0]
    assert len(late) >= 0.85 * 600 * 10
    assert len([moment for moment in drive.refused if moment >= 300.0]) <= 0.3 * len(late)


def test_a_told_limit_that_is_too_high_is_lowered_by_refusals(
    server_of: Callable[[int, int], Server],
) -> None:
    drive = Drive(Pacing(RateLimits(1_200)), server_of(600, TPM), small(), seconds=600.0).run()
    assert sum(moment >= 300.0 for moment, _ in drive.accepted) >= 0.85 * 600 * 5
    assert sum(moment >= 300.0 for moment in drive.refused) <= 0.05 * 600 * 5


def test_refusals_for_too_many_in_flight_hold_nobody_and_teach_no_rate() -> None:
    drive = Drive(Pacing(), CappedServer(48), small(), seconds=40.0, most_in_flight=200).run()
    assert len(drive.refused) > 500
    assert drive.pacing.in_force == ()
    assert drive.pacing.wait(Usage(), drive.now) == 0.0


def test_a_gate_keeps_the_pace_in_the_order_of_its_queue() -> None:
    server = SlidingServer(600, TPM)
    sent: list[int] = []

    async def play() -> float:
        loop = asyncio.get_running_loop()
        gate = Gate(100, quota=Quota(RateLimits(600)), clock=loop.time)

        async def call(number: int) -> None:
            request = Request(CallKey(number, "user", 0), "m", (Message("user", "hello"),))
            async with gate.permit(request) as lease:
                sent.append(number)
                assert server.arrive(10, loop.time())
                await asyncio.sleep(1.0)
                lease.settle(Outcome(1.0, Usage(10, 10)))

        async with asyncio.TaskGroup() as group:
            for number in range(1_500):
                group.create_task(call(number))
        return loop.time()

    seconds = run_virtual(play())
    assert sent == list(range(1_500))
    assert 1_500 / (10 * seconds) >= 0.98
