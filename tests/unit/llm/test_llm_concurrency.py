"""The rules of a concurrency limit, one at a time."""

from __future__ import annotations

import pytest

from toolflow.errors import ConnectionFailedError, MalformedCompletionError, RateLimitedError, UsageError
from toolflow.llm.adaptive import AdaptiveConcurrency
from toolflow.llm.concurrency import Concurrency, FixedConcurrency, LimitChange
from toolflow.llm.outcome import Outcome

REFUSED = Outcome(0.01, error=RateLimitedError("429", retry_after=1000.0))


def tell(controller: Concurrency, outcome: Outcome, *, at: float, began: float, in_flight: int) -> None:
    controller.settled(outcome, began=began, in_flight=in_flight, saturated=True, now=at)


def answer(controller: Concurrency, count: int, *, began: float, seconds: float = 1.0) -> None:
    for _ in range(count):
        tell(controller, Outcome(seconds), at=began + seconds, began=began, in_flight=controller.limit)


def test_a_fixed_limit_stays() -> None:
    controller = FixedConcurrency(8)
    tell(controller, REFUSED, at=1.0, began=0.0, in_flight=8)
    assert controller.limit == 8


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_lets_nothing_through_is_refused(limit: int) -> None:
    with pytest.raises(UsageError, match="lets no call through"):
        FixedConcurrency(limit)
    with pytest.raises(UsageError, match="lets no call through"):
        AdaptiveConcurrency(start=limit)


def test_it_doubles_while_more_brings_more() -> None:
    controller = AdaptiveConcurrency(start=8, most=1000)
    answer(controller, 8, began=0.0)
    assert controller.limit == 16
    answer(controller, 16, began=1.0)
    assert controller.limit == 32


def test_it_never_passes_the_most() -> None:
    controller = AdaptiveConcurrency(start=8, most=12)
    answer(controller, 8, began=0.0)
    assert controller.limit == 12


def test_one_episode_of_429s_cuts_once_to_what_was_in_flight_beside() -> None:
    controller = AdaptiveConcurrency(start=64)
    for in_flight in range(49, 65):
        tell(controller, REFUSED, at=1.01, began=1.0, in_flight=in_flight)
    assert controller.limit == 48
    assert [change.reason for change in controller.changes] == ["429 with 49 in flight"]


def test_refusals_soon_after_a_cut_cut_ever_more() -> None:
    controller = AdaptiveConcurrency(start=48)
    tell(controller, REFUSED, at=1.0, began=0.5, in_flight=48)
    limits = []
    for step in range(1, 6):
        tell(controller, REFUSED, at=1.0 + step / 10, began=0.95 + step / 10, in_flight=controller.limit)
        limits.append(controller.limit)
    assert limits == [46, 44, 40, 32, 16]


def test_a_long_retry_after_does_not_keep_the_limit_down() -> None:
    controller = AdaptiveConcurrency(start=8, most=100)
    tell(controller, REFUSED, at=1.0, began=0.0, in_flight=9)
    now = 2.0
    for _ in range(12):
        answer(controller, max(8, controller.limit), began=now)
        now += 1.0
    assert controller.limit > 8


def test_network_failures_cut_nothing() -> None:
    controller = AdaptiveConcurrency(start=16)
    for _ in range(100):
        tell(controller, Outcome(0.1, error=ConnectionFailedError("reset")), at=1.0, began=0.9, in_flight=16)
    assert controller.limit == 16


def test_a_malformed_completion_is_an_answer() -> None:
    controller = AdaptiveConcurrency(start=8, most=100)
    for _ in range(8):
        tell(
            controller, Outcome(1.0, error=MalformedCompletionError("empty")), at=1.0, began=0.0, in_flight=8
        )
    assert controller.limit == 16


def test_where_throughput_stops_rising_it_goes_back_and_says_why() -> None:
    controller = AdaptiveConcurrency(start=32)
    answer(controller, 32, began=0.0)
    answer(controller, 64, began=1.0, seconds=3.0)
    assert controller.limit == 32
    assert controller.changes[-1].reason == "throughput stopped rising at 64"


def test_the_history_is_bounded() -> None:
    history = [LimitChange(float(step), 1, 2, "") for step in range(1000)]
    assert FixedConcurrency(1, history=history).changes == tuple(history[-64:])
