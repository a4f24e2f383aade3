"""The retry policy decides from its arguments alone."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolflow.errors import (
    AuthenticationError,
    ConnectionFailedError,
    ContextLengthError,
    FatalLLMError,
    LLMError,
    MalformedCompletionError,
    ModelNotFoundError,
    PermanentLLMError,
    RateLimitedError,
    ServerFailedError,
    StalledError,
    UsageError,
)
from toolflow.llm.retry import RetryPolicy

backed_off = st.sampled_from([RateLimitedError, ServerFailedError, ConnectionFailedError])


@settings(deadline=None)
@given(backed_off, st.integers(1, 7), st.integers())
def test_the_pause_is_drawn_below_a_growing_bound(kind: type[LLMError], attempt: int, seed: int) -> None:
    policy = RetryPolicy(attempts=8, first_wait=1.0, longest_wait=16.0)
    pause = policy.decide(kind("x"), attempt, 0.0, Random(seed))
    assert pause is not None
    assert 0.0 <= pause <= min(16.0, 2.5 ** (attempt - 1))


def test_half_of_a_pause_is_sure_and_jitter_fills_the_other() -> None:
    policy = RetryPolicy(first_wait=0.64)
    pauses = [policy.decide(ServerFailedError("x"), 3, 0.0, Random(seed)) for seed in range(200)]
    assert 2.0 <= min(pause for pause in pauses if pause is not None) < 2.1
    assert max(pause for pause in pauses if pause is not None) > 3.8


def test_after_a_stall_the_next_attempt_follows_at_once() -> None:
    """The call has waited for long, and others are answered."""
    policy = RetryPolicy(attempts=3)
    assert policy.decide(StalledError("x"), 2, 0.0, Random(0)) == 0.0
    assert policy.decide(StalledError("x"), 3, 0.0, Random(0)) is None


@settings(deadline=None)
@given(st.floats(0.0, 100.0), st.integers(1, 7), st.integers())
def test_retry_after_is_the_least_pause(retry_after: float, attempt: int, seed: int) -> None:
    error = RateLimitedError("x", retry_after=retry_after)
    pause = RetryPolicy().decide(error, attempt, 0.0, Random(seed))
    assert pause is not None
    assert retry_after <= pause <= retry_after + 64.0


@settings(deadline=None)
@given(st.integers(1, 20), st.floats(0.0, 1000.0), st.integers())
def test_the_same_arguments_give_the_same_decision(attempt: int, elapsed: float, seed: int) -> None:
    error = ServerFailedError("x")
    first = RetryPolicy().decide(error, attempt, elapsed, Random(seed))
    assert first == RetryPolicy().decide(error, attempt, elapsed, Random(seed))


@pytest.mark.parametrize(
    "kind", [PermanentLLMError, ContextLengthError, FatalLLMError, AuthenticationError, ModelNotFoundError]
)
def test_what_fails_again_is_not_tried_again(kind: type[LLMError]) -> None:
    assert RetryPolicy().decide(kind("x"), 1, 0.0, Random(0)) is None


def test_attempts_are_bounded() -> None:
    policy = RetryPolicy(attempts=3)
    assert policy.decide(ServerFailedError("x"), 2, 0.0, Random(0)) is not None
    assert policy.decide(ServerFailedError("x"), 3, 0.0, Random(0)) is None


def test_malformed_completions_are_resampled_at_once_and_counted_apart() -> None:
    policy = RetryPolicy(attempts=1, resamples=2)
    error = MalformedCompletionError("x")
    assert [policy.decide(error, attempt, 0.0, Random(0)) for attempt in (1, 2, 3)] == [0.0, 0.0, None]


@pytest.mark.parametrize("kind", [MalformedCompletionError, RateLimitedError])
def test_nothing_is_tried_again_past_the_deadline(kind: type[LLMError]) -> None:
    policy = RetryPolicy(deadline=10.0)
    assert policy.decide(kind("x"), 1, 5.0, Random(0)) is not None
    assert policy.decide(kind("x"), 1, 10.0, Random(0)) is None


def test_a_pause_that_would_pass_the_deadline_gives_up_now() -> None:
    error = RateLimitedError("x", retry_after=3600.0)
    assert RetryPolicy(deadline=900.0).decide(error, 1, 0.0, Random(0)) is None


def test_the_last_attempt_gets_what_the_deadline_leaves() -> None:
    policy = RetryPolicy(attempt_timeout=60.0, deadline=100.0)
    assert (policy.timeout(0.0), policy.timeout(70.0)) == (60.0, 30.0)


@pytest.mark.parametrize(
    "figures",
    [{"attempts": 0}, {"resamples": -1}, {"attempt_timeout": 0.0}, {"deadline": -1.0}, {"first_wait": -1.0}],
)
def test_senseless_figures_are_refused(figures: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        RetryPolicy(**figures)
