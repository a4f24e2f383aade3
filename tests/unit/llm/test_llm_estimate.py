"""Foreseeing LLM tokens: by length at first, by experience soon."""

from __future__ import annotations

import gc
from random import Random

import pytest

from tests.reachable import reachable
from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message, ToolCall
from toolflow.llm.chat import CallKey, Request, ResponseFormat, Sampling, Usage
from toolflow.llm.quota import estimate as module
from toolflow.llm.quota.estimate import TokenEstimator, length_of


def request_of(text: str, role: str = "user", model: str = "m", **rest: object) -> Request:
    return Request(CallKey(0, role, 0), model, (Message("user", text),), **rest)  # type: ignore[arg-type]


def test_before_any_answer_length_alone_tells() -> None:
    estimator = TokenEstimator()
    short, long = estimator.estimate(request_of("x" * 100)), estimator.estimate(request_of("x" * 10_000))
    assert 2_500 < long.prompt < 3_300
    assert short.prompt < 60
    assert short.completion == long.completion > 0


def test_everything_the_model_is_shown_counts() -> None:
    plain = length_of(request_of("hello"))
    tool = Tool(
        "weather", "Tells the weather. " * 20, {"type": "object", "properties": {"city": {"type": "string"}}}
    )
    call = ToolCall("call_1", "weather", '{"city": "' + "x" * 300 + '"}')
    called = Request(
        CallKey(0, "user", 0), "m", (Message("user", "hello"), Message("assistant", "", (call,)))
    )
    assert length_of(request_of("hello", tools=(tool,))) > plain + 380
    assert length_of(called) > plain + 300
    schema = {"type": "object", "description": "y" * 500}
    assert length_of(request_of("hello", response_format=ResponseFormat("plan", schema))) > plain + 500


def test_tools_that_were_measured_are_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 10)
    monkeypatch.setattr(module, "_KINDS_KEPT", 10)

    def measure(number: int) -> None:
        tool = Tool(f"measured {number}", "", {"type": "object"})
        schema = {"type": "object", "title": "z" * number}
        asked = request_of("", tools=(tool,), response_format=ResponseFormat("f", schema))
        assert length_of(asked) == length_of(asked)

    for number in range(50):
        measure(number)
    alive = [one for one in gc.get_objects() if isinstance(one, Tool) and one.name.startswith("measured ")]
    assert len(alive) <= 10


def test_characters_for_each_llm_token_are_learned_for_the_model() -> None:
    estimator = TokenEstimator()
    for _ in range(40):
        estimator.learn(request_of("字" * 984), Usage(1_500, 10))
    assert estimator.estimate(request_of("字" * 984)).prompt == pytest.approx(1_500, rel=0.05)
    assert estimator.estimate(request_of("字" * 984, role="planner")).prompt == pytest.approx(1_500, rel=0.05)
    assert estimator.estimate(request_of("字" * 984, model="other")).prompt < 400


def test_completions_are_learned_for_each_role() -> None:
    estimator = TokenEstimator()
    for _ in range(40):
        estimator.learn(request_of("hello", role="planner"), Usage(10, 900))
        estimator.learn(request_of("hello", role="user"), Usage(10, 20))
    assert estimator.estimate(request_of("hello", role="planner")).completion == pytest.approx(900, rel=0.02)
    assert estimator.estimate(request_of("hello", role="user")).completion == pytest.approx(20, abs=2)


def test_most_usage_stays_below_its_estimate_and_little_is_wasted() -> None:
    estimator, random = TokenEstimator(), Random(5)
    below = reserved = used = 0
    for number in range(2_000):
        request = request_of("x" * random.randint(200, 4_000))
        foreseen = estimator.estimate(request)
        actual = Usage(
            int(length_of(request) / random.uniform(3.8, 4.4)), int(random.lognormvariate(5.0, 0.5))
        )
        estimator.learn(request, actual)
        if number >= 50:
            below += actual.completion <= foreseen.completion
            reserved += foreseen.prompt + foreseen.completion
            used += actual.prompt + actual.completion
    assert below >= 0.75 * 1_950
    assert 1.0 < reserved / used < 1.3


def test_max_tokens_bounds_the_completion() -> None:
    estimator = TokenEstimator()
    assert estimator.estimate(request_of("hello", sampling=Sampling(max_tokens=30))).completion == 30
    estimator.learn(request_of("hello"), Usage(10, 25))
    assert estimator.estimate(request_of("hello", sampling=Sampling(max_tokens=8_000))).completion == 26


def test_an_endpoint_that_counts_nothing_teaches_nothing() -> None:
    estimator = TokenEstimator()
    before = estimator.estimate(request_of("hello"))
    estimator.learn(request_of("hello"), Usage(0, 50))
    assert estimator.estimate(request_of("hello")) == before


def test_it_follows_when_completions_change() -> None:
    estimator = TokenEstimator()
    for _ in range(500):
        estimator.learn(request_of("hello"), Usage(10, 100))
    for _ in range(150):
        estimator.learn(request_of("hello"), Usage(10, 1_000))
    assert estimator.estimate(request_of("hello")).completion > 950


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KINDS_KEPT", 10)
    estimator = TokenEstimator()
    kept = []
    for number in range(100):
        estimator.learn(request_of("hello", model=f"model-{number}"), Usage(10, 10))
        kept.append(reachable(estimator))
    assert kept[5] > kept[4]
    assert kept[99] == kept[20]


def test_text_that_no_json_can_carry_is_measured_all_the_same() -> None:
    tool = Tool("odd", "\ud83d", {"type": "object", "description": "\ud83d"})
    assert TokenEstimator().estimate(request_of("\ud83d", tools=(tool,))).prompt > 0
