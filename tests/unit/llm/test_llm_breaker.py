"""The circuit breaker, told the time."""

from __future__ import annotations

from math import inf

import pytest

from toolflow.errors import (
    ConnectionFailedError,
    LLMError,
    MalformedCompletionError,
    PermanentLLMError,
    RateLimitedError,
    ServerFailedError,
)
from toolflow.llm.breaker import Breaker
from toolflow.llm.outcome import Outcome

GOOD = Outcome(1.0)


def bad(error: LLMError | None = None) -> Outcome:
    return Outcome(1.0, error=error or ServerFailedError("500"))


def state_of(breaker: Breaker) -> str:
    return breaker.state


def opened(*, at: float = 10.0) -> Breaker:
    breaker = Breaker(failures=3, first_pause=1.0, longest_pause=4.0)
    for _ in range(3):
        breaker.settled(bad(), began=0.0, now=at)
    assert state_of(breaker) == "open"
    return breaker


def test_failures_in_a_row_open_it_and_an_answer_between_them_does_not() -> None:
    breaker = Breaker(failures=3)
    for outcome in (bad(), bad(ConnectionFailedError("reset")), GOOD, bad(), bad()):
        breaker.settled(outcome, began=0.0, now=1.0)
    assert state_of(breaker) == "closed"
    assert breaker.wait(1.0) == 0.0
    breaker.settled(bad(), began=0.0, now=1.0)
    assert state_of(breaker) == "open"


@pytest.mark.parametrize(
    "error", [RateLimitedError("429"), MalformedCompletionError("empty"), PermanentLLMError("400")]
)
def test_what_the_endpoint_answers_shows_that_it_is_there(error: LLMError) -> None:
    breaker = Breaker(failures=1)
    breaker.settled(bad(error), began=0.0, now=1.0)
    assert state_of(breaker) == "closed"


def test_one_probe_goes_and_its_answer_closes() -> None:
    breaker = opened(at=10.0)
    assert breaker.wait(10.0) == 1.0
    assert breaker.wait(11.0) == 0.0
    breaker.started()
    assert state_of(breaker) == "probing"
    assert breaker.wait(11.0) == inf
    breaker.settled(GOOD, began=11.0, now=11.5)
    assert state_of(breaker) == "closed"


def test_probes_that_fail_come_ever_more_rarely() -> None:
    breaker = opened(at=10.0)
    now, pauses = 10.0, []
    for _ in range(4):
        pauses.append(breaker.wait(now))
        now += pauses[-1]
        breaker.started()
        breaker.settled(bad(), began=now, now=now)
    assert pauses == [1.0, 2.0, 4.0, 4.0]


def test_attempts_in_flight_at_the_death_are_one_failure() -> None:
    breaker = opened(at=10.0)
    for _ in range(1000):
        breaker.settled(bad(), began=9.0, now=10.5)
    assert breaker.wait(10.5) == 0.5


def test_a_probe_that_is_given_up_leaves_the_way_to_another() -> None:
    breaker = opened(at=10.0)
    breaker.started()
    breaker.abandoned(began=11.0, now=11.2)
    assert breaker.wait(11.2) == 0.0
