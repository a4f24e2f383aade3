"""What the adaptive concurrency limit gets out of endpoints of many kinds, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from tests.virtual.simulated_endpoint import Latency, Run, simulate_endpoint
from toolflow.llm.concurrency.adaptive import AdaptiveConcurrency
from toolflow.llm.concurrency.limit import FixedConcurrency


def steady(seconds: float) -> Latency:
    return lambda _served, _now, _random: seconds


def noisy(seconds: float) -> Latency:
    return lambda _served, _now, random: seconds * float(random.lognormvariate(-0.125, 0.5))


ROLES = {"planner": 5.0, "user": 1.0, "assistant": 2.5, "tool": 1.0}
MEAN_OF_ROLES = sum(ROLES.values()) / len(ROLES)


def with_knee(
    seconds: float,
    knee: int,
    exponent: float,
    sigma: float = 0.2,
    moves: Callable[[float], int] | None = None,
) -> Latency:
    def latency(served: int, now: float, random: Random) -> float:
        above: float = max(1.0, (served / (moves(now) if moves else knee)) ** exponent)
        return seconds * above * random.lognormvariate(-(sigma**2) / 2, sigma)

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


@pytest.mark.parametrize("seconds", [1.0, 2.0])
@pytest.mark.parametrize("sigma", [0.0, 0.2])
def test_a_cap_that_moves_is_followed_within_twenty_latencies(seconds: float, sigma: float) -> None:
    caps = (48, 16, 96)
    run = simulate_endpoint(
        1_000_000,
        latency=with_knee(seconds, 10**6, 1.0, sigma),
        cap=lambda now: caps[min(2, int(now // 60))],
        seconds=180.0,
    )
    assert run.answered >= 0.85 * 60 * sum(caps) / seconds
    assert run.refused < 0.03 * run.attempts
    for moved, cap in zip((60, 120), caps[1:], strict=True):
        begin = moved + 20 * seconds
        assert run.between(begin, moved + 60) >= 0.9 * cap / seconds


def test_a_cap_is_followed_where_roles_take_five_times_as_long() -> None:
    caps = (48, 16, 96)
    run = simulate_endpoint(
        1_000_000,
        latency=with_knee(1.0, 10**6, 1.0),
        roles=ROLES,
        cap=lambda now: caps[min(2, int(now // 100))],
        seconds=300.0,
    )
    assert run.answered >= 0.85 * 100 * sum(caps) / MEAN_OF_ROLES
    assert run.refused < 0.03 * run.attempts


def of_best(run: Run, knee: int, seconds: float) -> float:
    return run.pace / (knee / seconds)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sigma", [0.0, 0.2, 0.5])
def test_a_knee_is_found_although_nothing_is_ever_refused(sigma: float, seed: int) -> None:
    latency = with_knee(1.0, 48, 2.0, sigma)
    adaptive = simulate_endpoint(4000, latency=latency, seed=seed)
    best = simulate_endpoint(4000, latency=latency, concurrency=FixedConcurrency(48), seed=seed)
    assert adaptive.pace >= (0.9 if sigma < 0.3 else 0.86) * best.pace


@pytest.mark.parametrize("network", [0.002, 0.01, 0.04])
def test_a_knee_is_found_although_answers_come_all_at_once_and_take_their_way(network: float) -> None:
    """The endpoint stands nearly empty until the next attempts arrive, and looks quicker than it is."""
    latency = with_knee(0.5, 48, 2.0, 0.0)
    adaptive = simulate_endpoint(4000, latency=latency, network=network)
    fixed = FixedConcurrency(48)
    best = simulate_endpoint(4000, latency=latency, network=network, concurrency=fixed)
    assert adaptive.pace >= 0.9 * best.pace


@pytest.mark.parametrize("seed", range(3))
def test_a_knee_is_found_where_roles_take_five_times_as_long(seed: int) -> None:
    latency = with_knee(1.0, 48, 2.0)
    adaptive = simulate_endpoint(4000, latency=latency, roles=ROLES, seed=seed)
    best = simulate_endpoint(4000, latency=latency, roles=ROLES, concurrency=FixedConcurrency(48), seed=seed)
    assert adaptive.pace >= 0.9 * best.pace


@pytest.mark.parametrize("knee", [30, 75, 200])
def test_knees_of_other_sizes_are_found(knee: int) -> None:
    run = simulate_endpoint(80 * knee, latency=with_knee(1.0, knee, 2.0), callers=1000)
    assert of_best(run, knee, 1.0) >= 0.83


def test_a_small_knee_is_found_in_the_end() -> None:
    run = simulate_endpoint(1_000_000, latency=with_knee(1.0, 6, 2.0), seconds=900.0)
    assert run.between(500, 900) >= 0.85 * 6


@pytest.mark.parametrize("moved", [24, 96])
def test_a_knee_that_moves_is_found_again(moved: int) -> None:
    run = simulate_endpoint(
        1_000_000,
        latency=with_knee(1.0, 48, 2.0, moves=lambda now: 48 if now < 100 else moved),
        seconds=200.0,
    )
    assert run.between(50, 100) >= 0.88 * 48
    assert run.between(140, 200) >= 0.88 * moved


def test_a_knee_below_a_cap_is_found() -> None:
    run = simulate_endpoint(5000, latency=with_knee(1.0, 30, 2.0), cap=lambda _: 55)
    assert of_best(run, 30, 1.0) >= 0.8
    assert run.refused < 0.01 * run.attempts


def test_stalls_are_no_knee() -> None:
    """They end with a failure after long, and hold their permits until then."""
    controller = AdaptiveConcurrency(most=256)
    simulate_endpoint(
        20_000, latency=steady(1.0), failing=0.02, failing_after=10.0, callers=2000, concurrency=controller
    )
    assert controller.limit == 256
    assert all(change.after > change.before for change in controller.changes)


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
    def reached(failing: float) -> float:
        controller = AdaptiveConcurrency(most=256)
        simulate_endpoint(20_000, latency=steady(1.0), failing=failing, concurrency=controller)
        assert controller.limit == 256
        return controller.changes[-1].at

    assert reached(0.0) < reached(0.3) < 6 * reached(0.0)


def test_callers_too_few_to_use_the_limit_leave_it_alone() -> None:
    controller = AdaptiveConcurrency()
    simulate_endpoint(2000, latency=noisy(1.0), callers=20, concurrency=controller)
    assert controller.limit == 32
    assert not controller.changes
