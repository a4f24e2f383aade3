"""Rate-limit headers as providers write them, and as nobody should."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from toolflow.llm.providers.rate_headers import read_limits, reset_wait
from toolflow.llm.quota.limits import ReportedLimit

DATE = {"Date": "Tue, 24 Nov 2026 12:00:00 GMT"}
NOON = 1_795_521_600


def test_openai() -> None:
    headers = {
        "x-ratelimit-limit-requests": "5000",
        "x-ratelimit-remaining-requests": "4999",
        "x-ratelimit-reset-requests": "12ms",
        "x-ratelimit-limit-tokens": "160000",
        "x-ratelimit-remaining-tokens": "159976",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert read_limits(headers) == (
        ReportedLimit("requests", 5_000, 4_999, 0.012),
        ReportedLimit("tokens", 160_000, 159_976, 360.0),
    )


def test_anthropic() -> None:
    names = {"requests": 50, "tokens": 50_000, "input-tokens": 40_000, "output-tokens": 10_000}
    headers = dict(DATE)
    for name, limit in names.items():
        headers |= {
            f"anthropic-ratelimit-{name}-limit": str(limit),
            f"anthropic-ratelimit-{name}-remaining": str(limit - 1),
            f"anthropic-ratelimit-{name}-reset": "2026-11-24T12:00:30Z",
        }
    kinds = ("requests", "tokens", "input_tokens", "output_tokens")
    expected = [
        ReportedLimit(kind, limit, limit - 1, 30.0)  # type: ignore[arg-type]
        for kind, limit in zip(kinds, names.values(), strict=True)
    ]
    assert list(read_limits(headers)) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(
            {
                "X-RateLimit-Limit": "20",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": str((NOON + 45) * 1_000),
            },
            [ReportedLimit("requests", 20, 0, 45.0)],
            id="OpenRouter",
        ),
        pytest.param(
            {
                "x-ratelimit-limit-req-minute": "720",
                "x-ratelimit-remaining-req-minute": "717",
                "x-ratelimit-limit-tokens-minute": "5000000",
                "x-ratelimit-remaining-tokens-minute": "4999911",
                "x-ratelimit-tokens-query-cost": "52",
            },
            [
                ReportedLimit("requests", 720, 717, None, 60.0),
                ReportedLimit("tokens", 5_000_000, 4_999_911, None, 60.0),
            ],
            id="Mistral",
        ),
        pytest.param(
            {
                "x-ratelimit-limit-requests-day": "1000",
                "x-ratelimit-remaining-requests-day": "999",
                "x-ratelimit-reset-requests-day": "33011.3",
                "x-ratelimit-limit-tokens-minute": "60000",
                "x-ratelimit-remaining-tokens-minute": "0",
            },
            [
                ReportedLimit("requests", 1_000, 999, 33_011.3, 86_400.0),
                ReportedLimit("tokens", 60_000, 0, None, 60.0),
            ],
            id="Cerebras",
        ),
        pytest.param(
            {
                "x-ratelimit-limit": "10",
                "x-ratelimit-remaining": "9",
                "x-ratelimit-reset": "1",
                "x-tokenlimit-limit": "3000",
                "x-tokenlimit-remaining": "2990",
            },
            [ReportedLimit("requests", 10, 9, 1.0, 1.0), ReportedLimit("tokens", 3_000, 2_990, None, 1.0)],
            id="Together",
        ),
        pytest.param(
            {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "17"},
            [ReportedLimit("tokens", None, 0, 17.0)],
            id="Azure",
        ),
        pytest.param(
            {
                "x-ratelimit-limit-tokens": "-1",
                "x-ratelimit-remaining-tokens": "-1",
                "x-ratelimit-reset-tokens": "0",
            },
            [],
            id="Azure without a limit",
        ),
        pytest.param(
            {"RateLimit-Policy": '"burst";q=100;w=60', "RateLimit": '"burst";r=50;t=30'},
            [ReportedLimit("requests", 100, 50, 30.0, 60.0)],
            id="draft 10",
        ),
        pytest.param(
            {"RateLimit-Policy": '"bytes";q=100;w=60;qu="content-bytes"', "RateLimit": '"bytes";r=50'},
            [],
            id="draft 10, of bytes",
        ),
        pytest.param(
            {"RateLimit": "limit=100, remaining=50, reset=5"},
            [ReportedLimit("requests", 100, 50, 5.0)],
            id="draft 07",
        ),
        pytest.param(
            {"RateLimit-Limit": "300, 300;w=60", "RateLimit-Remaining": "280", "RateLimit-Reset": "53"},
            [ReportedLimit("requests", 300, 280, 53.0)],
            id="draft 03",
        ),
    ],
)
def test_other_dialects(headers: Mapping[str, str], expected: list[ReportedLimit]) -> None:
    assert list(read_limits({**DATE, **headers})) == expected
    assert list(read_limits(CIMultiDictProxy(CIMultiDict({**DATE, **headers})))) == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1.5", 1.5), ("20ms", 0.02), ("59.70s", 59.7), ("2m59.56s", 179.56), ("1h30m", 5_400.0),
        ("1d", 86_400.0),
        ("0", 0.0), (" 7 ", 7.0), (str(NOON + 20), 20.0), (str(NOON - 20), 0.0), (f"{NOON + 20}000", 20.0),
        ("2026-11-24T12:01:00+00:00", 60.0), ("2026-11-24T13:01:00+01:00", 60.0),
        ("2026-11-24T12:01:00", 60.0),
        ("2026-11-24T11:00:00Z", 0.0), ("soon", None), ("", None), ("nan", None), ("inf", None), ("-3", 0.0),
        ("1e400", None), ("5 minutes", None), ("s", None), ("ms", None),
    ],
)  # fmt: skip
def test_resets_in_every_form(text: str, seconds: float | None) -> None:
    headers = {**DATE, "x-ratelimit-limit-requests": "10", "x-ratelimit-reset-requests": text}
    (limit,) = read_limits(headers)
    assert limit.reset == (None if seconds is None else pytest.approx(seconds))


def test_without_the_servers_date_our_clock_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: float(NOON))
    headers = {"x-ratelimit-limit-requests": "10", "x-ratelimit-reset-requests": str(NOON + 9)}
    assert read_limits(headers)[0].reset == 9.0


def test_answers_that_report_nothing() -> None:
    assert read_limits({}) == ()
    assert read_limits(CIMultiDictProxy(CIMultiDict({"Content-Type": "application/json", **DATE}))) == ()


names = st.sampled_from(
    ["ratelimit", "ratelimit-limit", "ratelimit-policy", "x-ratelimit-limit", "x-ratelimit-limit-requests",
     "x-ratelimit-limit-tokens", "x-ratelimit-limit-req-minute", "x-ratelimit-limit-requests-day",
     "x-ratelimit-remaining-requests", "anthropic-ratelimit-tokens-limit",
     "ratelimit-remaining", "ratelimit-reset", "x-ratelimit-reset-requests",
     "x-ratelimit-remaining", "x-ratelimit-reset", "anthropic-ratelimit-tokens-reset", "x-tokenlimit-limit",
     "date"]
)  # fmt: skip
values = st.text(max_size=20) | st.from_regex(r"-?[0-9]{1,400}(\.[0-9]+)?(ms|s|m|h|;w=1|Z)?", fullmatch=True)


@given(st.dictionaries(names, values, max_size=8))
def test_nonsense_is_none_and_never_an_error(headers: dict[str, str]) -> None:
    for limit in read_limits(headers):
        assert limit.limit is None or limit.limit > 0
        assert limit.remaining is None or limit.remaining >= 0
        assert limit.reset is None or 0 <= limit.reset < float("inf")


def test_the_wait_is_that_of_the_exhausted_limit_which_is_full_last() -> None:
    free = ReportedLimit("requests", 10, 5, 50.0)
    used, later = ReportedLimit("tokens", 10, 0, 4.0), ReportedLimit("input_tokens", 10, 0, 9.0)
    assert reset_wait([free, used, later]) == 9.0
    assert reset_wait([free]) is None
    assert reset_wait([ReportedLimit("tokens", 10, 0)]) is None
    assert reset_wait([]) is None
