"""A whole dialogue against a server that was not written for this project: llama.cpp and a small real model.

The model is weak, so the world is made small for it: one goal, one tool, few values to choose from. What is
shown is that every request is accepted, every reply read, and that a valid dialogue comes out, however poor.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from tests.e2e.commands import Command
from tests.e2e.validation import assert_valid, lines

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        importlib.util.find_spec("xllamacpp") is None, reason="the extra toolflow-synth[embedded] is missing"
    ),
]

_CITY = {"type": "string", "description": "Name of the city.", "enum": ["Oslo", "Rome", "Paris"]}
_PARAMETERS = {"type": "object", "properties": {"city": _CITY}, "required": ["city"]}
_TOOLS = [
    {
        "name": "weather",
        "description": "Current weather in a city.",
        "parameters": _PARAMETERS,
        "returns": {
            "type": "object",
            "properties": {
                "celsius": {"type": "integer", "minimum": -20, "maximum": 40},
                "sky": {"type": "string", "enum": ["clear", "cloudy", "rain"]},
            },
            "required": ["celsius", "sky"],
            "additionalProperties": False,
        },
    },
    {
        "name": "clock",
        "description": "Local time in a city.",
        "parameters": _PARAMETERS,
        "returns": {
            "type": "object",
            "properties": {"hour": {"type": "integer", "minimum": 0, "maximum": 23}},
            "required": ["hour"],
            "additionalProperties": False,
        },
    },
]
_CONFIG = """
n: 1
max_candidates: 40
dialogue: {fewest_goals: 1, most_goals: 1, most_turns: 8, most_rounds: 1, repairs: 3}
sampler: {fewest_tools: 1, most_tools: 1}
roles:
  planner: {temperature: 0.7, max_tokens: 400}
  user: {temperature: 0.7, max_tokens: 150}
  assistant: {temperature: 0.7, max_tokens: 300}
  tool: {temperature: 0.7, max_tokens: 100}
"""


def test_a_dialogue_completes_with_a_small_real_model(command: Command, tmp_path: Path) -> None:
    fetched = command("model", "fetch", "smollm2")
    if fetched.returncode != 0:
        pytest.skip(f"the model cannot be fetched: {fetched.stderr[-300:]}")
    (tmp_path / "tools.jsonl").write_text("".join(json.dumps(tool) + "\n" for tool in _TOOLS))
    (tmp_path / "config.yaml").write_text(_CONFIG)
    run = tmp_path / "run"
    done = command(
        *("synth", "--config", tmp_path / "config.yaml", "--tools", tmp_path / "tools.jsonl"),
        *("--model", "smollm2", "-o", run, "--display", "none"),
        seconds=1700,
    )
    assert done.returncode == 0, done.stderr
    (dialogue,) = lines(run / "dialogues.jsonl")
    assert_valid(dialogue)
    assert any(message.get("tool_calls") for message in dialogue["messages"])
    assert "rehearsal" not in dialogue["metadata"]
    assert dialogue["metadata"]["models"] == dict.fromkeys(
        ("planner", "user", "assistant", "tool"), "smollm2"
    )
