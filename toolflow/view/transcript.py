"""A finished dialogue for a reader: what the user is after, what is said, what is called and returned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from toolflow.text import one_line, printable

_MOST_RESULT = 400
_STYLES = {"user": "bold cyan", "assistant": "bold green"}


def render_dialogue(line: Mapping[str, Any]) -> RenderableType:
    """A line of dialogues.jsonl as text."""
    return Group(*_header(line), _messages(line["messages"]))


def render_rejection(line: Mapping[str, Any]) -> RenderableType:
    """A line of rejected.jsonl as text."""
    parts = [Text(f"{line['id']}  thrown out at: {line['stage']}, reason: {line['reason']}", "bold red")]
    findings = line.get("findings") or [{"check": line["reason"], "detail": line.get("detail", "")}]
    parts += [Text(f"  {finding['check']}: {printable(finding['detail'])}") for finding in findings]
    return Group(*parts)


def _header(line: Mapping[str, Any]) -> Iterator[RenderableType]:
    metadata = line["metadata"]
    scenario = metadata["scenario"]
    rehearsal = "  (rehearsal: not for training)" if metadata.get("rehearsal") else ""
    yield Text.assemble((line["id"], "bold"), (rehearsal, "yellow"))
    yield Text(f"user: {one_line(scenario['persona'], 200)}; emphasis: {scenario['kind']}", "dim")
    yield Text(f"tools: {', '.join(tool['function']['name'] for tool in line['tools'])}", "dim")
    usage = metadata["usage"]
    yield Text(f"LLM tokens: {usage['prompt']} prompt, {usage['completion']} completion", "dim")
    yield Text(f"plan: {printable(line['plan']['topic'])}", "dim")
    for place, goal in enumerate(line["plan"]["goals"], 1):
        calls = ", ".join(call["tool"] for call in goal["calls"])
        arrow = f"  → {calls}" if calls else ""
        yield Text(f"  {place}. {printable(goal['request'])}{arrow}", "dim")
    yield Text("")


def _messages(messages: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Who speaks on the left, what is said, called and returned on the right."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    for message in messages:
        role = message["role"]
        if role == "tool":
            grid.add_row("", Text(f"⇒ {one_line(message['content'], _MOST_RESULT)}", "dim"))
            continue
        if message["content"]:
            grid.add_row(Text(role, _STYLES.get(role, "bold")), Text(printable(message["content"])))
        for call in message.get("tool_calls") or ():
            function = call["function"]
            arguments = one_line(function["arguments"], _MOST_RESULT)
            grid.add_row("", Text.assemble((printable(function["name"]), "magenta"), f" {arguments}"))
    return grid
