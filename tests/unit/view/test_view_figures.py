from __future__ import annotations

import pytest

from tests.reachable import reachable
from tests.unit.view.view_samples import take_calls, take_snapshot
from toolflow.view.figures import Pace, Rates, amount, clock, duration, percent, rate


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1_000, "1.0k"), (999_949, "999.9k"), (999_960, "1.0M"), (3.4e9, "3.4G")],
)
def test_amounts_have_three_digits_or_so(number: float, text: str) -> None:
    assert amount(number) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0.0"), (212.44, "212.4"), (999.97, "1,000"), (1204.3, "1,204")]
)
def test_rates_drop_decimals_that_tell_nothing(number: float, text: str) -> None:
    assert rate(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.2, "0s"),
        (17, "17s"),
        (59.6, "1m 00s"),
        (245, "4m 05s"),
        (13_680, "3h 48m"),
        (183_600, "2d 03h"),
        (-3, "0s"),
    ],
)
def test_durations_keep_their_two_largest_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(7.9, "0:07"), (65, "1:05"), (8045, "2:14:05")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_only_the_whole_is_a_hundred_percent() -> None:
    assert percent(9_999, 10_000) == "99.9%"
    assert percent(10_000, 10_000) == "100.0%"
    assert percent(0, 0) == "–"


def test_the_pace_looks_back_over_its_window_only() -> None:
    pace = Pace(window=10.0)
    rates = Rates()
    for second in range(31):
        completed = 1_000 if second <= 20 else 1_000 + 50 * (second - 20)
        calls = take_calls(completed=completed, prompt_tokens=completed * 10, completion_tokens=completed)
        rates = pace.observe(take_snapshot(float(second), calls=calls))
    assert rates == Rates(calls=50.0, prompt_tokens=500.0, completion_tokens=50.0)


def test_a_first_look_has_no_pace() -> None:
    assert Pace().observe(take_snapshot()) == Rates()


def test_the_pace_forgets_what_lies_before_its_window() -> None:
    pace = Pace(window=10.0)
    kept = []
    for frame in range(2_000):
        pace.observe(take_snapshot(frame * 0.2))
        if frame in {100, 1_999}:
            kept.append(reachable(pace))
    assert kept[1] <= kept[0] + 5
