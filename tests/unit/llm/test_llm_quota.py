"""The quota: what it keeps, charges, learns, and how it takes refusals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from toolflow.dialogue.message import Message
from toolflow.errors import (
    ConnectionFailedError,
    LLMError,
    MalformedCompletionError,
    PermanentLLMError,
    RateLimitedError,
    UsageError,
)
from toolflow.llm.chat import CallKey, Request, Usage
from toolflow.llm.outcome import Outcome
from toolflow.llm.quota.estimate import TokenEstimator
from toolflow.llm.quota.limits import LimitInForce, RateLimits, ReportedLimit
from toolflow.llm.quota.pacing import Pacing
from toolflow.llm.quota.quota import Quota

COST = Usage(60, 40)


def send(pacing: Pacing, cost: Usage, now: float) -> float:
    """Wait until the request fits, and reserve it; when that was."""
    while (pause := pacing.wait(cost, now)) > 0:
        now += pause
    pacing.reserve(cost, now)
    return now


def answer(pacing: Pacing, limits: Sequence[ReportedLimit], now: float, cost: Usage = COST) -> None:
    """A request that was answered after a second, with headers."""
    reservation = pacing.reserve(cost, now)
    pacing.settle(reservation, Outcome(1.0, cost, limits=tuple(limits)), now + 1.0)


def refuse(pacing: Pacing, now: float, retry_after: float | None = None) -> None:
    """A request that was refused at once."""
    pacing.settle(
        pacing.reserve(COST, now), Outcome(0.0, error=RateLimitedError("429", retry_after=retry_after)), now
    )


def test_without_limits_nothing_waits() -> None:
    pacing = Pacing()
    assert all(send(pacing, Usage(10**9, 10**9), 0.0) == 0.0 for _ in range(1_000))
    assert pacing.limits == RateLimits()
    assert repr(pacing) == "<Pacing without limits>"


@pytest.mark.parametrize("limits", [RateLimits(0), RateLimits(tokens=-1), RateLimits(output_tokens=0)])
def test_a_limit_below_one_is_refused_in_words(limits: RateLimits) -> None:
    with pytest.raises(UsageError, match="lets no call through"):
        Quota(limits)


def test_requests_are_spread_evenly_with_a_small_burst() -> None:
    pacing = Pacing(RateLimits(requests=600))
    times = [send(pacing, COST, 0.0)]
    for _ in range(99):
        times.append(send(pacing, COST, times[-1]))
    assert sum(at == 0.0 for at in times) <= 3
    assert all(0.09 < later - earlier < 0.11 for earlier, later in pairwise(times[5:]))


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (RateLimits(tokens=6_000), 100 / 6_000),
        (RateLimits(input_tokens=6_000), 60 / 6_000),
        (RateLimits(output_tokens=6_000), 40 / 6_000),
        (RateLimits(requests=600, tokens=6_000, output_tokens=60_000), 100 / 6_000),
    ],
)
def test_each_kind_of_limit_counts_its_own_llm_tokens(limits: RateLimits, expected: float) -> None:
    pacing, now = Pacing(limits), 0.0
    times = [now := send(pacing, COST, now) for _ in range(30)]
    assert (times[-1] - times[9]) / 20 == pytest.approx(60 * expected, rel=0.02)


def test_a_request_of_more_than_a_minutes_tokens_passes_when_the_window_is_empty() -> None:
    pacing = Pacing(RateLimits(tokens=1_000))
    send(pacing, COST, 0.0)
    large = send(pacing, Usage(5_000, 0), 1.0)
    assert 60.0 <= large <= 61.0
    assert send(pacing, COST, large) > large + 60.0


def test_what_costs_nothing_is_not_held_up_by_tokens() -> None:
    pacing = Pacing(RateLimits(tokens=100))
    pacing.reserve(Usage(500, 500), 0.0)
    assert pacing.wait(Usage(), 0.0) == 0.0


def test_surplus_of_a_reservation_goes_back_and_excess_is_charged() -> None:
    def filled(actual: Usage) -> float:
        pacing = Pacing(RateLimits(tokens=1_000))
        reservation = pacing.reserve(Usage(500, 400), 0.0)
        pacing.settle(reservation, Outcome(1.0, actual), 40.0)
        return pacing.wait(Usage(100, 100), 59.0)

    assert filled(Usage(500, 200)) == 0.0
    assert filled(Usage(500, 400)) > 0.0
    assert filled(Usage(500, 4_000)) > filled(Usage(500, 400))


@pytest.mark.parametrize(
    ("error", "fits"),
    [
        (RateLimitedError("429"), True),
        (PermanentLLMError("400"), True),
        (ConnectionFailedError("reset"), False),
        (MalformedCompletionError("empty", prompt_tokens=500, completion_tokens=400), False),
        (MalformedCompletionError("empty", prompt_tokens=500, completion_tokens=10), True),
        (MalformedCompletionError("empty"), False),
    ],
)
def test_failed_attempts_stay_charged_but_for_completions_that_never_were(
    error: LLMError, fits: bool
) -> None:
    pacing = Pacing(RateLimits(tokens=1_000))
    reservation = pacing.reserve(Usage(500, 400), 0.0)
    pacing.settle(reservation, Outcome(0.1, error=error), 1.0)
    assert (pacing.wait(Usage(200, 100), 58.0) == 0.0) is fits
    # The attempt itself counts in any case.
    counted = Pacing(RateLimits(requests=1))
    counted.settle(counted.reserve(COST, 0.0), Outcome(0.1, error=error), 1.0)
    assert counted.wait(COST, 50.0) > 0.0


def test_abandoned_attempts_stay_charged_and_settling_twice_changes_nothing() -> None:
    pacing = Pacing(RateLimits(tokens=1_000))
    reservation = pacing.reserve(Usage(500, 400), 0.0)
    pacing.settle(reservation, None, 1.0)
    pacing.settle(reservation, Outcome(1.0, Usage(1, 1)), 2.0)
    assert pacing.wait(Usage(100, 100), 50.0) > 0.0


def test_a_reported_limit_is_adopted_with_what_is_left_of_it() -> None:
    pacing = Pacing()
    answer(pacing, [ReportedLimit("requests", 60, 5), ReportedLimit("tokens", 10_000, 9_000)], 0.0)
    assert pacing.limits == RateLimits(requests=60, tokens=10_000)
    assert {it.source for it in pacing.in_force} == {"reported"}
    now, sent = 1.0, 0
    while (now := send(pacing, COST, now)) < 30.0:
        sent += 1
    assert 4 <= sent <= 6


def test_a_bucket_that_is_full_again_soon_has_not_been_used_up_by_others() -> None:
    pacing, now, sent = Pacing(), 1.0, 0
    answer(pacing, [ReportedLimit("requests", 600, 18, reset=0.2)], 0.0)
    while (now := send(pacing, COST, now)) < 31.0:
        sent += 1
    assert 290 <= sent <= 302


def test_a_told_limit_is_lowered_by_the_server_and_raised_to_no_more_than_was_told() -> None:
    pacing = Pacing(RateLimits(requests=100))
    answer(pacing, [ReportedLimit("requests", 40, 39)], 0.0)
    assert pacing.in_force == (LimitInForce("requests", 40, 60.0, "reported"),)
    answer(pacing, [ReportedLimit("requests", 500, 499)], 10.0)
    assert pacing.in_force == (LimitInForce("requests", 100, 60.0, "told"),)


def test_what_others_used_up_is_waited_for() -> None:
    pacing, large = Pacing(RateLimits(tokens=6_000)), Usage(600, 400)
    answer(pacing, [ReportedLimit("tokens", 6_000, 6_000)], 20.0)
    assert pacing.wait(large, 21.0) == 0.0
    # 100 come back in each second.
    answer(pacing, [ReportedLimit("tokens", 6_000, 0)], 30.0)
    assert pacing.wait(large, 31.0) == pytest.approx(9.0)
    answer(pacing, [ReportedLimit("tokens", 6_000, 5_000)], 35.0)
    assert pacing.wait(large, 36.0) == 0.0


def test_what_was_sent_after_the_answered_request_is_not_left_any_more() -> None:
    """1,000 come back in each second: of 1,500 there are 3,500 after two, if nothing else was sent."""
    pacing = Pacing(RateLimits(tokens=60_000))
    reservation = pacing.reserve(COST, 0.0)
    for _ in range(10):
        pacing.reserve(COST, 0.0)
    answered = Outcome(2.0, COST, limits=(ReportedLimit("tokens", 60_000, 1_500),))
    pacing.settle(reservation, answered, 2.0)
    assert pacing.wait(Usage(2_500, 0), 2.0) == 0.0
    assert pacing.wait(Usage(3_500, 0), 2.0) == pytest.approx(1.0)


def test_an_answer_that_was_overtaken_is_not_the_last_word() -> None:
    pacing, large = Pacing(RateLimits(tokens=6_000)), Usage(1_000, 1_000)
    slow, quick = pacing.reserve(COST, 0.0), pacing.reserve(COST, 5.0)
    pacing.settle(quick, Outcome(1.0, COST, limits=(ReportedLimit("tokens", 6_000, 5_000),)), 7.0)
    pacing.settle(slow, Outcome(7.0, COST, limits=(ReportedLimit("tokens", 6_000, 0),)), 7.0)
    assert pacing.wait(large, 7.0) == 0.0


def test_a_limit_of_a_day_is_kept_but_not_spread() -> None:
    """Groq reports requests of a day where others report those of a minute; only the reset tells."""
    pacing = Pacing(RateLimits(requests=600))
    answer(pacing, [ReportedLimit("requests", 14_400, 14_370, reset=179.56)], 0.0)
    assert pacing.limits == RateLimits(requests=600)
    assert LimitInForce("requests", 14_400, 86_400.0, "reported") in pacing.in_force
    answer(pacing, [ReportedLimit("requests", 14_400, 0, reset=86_000.0)], 10.0)
    assert 5.0 <= pacing.wait(COST, 11.0) <= 12.0


def test_a_limit_that_turns_out_to_be_a_days_is_no_longer_kept_for_a_minute() -> None:
    pacing = Pacing()
    answer(pacing, [ReportedLimit("requests", 1_000, 999, reset=60.0)], 0.0)
    assert pacing.limits == RateLimits(requests=1_000)
    answer(pacing, [ReportedLimit("requests", 1_000, 990, reset=864.0)], 1.0)
    assert pacing.limits == RateLimits()
    assert [(it.limit, it.window) for it in pacing.in_force] == [(1_000, 86_400.0)]


def test_windows_that_headers_name_are_believed() -> None:
    pacing = Pacing()
    answer(
        pacing,
        [
            ReportedLimit("requests", 10, 0, window=1.0),
            ReportedLimit("tokens", 5_000, 4_000, window=60.0),
            ReportedLimit("tokens", 900_000, 800_000, window=86_400.0),
        ],
        0.0,
    )
    assert pacing.limits == RateLimits(requests=600, tokens=5_000)
    assert pacing.in_force[-1] == LimitInForce("tokens", 900_000, 86_400.0, "reported")


@pytest.mark.parametrize("limit", [None, 0, -1])
def test_limits_without_sense_are_not_adopted(limit: int | None) -> None:
    pacing = Pacing()
    answer(pacing, [ReportedLimit("requests", limit, 0, 0.0)], 0.0)
    assert pacing.in_force == ()
    assert pacing.wait(COST, 1.0) == 0.0


def test_a_refusal_without_a_known_limit_holds_nobody_else() -> None:
    pacing = Pacing()
    for number in range(100):
        answer(pacing, [], number / 10)
    refuse(pacing, 10.0, retry_after=30.0)
    assert pacing.wait(COST, 10.0) == 0.0


def nearly_used_up(limit: int = 10) -> Pacing:
    pacing = Pacing(RateLimits(requests=limit))
    for _ in range(limit * 8 // 10):
        pacing.reserve(COST, 0.0)
    return pacing


def test_a_refusal_near_a_known_limit_holds_the_next_for_as_long_as_the_server_says() -> None:
    pacing = nearly_used_up()
    refuse(pacing, 59.0, retry_after=7.0)
    assert pacing.wait(COST, 59.0) == 7.0
    assert pacing.wait(COST, 66.0) == 0.0


def test_refusals_that_name_no_time_hold_the_next_ever_longer() -> None:
    pacing = nearly_used_up(600)
    holds: list[float] = []
    now = 55.0
    for _ in range(3):
        refuse(pacing, now)
        holds.append(pacing.wait(COST, now))
        # Others of the same moment are no further episode.
        refuse(pacing, now - 0.001)
        assert pacing.wait(COST, now) == holds[-1]
        now += holds[-1]
    assert holds == [0.5, 1.0, 2.0]


def test_a_quota_reserves_what_its_estimator_foresees_and_teaches_it() -> None:
    estimator = TokenEstimator()
    quota = Quota(RateLimits(tokens=100_000), estimator)
    request = Request(CallKey(0, "user", 0), "m", (Message("user", "x" * 984),))
    assert quota.wait(request, 0.0) == 0.0
    reservation = quota.reserve(request, 0.0)
    assert reservation.cost == estimator.estimate(request)
    quota.settle(reservation, request, Outcome(1.0, Usage(2_000, 70)), 1.0)
    assert quota.reserve(request, 60.0).cost == estimator.estimate(request) == Usage(2_001, 71)
    assert quota.limits == RateLimits(tokens=100_000)


def test_the_cost_of_the_head_of_the_queue_does_not_change_while_it_waits() -> None:
    quota = Quota(RateLimits(tokens=100_000))
    head = Request(CallKey(0, "user", 0), "m", (Message("user", "x" * 400),))
    other = Request(CallKey(1, "user", 0), "m", (Message("user", "y" * 400),))
    flying = quota.reserve(other, 0.0)
    quota.wait(head, 1.0)
    quota.settle(flying, other, Outcome(1.0, Usage(50_000, 9_000)), 1.0)
    assert quota.reserve(head, 1.0).cost.prompt < 1_000
    assert quota.reserve(head, 1.0).cost.prompt > 1_000
