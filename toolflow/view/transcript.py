"""A dialogue for a reader: what the user is after, what is said, called and returned, and what it took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from toolflow.text import one_line, printable
from toolflow.view.figures import UNKNOWN, count

_MOST_RESULT = 400
_MOST_LINKS = 8
_STYLES = {"user": "bold cyan", "assistant": "bold green"}
_STATES: Final[Mapping[str, str]] = {"accepted": "green", "spare": "green", "unfinished": "yellow"}

Document = Mapping[str, Any]


def render_explanation(document: Document) -> RenderableType:
    """A document of :func:`toolflow.rework.explanation.explain` as text."""
    return Group(
        *_head(document),
        *_verdict(document),
        *_plan(document),
        Text(""),
        _messages(document["messages"], document["findings"]),
        *_calls(document),
    )


def dollars(cost: float | None) -> str:
    """A sum of money as people read it; a dash where it is not known."""
    if cost is None:
        return UNKNOWN
    return "$0" if cost == 0 else f"${cost:.2f}" if cost >= 0.995 else f"${cost:.2g}"


def _head(document: Document) -> Iterator[RenderableType]:
    state = document["state"]
    rehearsal = "  (rehearsal: not for training)" if document["rehearsal"] else ""
    yield Text.assemble(
        (document["id"], "bold"), "  ", (state, _STATES.get(state, "bold red")), (rehearsal, "yellow")
    )
    scenario = document["scenario"]
    yield Text(f"user: {one_line(scenario['persona'], 200)}; emphasis: {scenario['kind']}", "dim")
    yield Text(f"tools: {_names(document['tools'])}", "dim")
    if document["distractors"]:
        yield Text(f"distractors: {_names(document['distractors'])}", "dim")
    links = document["links"]
    for link in links[:_MOST_LINKS]:
        arrow = "→" if link["kind"] == "return-parameter" else "~"
        ends = [f"{link[end + '_tool']}.{link[end + '_field']}" for end in ("from", "to")]
        yield Text(
            f"  {one_line(ends[0], 100)} {arrow} {one_line(ends[1], 100)}  {link['weight']:.2f}", "dim"
        )


def _verdict(document: Document) -> Iterator[RenderableType]:
    replay = document["replay"]
    match document["state"]:
        case "rejected":
            yield Text("rejected by the checks:", "red")
        case "failed":
            yield Text("failed while it was played:", "red")
        case "spare":
            yield Text("accepted, and beyond the dialogues that are wanted: a larger -n brings it in", "dim")
        case "unfinished" if replay["whole"] == "unfinished":
            yield Text(f"not finished: {printable(replay['detail'])}", "yellow")
        case _:
            pass
    for finding in document["findings"]:
        yield Text(f"  {one_line(finding['check'], 60)}: {printable(finding['detail'])}", "red")
    if document["traceback"]:
        yield Text(printable(document["traceback"]), "dim red")
    if replay["whole"] in {"differs", "damaged"}:
        yield Text(f"it cannot be played again to its end: {printable(replay['detail'])}", "yellow")


def _plan(document: Document) -> Iterator[RenderableType]:
    plan = document["plan"]
    if plan is None:
        yield Text("plan: none yet", "dim")
        return
    yield Text(f"plan: {printable(plan['topic'])}", "dim")
    for place, goal in enumerate(plan["goals"], 1):
        calls = _names([call["tool"] for call in goal["calls"]])
        arrow = f"  → {calls}" if calls else ""
        yield Text(f"  {place}. {printable(goal['request'])}{arrow}", "dim")


def _messages(messages: Sequence[Mapping[str, Any]], findings: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Who speaks on the left; what is said, called and returned, and what is wrong with it, on the right."""
    marks: defaultdict[int, list[str]] = defaultdict(list)
    for finding in findings:
        if finding.get("place") is not None:
            marks[finding["place"]].append(f"{finding['check']}: {finding['detail']}")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    for place, message in enumerate(messages):
        role = message["role"]
        if role == "tool":
            grid.add_row("", Text(f"⇒ {one_line(message['content'], _MOST_RESULT)}", "dim"))
        elif message["content"]:
            grid.add_row(Text(role, _STYLES.get(role, "bold")), Text(printable(message["content"])))
        for call in message.get("tool_calls") or ():
            function = call["function"]
            arguments = one_line(function["arguments"], _MOST_RESULT)
            grid.add_row("", Text.assemble((printable(function["name"]), "magenta"), f" {arguments}"))
        for mark in marks[place]:
            grid.add_row(Text("▲", "bold red"), Text(printable(mark), "red"))
    return grid


def _calls(document: Document) -> Iterator[RenderableType]:
    totals = document["totals"]
    if not totals["calls"]:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("call", no_wrap=True)
    table.add_column("model", overflow="fold")
    table.add_column("endpoint", overflow="fold")
    for heading in ("attempts", "seconds", "prompt", "completion", "cost"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for call in document["calls"]:
        note = "a repair" if call["repairs"] else "sent back for repair" if call["repaired"] else ""
        taken = not call["attempts"]
        table.add_row(
            Text(f"{call['role']} {call['position']}"),
            Text(one_line(call["model"], 60)),
            Text("taken over" if taken else one_line(call["endpoint"], 80)),
            str(call["attempts"]),
            f"{call['seconds']:.2f}",
            count(call["prompt_tokens"]),
            count(call["completion_tokens"]),
            dollars(call["cost_usd"]),
            Text(note, "yellow"),
        )
    table.add_row(
        Text(f"{count(totals['calls'])} calls", "bold"),
        "",
        "",
        count(totals["attempts"]),
        f"{totals['seconds']:.2f}",
        count(totals["prompt_tokens"]),
        count(totals["completion_tokens"]),
        dollars(totals["cost_usd"]),
        "",
        style="bold",
    )
    yield Text("")
    yield table


def _names(names: Sequence[str]) -> str:
    return ", ".join(one_line(name, 80) for name in names)
