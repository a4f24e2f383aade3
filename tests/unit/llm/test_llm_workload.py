"""How slow an endpoint is, told apart from what it is asked for."""

from __future__ import annotations

from random import Random

import pytest

from toolflow.llm.concurrency.search import PeakSearch, compare
from toolflow.llm.concurrency.workload import Answered, Measurement, Workload

USUAL = {"planner": (1.0, 0.02), "user": (0.5, 0.0), "tool": (0.2, 0.01)}
TOKENS = {"planner": 400, "user": 30, "tool": 120}


def attempts(
    count: int, slowness: float, random: Random, roles: dict[str, float], in_flight: int = 10
) -> list[Answered]:
    found: list[Answered] = []
    for role in random.choices(list(roles), list(roles.values()), k=count):
        tokens = round(TOKENS[role] * random.uniform(0.3, 1.7))
        base, per_token = USUAL[role]
        noise = random.lognormvariate(-0.005, 0.1)
        found.append(Answered(role, tokens, slowness * (base + per_token * tokens) * noise, in_flight))
    return found


def test_another_mix_of_roles_is_no_other_slowness() -> None:
    random = Random(1)
    workload = Workload()
    even = {"planner": 1.0, "user": 1.0, "tool": 1.0}
    first = workload.measure(attempts(300, 1.0, random, even))
    later = workload.measure(attempts(300, 1.0, random, {"planner": 8.0, "user": 1.0, "tool": 1.0}))
    assert later.latency > 1.5 * first.latency
    assert later.slowness == pytest.approx(first.slowness, rel=0.05)


@pytest.mark.parametrize("slowness", [0.5, 1.3, 4.0])
def test_a_slower_endpoint_is_told_whatever_it_is_asked(slowness: float) -> None:
    random = Random(2)
    workload = Workload()
    first = workload.measure(attempts(200, 1.0, random, {"planner": 1.0, "user": 1.0, "tool": 1.0}))
    later = workload.measure(attempts(200, slowness, random, {"planner": 1.0, "user": 6.0, "tool": 1.0}))
    assert later.slowness / first.slowness == pytest.approx(slowness, rel=0.06)


def test_a_role_that_comes_late_is_learned_at_the_present_slowness() -> None:
    random = Random(3)
    workload = Workload()
    workload.measure(attempts(200, 1.0, random, {"user": 1.0}))
    workload.measure(attempts(200, 3.0, random, {"user": 2.0, "planner": 1.0}))
    alone = workload.measure(attempts(200, 3.0, random, {"planner": 1.0}))
    assert alone.slowness == pytest.approx(3.0, rel=0.1)


def test_the_standard_error_is_that_of_the_measurement() -> None:
    """Two in three measurements of the same lie within one error, nineteen in twenty within two."""
    random = Random(4)
    workload = Workload()
    even = {"planner": 1.0, "user": 1.0, "tool": 1.0}
    reference = workload.measure(attempts(2000, 1.0, random, even))
    within = [0, 0]
    for _ in range(300):
        slower, error = workload.measure(attempts(40, 1.0, random, even)).slower_than(reference)
        within[0] += abs(slower) < error
        within[1] += abs(slower) < 2 * error
    assert 0.55 <= within[0] / 300 <= 0.8
    assert within[1] / 300 >= 0.9


def measured(in_flight: int, slowness: float, count: int = 100) -> Measurement:
    """Without noise to speak of."""
    workload = Workload()
    workload.measure([Answered("user", 0, 1.0, in_flight)] * 10)
    return workload.measure([Answered("user", 0, slowness, in_flight)] * count)


def test_throughput_that_rises_less_than_it_takes_is_not_worth_it() -> None:
    assert compare(measured(20, 1.0), measured(10, 1.0))[0] > 0.5
    assert compare(measured(20, 1.95), measured(10, 1.0))[0] < 0
    assert compare(measured(20, 1.4), measured(10, 1.0))[0] > 0


@pytest.mark.parametrize("knee", [3, 7, 20, 48, 150, 700])
@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
def test_the_peak_is_closed_in_from_wherever_it_began(knee: int, power: float) -> None:
    def slowness(limit: int) -> float:
        above: float = (limit / knee) ** power
        return max(1.0, above)

    search = PeakSearch(32)
    search.best.measured = measured(32, slowness(32), 64)
    tried = [32]
    while (following := search.next()) is not None:
        assert len(tried) < 20
        tried.append(following[0])
        verdict = search.judge(following[0], measured(following[0], slowness(following[0]), 2 * following[0]))
        if verdict == "alike":
            break
    found = search.best.limit
    throughput = (found / slowness(found)) / knee
    assert throughput >= 0.8
    assert found <= 1.35 * knee


def test_the_corner_of_a_sharp_knee_is_told_from_both_its_sides() -> None:
    search = PeakSearch(40)
    search.best.measured = measured(40, 1.0)
    search.accept(52, measured(52, (52 / 48) ** 2))
    search.judge(60, measured(60, (60 / 48) ** 2, 200))
    assert search.corner() == 48
