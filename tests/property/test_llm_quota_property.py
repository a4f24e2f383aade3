"""Whatever is sent, whenever it settles: no window of 60 s ever holds more than was allowed."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from toolflow.errors import ConnectionFailedError, LLMError, PermanentLLMError, RateLimitedError
from toolflow.llm.chat import Usage
from toolflow.llm.outcome import Outcome
from toolflow.llm.quota.limits import RateLimits, ReportedLimit
from toolflow.llm.quota.pacing import Pacing, Reservation
from toolflow.llm.quota.window import SLOTS_PER_SECOND, WINDOW, SlidingWindow


@dataclass
class Sent:
    """One request as it went: what it was reserved with, and what it cost in the end."""

    at: float
    reserved: Usage
    cost: Usage
    completed_at: float | None = None


@dataclass
class Step:
    """One request of the plan: sizes, how much is used of them, and what happens around it."""

    prompt: int
    completion: int
    used: float
    idle: float
    settles_after: float
    error: LLMError | None


errors = st.sampled_from(
    [
        None,
        None,
        None,
        RateLimitedError("429", retry_after=1.0),
        ConnectionFailedError("gone"),
        PermanentLLMError("400"),
    ]
)
steps = st.lists(
    st.builds(
        Step,
        prompt=st.integers(0, 400),
        completion=st.integers(0, 400),
        used=st.floats(0.0, 1.0),
        idle=st.sampled_from([0.0, 0.0, 0.0, 0.01, 1.7, 29.0, 61.0, 500.0]),
        settles_after=st.floats(0.0, 90.0),
        error=errors,
    ),
    min_size=1,
    max_size=60,
)
limits = st.builds(
    RateLimits,
    requests=st.none() | st.integers(1, 40),
    tokens=st.none() | st.integers(800, 4_000),
    input_tokens=st.none() | st.integers(400, 2_000),
    output_tokens=st.none() | st.integers(400, 2_000),
)


def play(pacing: Pacing, plan: list[Step], start: float) -> list[Sent]:
    """Send one after the other as soon as each may go; settle whatever is due on the way."""
    now, sent = start, list[Sent]()
    flying: list[tuple[float, Reservation, Sent, LLMError | None]] = []

    def settle_until(moment: float) -> None:
        for entry in sorted((it for it in flying if it[0] <= moment), key=lambda it: it[0]):
            at, reservation, record, error = entry
            flying.remove(entry)
            usage = Usage() if error is not None else record.cost
            record.completed_at = at if error is None else None
            pacing.settle(reservation, Outcome(at - record.at, usage, error), at)

    for step in plan:
        now += step.idle
        settle_until(now)
        estimate = Usage(step.prompt, step.completion)
        while (pause := pacing.wait(estimate, now)) > 0:
            now = min([now + pause, *(it[0] for it in flying if it[0] > now)])
            settle_until(now)
        cost = Usage(round(step.prompt * step.used), round(step.completion * step.used))
        if step.error is not None:
            cost = Usage(step.prompt, 0)
        if cost.prompt == 0:
            # An endpoint that says nothing of the prompt has said nothing.
            cost = Usage(step.prompt, cost.completion)
        record = Sent(now, estimate, cost)
        sent.append(record)
        flying.append((now + step.settles_after, pacing.reserve(estimate, now), record, step.error))
    settle_until(float("inf"))
    return sent


def fullest(amounts: list[tuple[float, int]]) -> int:
    """The most that any 60 s hold."""
    return max(sum(amount for at, amount in amounts if begun <= at < begun + 60) for begun, _ in amounts)


@given(limits=limits, plan=steps, start=st.sampled_from([0.0, 0.05, 12_345.678, 1e7]))
def test_no_minute_holds_more_than_the_limits(limits: RateLimits, plan: list[Step], start: float) -> None:
    sent = play(Pacing(limits), plan, start)
    assert limits.requests is None or fullest([(it.at, 1) for it in sent]) <= limits.requests
    if limits.tokens is not None:
        assert fullest([(it.at, it.cost.prompt + it.cost.completion) for it in sent]) <= limits.tokens
    if limits.input_tokens is not None:
        assert fullest([(it.at, it.cost.prompt) for it in sent]) <= limits.input_tokens
    if limits.output_tokens is not None:
        assert fullest([(it.at, it.cost.completion) for it in sent]) <= limits.output_tokens


@given(tokens=st.integers(1_000, 4_000), plan=steps)
def test_what_arrives_fits_where_completions_count_when_complete(tokens: int, plan: list[Step]) -> None:
    sent = play(Pacing(RateLimits(tokens=tokens)), plan, 0.0)
    charged = [(it.at, it.cost.prompt) for it in sent]
    charged += [(it.completed_at, it.cost.completion) for it in sent if it.completed_at is not None]
    for it in sent:
        if it.reserved.prompt + it.reserved.completion:
            assert sum(amount for at, amount in charged if it.at - 60 < at <= it.at) <= tokens


@given(
    plan=steps,
    reports=st.lists(
        st.tuples(st.integers(-1, 50), st.none() | st.integers(-5, 80), st.none() | st.floats(0, 9e4)),
        max_size=20,
    ),
)
def test_nothing_that_servers_report_makes_it_wait_for_ever(
    plan: list[Step], reports: list[tuple[int, int | None, float | None]]
) -> None:
    pacing, now = Pacing(), 0.0
    for step, (limit, remaining, reset) in zip(plan, reports, strict=False):
        reservation = pacing.reserve(Usage(step.prompt, step.completion), now)
        reported = tuple(ReportedLimit(kind, limit, remaining, reset) for kind in ("requests", "tokens"))
        now += step.settles_after
        pacing.settle(reservation, Outcome(1.0, Usage(5, 5), limits=reported), now)
    for _ in range(200):
        pause = pacing.wait(Usage(10_000, 10_000), now)
        if pause == 0.0:
            return
        now += pause
    raise AssertionError(f"still waiting after {now} s: {pacing!r}")


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.integers(0, 9)), max_size=200))
def test_a_window_remembers_all_of_the_last_minute_and_little_more(
    entries: list[tuple[float, int]],
) -> None:
    window, now, added = SlidingWindow(), 0.0, list[tuple[float, int]]()
    for idle, amount in entries:
        now += idle
        slot = int(now * SLOTS_PER_SECOND)
        window.advance(slot)
        window.add(amount, slot)
        added.append((now, amount))
        assert window.total >= sum(amount for at, amount in added if now - at <= WINDOW)
        assert window.total <= sum(amount for at, amount in added if now - at <= WINDOW + 0.2)
