"""Which attempt is lost, told step by step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toolflow.llm.stall import Kind, Sent, Stalls

KIND = Kind("http://a", "m", "user")


def taught(answers: int = 100, seconds: float = 1.0) -> Stalls:
    """Knows what an answer takes."""
    stalls = Stalls()
    for number in range(answers):
        stalls.ended(stalls.sent(KIND, float(number)), number + seconds, answered=True)
    return stalls


def answer(stalls: Stalls, count: int, began: float, seconds: float = 1.0, kind: Kind = KIND) -> None:
    for _ in range(count):
        stalls.ended(stalls.sent(kind, began), began + seconds, answered=True)


def test_it_is_lost_once_it_took_twice_as_long_as_any_while_others_were_answered() -> None:
    stalls = taught()
    attempt = stalls.sent(KIND, 200.0)
    answer(stalls, 16, 200.5)
    assert stalls.look(attempt, 201.0) == 1.0
    assert stalls.look(attempt, 202.0) is None


def test_it_is_not_lost_while_too_few_others_were_answered() -> None:
    stalls = taught()
    attempt = stalls.sent(KIND, 200.0)
    answer(stalls, 15, 200.5)
    assert stalls.look(attempt, 240.0) == 10.0
    answer(stalls, 1, 240.0)
    assert stalls.look(attempt, 250.0) is None


def test_answers_of_another_role_prove_nothing() -> None:
    stalls = taught()
    attempt = stalls.sent(KIND, 200.0)
    answer(stalls, 100, 200.5, kind=Kind("http://a", "m", "planner"))
    assert stalls.look(attempt, 240.0) is not None


def test_where_many_are_late_none_is_lost() -> None:
    stalls = taught()
    attempts = [stalls.sent(KIND, 200.0) for _ in range(5)]
    answer(stalls, 16, 200.5)
    assert stalls.look(attempts[0], 210.0) is not None
    stalls.ended(attempts[-1], 210.0, answered=False)
    assert stalls.look(attempts[0], 210.0) is None


def test_before_enough_is_known_none_is_lost() -> None:
    stalls = taught(answers=10)
    attempt = stalls.sent(KIND, 200.0)
    answer(stalls, 50, 200.5)
    assert stalls.look(attempt, 280.0) is not None
    answer(stalls, 4, 200.5)
    assert stalls.look(attempt, 280.0) is None


def test_below_a_second_none_is_lost() -> None:
    stalls = taught(seconds=0.01)
    attempt = stalls.sent(KIND, 200.0)
    answer(stalls, 100, 200.01, 0.01)
    assert stalls.look(attempt, 200.5) == 0.5
    assert stalls.look(attempt, 201.0) is None


def test_a_call_is_given_more_time_after_each_attempt_that_was_given_up() -> None:
    stalls = taught()
    attempt = stalls.sent(KIND, 200.0, given_up=1)
    answer(stalls, 100, 200.5)
    assert stalls.look(attempt, 204.0) == 4.0
    assert stalls.look(attempt, 208.0) is None


def test_what_was_slow_long_ago_is_forgotten() -> None:
    stalls = taught()
    answer(stalls, 1, 200.0, 50.0)
    answer(stalls, 900, 200.0)
    assert (stalls.look(stalls.sent(KIND, 300.0), 300.0) or 0.0) == 100.0
    answer(stalls, 1100, 200.0)
    assert (stalls.look(stalls.sent(KIND, 300.0), 300.0) or 0.0) == 2.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "answer", "fail", "look"]), st.floats(0.0, 5.0), st.integers(0, 50)
        ),
        max_size=300,
    )
)
def test_whatever_happens_few_are_given_up_and_never_early(steps: list[tuple[str, float, int]]) -> None:
    stalls = taught(seconds=0.5)
    now, answered, given_up = 200.0, 100, 0
    latencies = [0.5]
    flights: list[tuple[Sent, float]] = []
    for what, pause, which in steps:
        now += pause
        if what == "send" or not flights:
            flights.append((stalls.sent(KIND, now), now))
            continue
        attempt, began = flights[which % len(flights)]
        if what == "look":
            again = stalls.look(attempt, now)
            assert again is None or again > 0.0
            if again is not None:
                continue
            given_up += 1
            assert now - began >= max(1.0, 2 * max(latencies)) - 1e-9
        elif what == "answer":
            answered += 1
            latencies.append(now - began)
        stalls.ended(attempt, now, answered=what == "answer")
        flights.remove((attempt, began))
    assert given_up <= 4 + 0.02 * answered
