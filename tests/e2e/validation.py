"""What every line of dialogues.jsonl must be, checked with none of the project's own code.

Schemas are checked with jsonschema_rs directly, from the tools as the line itself holds them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def assert_valid(line: Mapping[str, Any]) -> None:
    """Roles in legal order, arguments valid, each call answered exactly once, tools offered ⊇ called."""
    assert set(line) == {"id", "messages", "tools", "plan", "metadata"}
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in line["tools"]}
    assert all(tool["type"] == "function" for tool in line["tools"])
    before = None
    waiting: list[str] = []
    seen: set[str] = set()
    for message in line["messages"]:
        role = message["role"]
        if role == "tool":
            assert message["tool_call_id"] in waiting
            waiting.remove(message["tool_call_id"])
            json.loads(message["content"])
        else:
            assert not waiting, waiting
            if role == "user":
                assert before in {None, "assistant"}
                assert message["content"].strip()
            else:
                assert role == "assistant"
                assert before in {"user", "tool"}
                assert (message["content"] or "").strip() or message["tool_calls"]
            for call in message.get("tool_calls", []):
                assert call["type"] == "function"
                assert call["id"] not in seen
                seen.add(call["id"])
                waiting.append(call["id"])
                schema = schemas[call["function"]["name"]]
                jsonschema_rs.Draft202012Validator(schema).validate(json.loads(call["function"]["arguments"]))
        before = "calling" if message.get("tool_calls") else role
    assert before == "assistant"
    assert not waiting


@dataclass(frozen=True)
class Shares:
    """Shares of the dialogues of a data set, 0 to 1."""

    two_tools: float
    reuses_a_result: float
    asks: float


def shares(dialogues: Sequence[Mapping[str, Any]]) -> Shares:
    count = len(dialogues)
    return Shares(
        sum(_tools_called(line) >= 2 for line in dialogues) / count,
        sum(_reuses_a_result(line) for line in dialogues) / count,
        sum(_asks(line) for line in dialogues) / count,
    )


def _tools_called(line: Mapping[str, Any]) -> int:
    return len(
        {call["function"]["name"] for message in line["messages"] for call in message.get("tool_calls", [])}
    )


def _reuses_a_result(line: Mapping[str, Any]) -> bool:
    """Whether a call holds a telling value of an earlier result that the user had not said before."""
    known: set[str] = set()
    said = ""
    for message in line["messages"]:
        if message["role"] == "user":
            said += message["content"].lower() + "\n"
        for call in message.get("tool_calls", []):
            values = _scalars(json.loads(call["function"]["arguments"]))
            if any(value in known and value.lower() not in said for value in values):
                return True
        if message["role"] == "tool":
            known |= _scalars(json.loads(message["content"]))
    return False


def _scalars(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {scalar for inner in value.values() for scalar in _scalars(inner)}
    if isinstance(value, list):
        return {scalar for inner in value for scalar in _scalars(inner)}
    if isinstance(value, bool) or value is None or len(str(value)) < 3:
        return set()
    return {str(value)}


def _asks(line: Mapping[str, Any]) -> bool:
    """Whether the assistant asks for what it needs: a question, an answer, and then a call."""
    messages = line["messages"]
    for place, message in enumerate(messages[:-2]):
        asks = message["role"] == "assistant" and "?" in (message["content"] or "")
        unserved = asks and not message.get("tool_calls") and messages[place - 1]["role"] == "user"
        if unserved and messages[place + 2].get("tool_calls"):
            return True
    return False
