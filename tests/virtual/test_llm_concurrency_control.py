"""What the adaptive concurrency limit gets out of endpoints of many kinds, in virtual time."""

from __future__ import annotations

from random import Random

import pytest

from tests.virtual.simulated_endpoint import Latency, simulate_endpoint
from toolflow.llm.adaptive import AdaptiveConcurrency
from toolflow.llm.concurrency import FixedConcurrency


def steady(seconds: float) -> Latency:
    return lambda _served, _now, _random: seconds


def noisy(seconds: float) -> Latency:
    return lambda _served, _now, random: seconds * float(random.lognormvariate(-0.125, 0.5))


def with_knee(seconds: float, knee: int, exponent: float) -> Latency:
    def latency(served: int, _now: float, random: Random) -> float:
        above: float = max(1.0, (served / knee) ** exponent)
        return seconds * above * random.lognormvariate(-0.02, 0.2)

    return latency


def test_a_hidden_cap_is_found_at_the_price_of_few_429s() -> None:
    run = simulate_endpoint(1000, latency=steady(2.0), cap=lambda _: 48)
    assert run.answered == 1000
    assert run.pace >= 0.93 * 48 / 2.0
    assert run.refused < 0.03 * run.attempts


@pytest.mark.parametrize(
    ("cap", "seconds", "calls"), [(4, 2.0, 400), (200, 2.0, 8000), (48, 0.05, 20_000), (48, 10.0, 2000)]
)
def test_caps_of_any_size_are_found(cap: int, seconds: float, calls: int) -> None:
    run = simulate_endpoint(calls, latency=steady(seconds), cap=lambda _: cap)
    assert run.answered == calls
    assert run.pace >= 0.85 * cap / seconds


def test_a_cap_that_moves_is_followed_within_twenty_latencies() -> None:
    run = simulate_endpoint(
        1_000_000,
        latency=steady(2.0),
        cap=lambda now: 48 if now < 60 else 16 if now < 120 else 96,
        seconds=180.0,
    )
    assert run.answered >= 0.8 * 60 * (48 + 16 + 96) / 2.0
    found_again = [at for at in run.answered_at if 160 <= at < 180]
    assert len(found_again) / 20 >= 0.9 * 96 / 2.0


def test_a_knee_is_found_although_nothing_is_ever_refused() -> None:
    latency = with_knee(1.0, 48, 2.0)
    adaptive = simulate_endpoint(6000, latency=latency)
    best = simulate_endpoint(6000, latency=latency, concurrency=FixedConcurrency(48))
    assert adaptive.pace >= 0.88 * best.pace


def test_where_throughput_is_flat_the_limit_does_not_wander_off() -> None:
    controller = AdaptiveConcurrency()
    run = simulate_endpoint(8000, latency=with_knee(1.0, 48, 1.0), callers=3000, concurrency=controller)
    assert run.pace >= 0.9 * 48
    assert controller.limit <= 4 * 48


@pytest.mark.parametrize("latency", [steady(1.0), noisy(1.0)])
def test_an_endpoint_without_a_limit_is_used_in_full(latency: Latency) -> None:
    controller = AdaptiveConcurrency(most=1024)
    simulate_endpoint(60_000, latency=latency, callers=3000, concurrency=controller)
    assert controller.limit == 1024


def test_failures_do_not_cut_and_a_few_do_not_stop_growth() -> None:
    controller = AdaptiveConcurrency(most=256)
    simulate_endpoint(10_000, latency=steady(1.0), failing=0.06, concurrency=controller)
    assert controller.limit == 256
    assert all(change.after > change.before for change in controller.changes)


def test_many_failures_slow_growth_and_do_not_stop_it() -> None:
    def limit_after(calls: int, failing: float) -> int:
        controller = AdaptiveConcurrency(most=256)
        simulate_endpoint(calls, latency=steady(1.0), failing=failing, concurrency=controller)
        return controller.limit

    assert limit_after(300, 0.3) < limit_after(300, 0.0)
    assert limit_after(5000, 0.3) == 256


def test_callers_too_few_to_use_the_limit_leave_it_alone() -> None:
    controller = AdaptiveConcurrency()
    simulate_endpoint(2000, latency=noisy(1.0), callers=20, concurrency=controller)
    assert controller.limit == 32
    assert not controller.changes
