"""The rules of a concurrency limit, one at a time."""

from __future__ import annotations

import pytest

from toolflow.errors import (
    ConnectionFailedError,
    LLMError,
    MalformedCompletionError,
    RateLimitedError,
    UsageError,
)
from toolflow.llm.concurrency.adaptive import AdaptiveConcurrency
from toolflow.llm.concurrency.limit import Concurrency, Ended, FixedConcurrency, LimitChange
from toolflow.llm.outcome import Outcome

REFUSED = RateLimitedError("429", retry_after=1000.0)


class Traffic:
    """Attempts of which there are always enough to fill the limit; they come back in the order they went."""

    def __init__(self, controller: Concurrency) -> None:
        self.controller = controller
        self.now = 0.0
        self.flying: list[tuple[int, float, int]] = []
        self.started = 0
        self.fill()

    def fill(self) -> None:
        while len(self.flying) < self.controller.limit:
            self.started += 1
            self.flying.append((self.started, self.now, len(self.flying) + 1))

    def end(self, seconds: float, error: LLMError | None = None, place: int = 0) -> None:
        number, began, in_flight = self.flying.pop(place)
        left = len(self.flying)
        ended = Ended(
            Outcome(seconds, error=error), "user", began, number, self.started, in_flight, left, True
        )
        self.controller.settled(ended, self.now)
        self.fill()

    def answer(self, count: int, seconds: float = 1.0, error: LLMError | None = None) -> None:
        for _ in range(count):
            self.now += seconds / max(1, len(self.flying))
            self.end(seconds, error)

    def refuse(self, place: int) -> None:
        self.now += 0.001
        self.end(0.01, REFUSED, place)


def test_a_fixed_limit_stays() -> None:
    controller = FixedConcurrency(8)
    traffic = Traffic(controller)
    traffic.refuse(7)
    traffic.answer(100)
    assert controller.limit == 8


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_lets_nothing_through_is_refused(limit: int) -> None:
    with pytest.raises(UsageError, match="lets no call through"):
        FixedConcurrency(limit)
    with pytest.raises(UsageError, match="lets no call through"):
        AdaptiveConcurrency(start=limit)


def test_it_doubles_while_more_brings_more() -> None:
    controller = AdaptiveConcurrency(start=16, most=1000)
    Traffic(controller).answer(400)
    changes = [(change.before, change.after) for change in controller.changes]
    assert changes[:3] == [(16, 32), (32, 64), (64, 128)]


def test_it_never_passes_the_most() -> None:
    controller = AdaptiveConcurrency(start=8, most=12)
    Traffic(controller).answer(200)
    assert controller.limit == 12
    assert max(change.after for change in controller.changes) == 12


def test_one_episode_of_429s_cuts_once_to_what_was_in_flight_beside() -> None:
    controller = AdaptiveConcurrency(start=64)
    traffic = Traffic(controller)
    for _ in range(16):
        traffic.refuse(48)
    assert controller.limit == 48
    assert [change.reason for change in controller.changes] == ["429 with 49 in flight"]
    assert traffic.started == 64


def test_nothing_goes_in_the_place_of_what_was_refused_with_the_first() -> None:
    """All came back at once, went again, and met a lower cap."""
    controller = AdaptiveConcurrency(start=48)
    traffic = Traffic(controller)
    traffic.answer(47)
    started = traffic.started
    limit = controller.limit
    traffic.flying = [(number, began, limit) for number, began, _ in traffic.flying]
    while len(traffic.flying) > 16:
        traffic.refuse(16)
    assert controller.limit == 16
    assert traffic.started == started
    assert [change.reason for change in controller.changes][-1].startswith("429")


def test_refusals_soon_after_a_cut_cut_ever_more_but_not_to_nothing() -> None:
    controller = AdaptiveConcurrency(start=48)
    traffic = Traffic(controller)
    limits = []
    for _ in range(5):
        traffic.refuse(len(traffic.flying) - 1)
        traffic.now += 0.01
        traffic.end(1.0)
        limits.append(controller.limit)
    assert limits[:3] == [47, 46, 44]
    assert 0.7**3 * 44 < limits[-1] < 41


def test_a_long_retry_after_does_not_keep_the_limit_down() -> None:
    controller = AdaptiveConcurrency(start=8, most=100)
    traffic = Traffic(controller)
    traffic.refuse(7)
    assert controller.limit == 7
    traffic.answer(300)
    assert controller.limit > 8


def test_network_failures_cut_nothing_and_measure_nothing() -> None:
    controller = AdaptiveConcurrency(start=16)
    Traffic(controller).answer(200, error=ConnectionFailedError("reset"))
    assert controller.limit == 16
    assert not controller.changes


def test_a_malformed_completion_is_an_answer() -> None:
    controller = AdaptiveConcurrency(start=16, most=100)
    Traffic(controller).answer(60, error=MalformedCompletionError("empty"))
    assert controller.limit >= 32


def test_where_throughput_stops_rising_it_goes_back_and_says_why() -> None:
    controller = AdaptiveConcurrency(start=32)
    traffic = Traffic(controller)
    for _ in range(400):
        served = len(traffic.flying)
        traffic.answer(1, seconds=max(1.0, (served / 32) ** 2))
    assert controller.limit < 45
    assert any("throughput" in change.reason for change in controller.changes)


def test_a_straggler_does_not_hold_up_what_the_others_tell() -> None:
    controller = AdaptiveConcurrency(start=16, most=64)
    traffic = Traffic(controller)
    for _ in range(200):
        traffic.now += 1 / 16
        traffic.end(1.0, place=2)
    assert controller.limit > 16


def test_one_cause_in_many_steps_is_one_change() -> None:
    controller = AdaptiveConcurrency(start=48)
    traffic = Traffic(controller)
    traffic.flying = [(number, began, 48) for number, began, _ in traffic.flying]
    for _ in range(20):
        traffic.refuse(20)
    assert [(change.before, change.after) for change in controller.changes] == [(48, 28)]


def test_the_history_is_bounded() -> None:
    history = [LimitChange(float(step), 1, 2, "") for step in range(1000)]
    assert FixedConcurrency(1, history=history).changes == tuple(history[-64:])
