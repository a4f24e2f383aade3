"""The followed dialogue as lines of a picture: the newest at the bottom."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from rich.text import Text

from toolflow.runtime.events import AgentRole
from toolflow.view.focus import Entry, Focus, Kind
from toolflow.view.growing import growing_text
from toolflow.view.lines import cut, wrap

_WIDE: Final = 60
"""Cells from which speakers get a column of their own."""

_AIRY: Final = 16
"""Lines from which goals are set apart."""

_GROWING_LINES: Final = 3
"""Lines of an answer that is still being written."""

_LABELS: Final[Mapping[Kind, str]] = {
    "goal": "goal",
    "user": "user",
    "assistant": "assistant",
    "call": "→",
    "result": "←",
    "end": "end",
}

_LABEL_STYLES: Final[Mapping[Kind, str]] = {
    "goal": "dim",
    "user": "bold cyan",
    "assistant": "bold green",
    "call": "yellow",
    "result": "dim",
    "end": "dim",
}

_TEXT_STYLES: Final[Mapping[Kind, str]] = {
    "goal": "dim italic",
    "user": "",
    "assistant": "",
    "call": "yellow",
    "result": "dim",
    "end": "dim",
}

_KINDS: Final[Mapping[str, Kind]] = {"planner": "goal", "user": "user", "tool": "result"}
"""How a role's words are shown while they are being written; the assistant's as its own."""

_AWAITED: Final[Mapping[AgentRole, str]] = {
    "planner": "the planner thinks …",
    "user": "the user writes …",
    "assistant": "the assistant thinks …",
    "tool": "the tools run …",
}


def title_line(focus: Focus, width: int) -> Text:
    """A rule that says which dialogue is shown and how far it is."""
    if focus.dialogue is None:
        return Text("─" * width, "dim")
    place = f" goal {focus.opened} of {focus.goals} ──" if focus.goals and focus.opened else "──"
    name = f"── d{focus.dialogue:07d} "
    room = width - len(name) - len(place)
    if room < 1:
        return Text(cut(name, width), "dim")
    topic = cut(focus.topic, room - 2)
    line = Text.assemble((name, "dim"), (topic, "bold"), (" " if topic else "", ""))
    line.append("─" * (width - line.cell_len - len(place)) + place, "dim")
    return line


def conversation(focus: Focus, width: int, room: int, live: tuple[str, str] | None = None) -> list[Text]:
    """What was said last, in at most ``room`` lines of at most ``width`` cells.

    Args:
        focus: The dialogue.
        width: Cells in a line.
        room: Lines.
        live: Who is writing just now, and what.
    """
    lines: deque[Text] = deque()
    if live is not None and (growing := growing_text(live[1], 3 * width)):
        kind: Kind = _KINDS.get(live[0], "assistant")
        written = wrap(f"{growing} ▌", _room(width), 3 * width)
        lines.extend(_labelled(kind, written[-_GROWING_LINES:], width))
    elif focus.dialogue is None:
        lines.append(Text(cut("waiting for the first plan …", width), "dim italic"))
    elif focus.awaited:
        indent = _indent(width)
        lines.append(Text(" " * indent + cut(_AWAITED[focus.awaited], width - indent), "dim italic"))
    # No message takes so much of the room that what it answers is out of sight.
    most = max(room // 3, 2)
    for entry in reversed(focus.entries):
        if len(lines) >= room:
            break
        lines.extendleft(reversed(_entry_lines(entry, width, most)))
        if entry.kind == "goal" and room >= _AIRY:
            lines.appendleft(Text())
    return list(lines)[-room:] if room > 0 else []


def _entry_lines(entry: Entry, width: int, most: int) -> list[Text]:
    kind, text = entry
    room = _room(width)
    return _labelled(kind, (cut(text, room),) if kind == "result" else wrap(text, room, most), width)


def _labelled(kind: Kind, lines: Sequence[str], width: int) -> list[Text]:
    label = _LABELS[kind]
    indent = _indent(width)
    head = f"{label:>{indent - 2}}  " if width >= _WIDE else f"{label[0].upper()} "
    first = Text.assemble((head, _LABEL_STYLES[kind]), (lines[0], _TEXT_STYLES[kind]))
    return [first, *(Text(" " * indent + line, _TEXT_STYLES[kind]) for line in lines[1:])]


def _room(width: int) -> int:
    return max(width - _indent(width), 2)


def _indent(width: int) -> int:
    return 11 if width >= _WIDE else 2
