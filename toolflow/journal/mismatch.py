"""Names what differs between a journalled request and the one that is made now in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import zip_longest
from typing import Any, Final

import msgspec

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message
from toolflow.errors import RunDirectoryError
from toolflow.journal.digest import digest_of_schema
from toolflow.llm.chat import Request

_WORDS_SHOWN: Final = 8
_LONGEST: Final = 100
_MOST_LINES: Final = 8

_HINT: Final = (
    "Put back what has changed, and run the same command again; or go on as another run with --fork NEW_RUN, "
    "which takes over what still fits and pays for the rest."
)


def mismatch(old: Request | None, new: Request) -> RunDirectoryError:
    """The error for a request that is not the one that was paid for.

    Args:
        old: What the journal holds; None where its text is lost.
        new: What is asked now under the same key.
    """
    key = new.key
    found = [] if old is None else list(differences(old, new))
    lines = [f"  {what}" for what, _ in found[:_MOST_LINES]]
    if len(found) > _MOST_LINES:
        lines.append(f"  and {len(found) - _MOST_LINES} more")
    if not found:
        lines = ["  what was asked then can no longer be read: only its hash is left, and it differs"]
    causes = list(dict.fromkeys(cause for _, cause in found)) or ["a prompt, the configuration or the code"]
    message = (
        f"dialogue {key.dialogue}: the journal holds another request for {key.role} call {key.position} "
        f"(then → now):\n"
        + "\n".join(lines)
        + f"\nSo {' and '.join(causes)} has changed since the run began."
    )
    return RunDirectoryError(message, hint=_HINT)


def differences(old: Request, new: Request) -> Iterator[tuple[str, str]]:
    """Each difference in words, ``then → now``, and what has changed if there is such a one."""
    if old.model != new.model:
        yield f"model: {old.model} → {new.model}", "the configuration"
    for field in fields(old.sampling):
        then, now = getattr(old.sampling, field.name), getattr(new.sampling, field.name)
        if then != now:
            yield f"{field.name}: {_or_none(then)} → {_or_none(now)}", "the configuration"
    yield from _messages(old.messages, new.messages)
    yield from _tools(old.tools, new.tools)
    if old.tool_choice != new.tool_choice:
        yield f"tool choice: {old.tool_choice} → {new.tool_choice}", "the code"
    yield from _formats(old, new)
    if old.seed != new.seed:
        yield f"seed: {old.seed} → {new.seed}", "the run's seed or the code"


def _messages(old: Sequence[Message], new: Sequence[Message]) -> Iterator[tuple[str, str]]:
    for number, (then, now) in enumerate(zip_longest(old, new), 1):
        if then == now:
            continue
        if then is None or now is None:
            yield f"messages: {len(old)} → {len(new)}", "a prompt template or the code"
        elif then.role != now.role:
            yield f"message {number}: by {then.role} → by {now.role}", "a prompt template or the code"
        else:
            cause = (
                "a prompt template"
                if then.role == "system"
                else "a prompt template, the catalogue or the code"
            )
            yield f"message {number} ({then.role}), {_first_change(_text(then), _text(now))}", cause
        return  # what comes after it follows from it


def _text(message: Message) -> str:
    if not message.tool_calls and message.tool_call_id is None:
        return message.content
    return message.to_json().decode()


def _first_change(old: str, new: str) -> str:
    """Where two texts part, and how they go on from there."""
    then, now = old.split(" "), new.split(" ")
    place = next(
        (place for place, (one, other) in enumerate(zip(then, now, strict=False)) if one != other),
        min(len(then), len(now)),
    )
    return f"word {place + 1}: {_from(then, place)} → {_from(now, place)}"


def _from(words: Sequence[str], place: int) -> str:
    shown = " ".join(words[place : place + _WORDS_SHOWN])
    if len(shown) > _LONGEST or place + _WORDS_SHOWN < len(words):
        shown = shown[:_LONGEST] + " …"
    return msgspec.json.encode(shown).decode() if words[place:] else "nothing more"


def _tools(old: Sequence[Tool], new: Sequence[Tool]) -> Iterator[tuple[str, str]]:
    then = {tool.function_name: tool for tool in old}
    now = {tool.function_name: tool for tool in new}
    for name in sorted(then.keys() - now.keys()):
        yield f"tool {name}: there → gone", "the catalogue"
    for name in sorted(now.keys() - then.keys()):
        yield f"tool {name}: not there → there", "the catalogue"
    for name in (name for name in then if name in now):
        one, other = then[name], now[name]
        if one.description != other.description:
            yield (
                f"description of tool {name}, {_first_change(one.description, other.description)}",
                "the catalogue",
            )
        if one.parameters != other.parameters:
            yield (
                f"parameters of tool {name}, {_first_field(one.parameters, other.parameters)}",
                "the catalogue",
            )
    if then == now and [*then] != [*now]:
        yield f"order of the tools: {', '.join(then)} → {', '.join(now)}", "the catalogue or the code"


def _formats(old: Request, new: Request) -> Iterator[tuple[str, str]]:
    then, now = old.response_format, new.response_format
    if then is None or now is None:
        if then is not now:
            names = (then.name if then else "free text", now.name if now else "free text")
            yield f"reply format: {names[0]} → {names[1]}", "the code"
    elif then.name != now.name:
        yield f"reply format: {then.name} → {now.name}", "the code"
    elif digest_of_schema(then.schema) != digest_of_schema(now.schema):
        where = _first_field(then.schema, now.schema)
        yield f"schema of reply format {now.name}, {where}", "the catalogue or the code"


def _first_field(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The first field in which two schemas differ, with both values."""
    where, then, now = next(_changed_fields(old, new, ""), ("order of keys", None, None))
    return f"{where}: {_short(then)} → {_short(now)}" if then is not now else where


def _changed_fields(old: Any, new: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _changed_fields(old.get(key), new.get(key), f"{where}.{key}" if where else str(key))
    elif old != new:
        yield where, old, new


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode() if value is not None else "nothing"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _or_none(value: float | None) -> str:
    return "left to the endpoint" if value is None else f"{value:g}"
