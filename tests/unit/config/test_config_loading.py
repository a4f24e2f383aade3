"""What a file and options say becomes a configuration, or an error that names the setting."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from toolflow.config import load_config
from toolflow.errors import UsageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.yaml"


def test_options_go_before_the_file_and_reach_into_its_sections(file: Path) -> None:
    file.write_text("n: 5\nseed: 3\nsampler: {fewest_tools: 2, threshold: 0.5}\n")
    config = load_config(file, {"n": 7, "sampler.threshold": 0.6, "rpm": None})
    assert (config.n, config.seed) == (7, 3)
    assert (config.sampler.fewest_tools, config.sampler.threshold) == (2, 0.6)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "headers:\n"])
def test_what_is_empty_says_nothing(file: Path, text: str) -> None:
    file.write_text(text)
    config = load_config(file, {"headers": {"X-Team": "c"}})
    assert set(config.headers) == {"X-Team"}


@pytest.mark.parametrize(
    ("text", "flags", "told"),
    [
        ("colour: red", {}, "colour: there is no such setting"),
        ("roles: {waiter: {model: m}}", {}, "roles.waiter: there is no such setting"),
        ("tools: tools.jsonl", {}, "tools: must be a list"),
        ("sampler: 3", {}, "sampler: must hold fields"),
        ("sampler: 3", {"sampler.threshold": 0.5}, "sampler: must hold fields"),
        ("headers: [a]", {"headers": {"X-Team": "c"}}, "headers: must hold fields"),
        ("max_concurrency: yes", {}, "max_concurrency: give auto, or a whole number above 0, not True"),
        ("n: 0\nretries: -1", {}, "n: Input should be greater than or equal to 1; retries: "),
        ("graph: a.graph", {}, "graph: there is no such setting"),
        ("base_url: http://a/v1\nendpoints: [{base_url: http://b/v1}]", {}, "give base_url or endpoints"),
        ("[1]", {}, "must hold fields such as 'n: 100'"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_setting(
    file: Path, text: str, flags: Mapping[str, Any], told: str
) -> None:
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_config(file, flags)
    assert caught.value.message.startswith(str(file))
    assert told in caught.value.message


@pytest.mark.parametrize("more", [{"limit_tools": 5}, {"skip_invalid": True}])
def test_what_is_for_catalogues_is_refused_where_a_graph_has_the_tools(more: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="a graph has tools of its own"):
        load_config(None, {"sampler.graph": "tools.graph"} | more)
    load_config(None, {"sampler.graph": "tools.graph", "tools": ["tools.jsonl"]} | more)
