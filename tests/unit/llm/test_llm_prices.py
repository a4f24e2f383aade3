"""Prices: the shipped file, the user's over it, and what is said of a file that is wrong."""

from __future__ import annotations

import math
import re
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from toolflow.errors import UsageError
from toolflow.llm.budget.prices import PICODOLLARS, LongPrompt, Price, Prices
from toolflow.llm.chat import Usage

REHEARSAL = "rehearsal"
MILLION = Usage(1_000_000, 1_000_000)


def usd(prices: Prices, model: str, usage: Usage = MILLION) -> float:
    price = prices.find(model)
    assert price is not None
    return price.picodollars(usage) / PICODOLLARS


def load(folder: Path, text: str, name: str = "prices.yaml") -> Prices:
    file = folder / name
    file.write_text(text, "utf-8")
    return Prices.load(file)


def test_shipped_prices_are_read_and_the_rehearsal_model_costs_nothing() -> None:
    prices = Prices.load()
    assert usd(prices, "gpt-4.1") == 10.0
    assert usd(prices, "claude-haiku-4-5") == 6.0
    assert usd(prices, REHEARSAL) == 0.0


def test_every_shipped_price_says_of_which_day_it_is() -> None:
    prices = Prices.load()
    models = yaml.safe_load((files("toolflow.llm.budget") / "prices.yaml").read_text("utf-8"))
    assert len(models) > 20
    for model in models:
        price = prices.find(model)
        assert price is not None
        if model != REHEARSAL:
            assert date.fromisoformat(price.as_of) < date(2100, 1, 1)
            assert 0 < price.input_per_million <= price.output_per_million, model


def test_a_model_that_no_file_names_has_no_price() -> None:
    prices = Prices.load()
    assert prices.find("gpt-4.1-2025-04-14") is None  # begins like gpt-4.1, which is no pattern
    assert prices.find("openai/gpt-4.1") is None
    assert prices.find("") is None


def test_a_long_prompt_makes_the_whole_call_dearer() -> None:
    price = Price(1.0, 2.0, LongPrompt(1000, 3.0, 4.0))
    assert price.picodollars(Usage(1000, 10)) == 1000 * 1_000_000 + 10 * 2_000_000
    assert price.picodollars(Usage(1001, 10)) == 1001 * 3_000_000 + 10 * 4_000_000


def test_the_users_file_wins(tmp_path: Path) -> None:
    prices = load(tmp_path, "gpt-4.1: {input_per_million: 1, output_per_million: 2}\n")
    assert usd(prices, "gpt-4.1") == 3.0
    assert usd(prices, "gpt-4.1-mini") == 2.0
    everything = load(tmp_path, '"*": {input_per_million: 0, output_per_million: 0}\n')
    assert usd(everything, "gpt-4.1") == 0.0


def test_exact_names_come_before_the_longest_pattern(tmp_path: Path) -> None:
    prices = load(
        tmp_path,
        """
        "Qwen/*": {input_per_million: 1, output_per_million: 0}
        "Qwen/Qwen3-*": {input_per_million: 2, output_per_million: 0}
        Qwen/Qwen3-8B: {input_per_million: 3, output_per_million: 0}
        """,
    )
    assert usd(prices, "Qwen/Qwen2-7B") == 1.0
    assert usd(prices, "Qwen/Qwen3-32B") == 2.0
    assert usd(prices, "Qwen/Qwen3-8B") == 3.0
    assert prices.find("qwen/Qwen2-7B") is None


def test_json_is_read_too(tmp_path: Path) -> None:
    text = '{\n\t"m": {"input_per_million": 1e-1, "output_per_million": 0.2, "source": "a page"}\n}'
    prices = load(tmp_path, text, "prices.json")
    assert usd(prices, "m") == pytest.approx(0.3)
    price = prices.find("m")
    assert price is not None
    assert price.source == "a page"


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert usd(load(tmp_path, "# none yet\n"), "gpt-4.1") == 10.0


def test_a_missing_price_is_told_with_the_file_to_write(tmp_path: Path) -> None:
    prices = Prices.load()
    prices.require(["gpt-4.1", REHEARSAL])
    with pytest.raises(UsageError, match="Qwen/Qwen3-8B, local:8b,") as caught:
        prices.require(["gpt-4.1", "Qwen/Qwen3-8B", "local:8b", "Qwen/Qwen3-8B"])
    assert caught.value.hint is not None
    assert "--prices FILE" in caught.value.hint
    lines = re.findall(r'"[^"]+": \{.*?\}', caught.value.hint)
    written = load(tmp_path, "\n".join(line.replace("USD", "0.5") for line in lines))
    assert [usd(written, model) for model in ("Qwen/Qwen3-8B", "local:8b")] == [1.0, 1.0]


PAIR = "input_per_million: 1, output_per_million: 1"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1, 2]", "prices.yaml is not a mapping"),
        ("just words", "prices.yaml is not a mapping"),
        ("m: 3", "prices.yaml: m must be of the form"),
        ("m: {input_per_million: 1}", "prices.yaml: m lacks output_per_million"),
        ("m: {input_per_million: -1, output_per_million: 1}", "prices.yaml: m: input_per_million must be"),
        ("m: {input_per_million: .nan, output_per_million: 1}", "input_per_million must be .* not nan"),
        ("m: {input_per_million: 1, output_per_million: .inf}", "output_per_million must be .* not inf"),
        ("m: {input_per_million: 1, output_per_million: true}", "output_per_million must be .* not True"),
        ("m: {input_per_million: 1, output_per_million: $2}", "output_per_million must be"),
        (f"m: {{input_per_million: 1, output_per_million: 1{'0' * 400}}}", "output_per_million must be"),
        (f"m: {{{PAIR}, cached: 1}}", "prices.yaml: m has unknown fields cached; known are input_per"),
        (f"m: {{{PAIR}, as_of: 5}}", "prices.yaml: m: as_of must be text"),
        (f"m: {{{PAIR}, long_prompt: 5}}", "prices.yaml: m: long_prompt must be of the form"),
        (f"m: {{{PAIR}, long_prompt: {{above: 1.5, {PAIR}}}}}", "long_prompt: above must be a number"),
        (
            f"m: {{{PAIR}, long_prompt: {{above: 9, input_per_million: 0.5, output_per_million: 2}}}}",
            "m: long_prompt is cheaper",
        ),
        (f"4.1: {{{PAIR}}}", "prices.yaml: 4.1 is no model name"),
        (f"'a*b': {{{PAIR}}}", r"prices.yaml: a\*b has a \* that is not at its end"),
        (f"m: {{{PAIR}}}\nm: {{{PAIR}}}", r"prices\.yaml:1: not valid YAML: .*'m' is there twice"),
        (f"m: {{{PAIR}, input_per_million: 2}}", "'input_per_million' is there twice"),
        ("a: b: c", r"prices\.yaml:1: not valid YAML"),
        (f"[m]: {{{PAIR}}}", r"prices\.yaml:1: not valid YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"m": {"input_per_million": NaN, "output_per_million": 1}}', "input_per_million must be"),
        ('{"m": 1, "m": 2}', "prices.json: not readable: 'm' is there twice"),
        ("{", "prices.json: not readable: .* line 1"),
    ],
)
def test_a_wrong_json_file_is_refused_with_the_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load(tmp_path, text, "prices.json")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml: the prices cannot be read: No such file"):
        Prices.load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"m\xe9: 1")
    with pytest.raises(UsageError, match=r"latin\.yaml: not readable"):
        Prices.load(tmp_path / "latin.yaml")


amounts = st.floats(0, 1_000_000)
tokens = st.integers(0, 2_000_000)


@given(amounts, amounts, tokens, tokens)
def test_a_cost_is_never_below_what_the_price_says(
    given_in: float, given_out: float, prompt: int, completion: int
) -> None:
    picodollars = Price(given_in, given_out).picodollars(Usage(prompt, completion))
    exact = (Decimal(repr(given_in)) * prompt + Decimal(repr(given_out)) * completion) / 10**6
    assert picodollars >= exact * PICODOLLARS
    assert picodollars <= math.ceil(exact * PICODOLLARS) + prompt + completion
