"""Reads the prompts as a model would: tagged blocks, labelled lines, the conversation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import msgspec

from toolflow.dialogue.message import Message

Speaker = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Said:
    """One thing said aloud."""

    speaker: Speaker
    text: str


@lru_cache(maxsize=64)
def _tag(name: str) -> re.Pattern[str]:
    return re.compile(rf"^<{name}>\n(.*?)\n?</{name}>$", re.S | re.M)


def block(text: str, name: str) -> str | None:
    """What stands between ``<name>`` and ``</name>``, each on its own line; None without such a block."""
    found = _tag(name).search(text)
    return found.group(1) if found else None


def json_block(text: str, name: str) -> Any:
    """A block that holds one JSON value; None where it is missing or no JSON."""
    return read_json(block(text, name))


def json_lines(text: str, name: str) -> list[dict[str, Any]]:
    """A block that holds one JSON object a line; lines that hold something else are passed over."""
    rows = (read_json(line) for line in (block(text, name) or "").splitlines())
    return [row for row in rows if isinstance(row, dict)]


def read_json(text: str | None) -> Any:
    """Decoded JSON, or None where the text is none."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def conversation(text: str) -> list[Said]:
    """The ``<conversation>`` block: a turn starts at a name, its further lines are indented."""
    said: list[Said] = []
    for line in (block(text, "conversation") or "").splitlines():
        if line.startswith("User: "):
            said.append(Said("user", line[6:]))
        elif line.startswith("Assistant: "):
            said.append(Said("assistant", line[11:]))
        elif said:
            said[-1] = Said(said[-1].speaker, f"{said[-1].text}\n{line.removeprefix('  ')}")
    return said


def labelled(text: str, label: str) -> str:
    """What follows ``label`` on its line; empty where the label is missing."""
    start = text.find(label)
    if start < 0:
        return ""
    return text[start + len(label) :].split("\n", 1)[0].strip()


def last_user_text(messages: Sequence[Message]) -> str:
    """The prompt proper: the last user message."""
    return next((message.content for message in reversed(messages) if message.role == "user"), "")


def first_text(messages: Sequence[Message], mark: str) -> str:
    """The newest message that holds a mark; empty where none does."""
    return next((message.content for message in reversed(messages) if mark in message.content), "")


def is_repair(messages: Sequence[Message]) -> bool:
    """Whether the last message sends a reply back with what is wrong with it."""
    return bool(messages) and messages[-1].role == "user" and "<problems>" in messages[-1].content


def as_object(value: object) -> Mapping[str, Any]:
    """A decoded JSON object, or an empty one."""
    return value if isinstance(value, dict) else {}
