"""The picture: what a run does, drawn from a snapshot into the size that the terminal has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from toolflow.progress import ProgressSnapshot
from toolflow.text import one_line
from toolflow.view.conversation import conversation, title_line
from toolflow.view.figures import Rates, amount, clock, count, duration, percent, rate
from toolflow.view.focus import Focus
from toolflow.view.lines import cut, flow

_LABELLED = 60
"""Cells from which labels get a column of their own."""

_SIDE_BY_SIDE = 160
"""Cells from which there is room for two columns of figures."""

_GUTTER = 11
_MOST_LINES = 2
_LEAST_CONVERSATION = 4
_LEAST_BAR = 8
_LEAST_FOR_KEYS = 12

Row = tuple[str, list[Text]]


@dataclass(frozen=True, slots=True)
class ViewState:
    """What the view knows beside the snapshot.

    Attributes:
        title: Names the run.
        rates: The pace of the last seconds.
        focus: The dialogue being followed.
        notices: The last notices, printable; those that fit stay in sight.
        live: Who is writing in that dialogue just now, and what.
        keys: The keys that mean something; empty where none are read.
    """

    title: str
    rates: Rates
    focus: Focus
    notices: Sequence[str] = ()
    live: tuple[str, str] | None = None
    keys: str = ""


class Picture:
    """Lines that are drawn as they are; rich cuts off what is wider than the console.

    As renderables of their own, texts would be wrapped again, which takes half of a frame's time.
    """

    def __init__(self, lines: Sequence[Text]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._lines:
            yield from line.render(console, end="\n")


def render(state: ViewState, snapshot: ProgressSnapshot, size: ConsoleDimensions) -> RenderableType:
    """The whole picture: exactly ``size.height`` lines, none wider than ``size.width`` cells."""
    width, height = size
    lines = _head(state, snapshot, width, duration(snapshot.seconds_left))
    notices = [_notice(text, width) for text in state.notices]
    notices = notices[-1:] if height < 20 else notices
    if state.keys and height >= _LEAST_FOR_KEYS:
        notices.append(Text(cut(state.keys, width), "dim"))
    airy = height >= 30
    room = height - len(lines) - len(notices) - _LEAST_CONVERSATION - 2 * airy
    figures = _fitted(_figures(state.rates, snapshot, width), room)
    lines += [Text(), *figures, Text()] if airy else figures
    room = height - len(lines) - len(notices)
    if room >= 2:
        talk = [title_line(state.focus, width), *conversation(state.focus, width, room - 1, state.live)]
        lines += [*talk, *(Text() for _ in range(room - len(talk)))]
    return Picture([*lines, *notices][:height])


def render_last(state: ViewState, snapshot: ProgressSnapshot, size: ConsoleDimensions) -> RenderableType:
    """The picture that stays when the run is over: its figures, as many lines as they need."""
    rows = _figures(state.rates, snapshot, size.width)
    return Picture([*_head(state, snapshot, size.width, None), *(line for row in rows for line in row)])


def _notice(text: str, width: int) -> Text:
    return Text(cut(f"! {one_line(text, 1_000)}", width), "yellow")


def _head(state: ViewState, snapshot: ProgressSnapshot, width: int, left: str | None) -> list[Text]:
    """Title and elapsed time, then the bar."""
    elapsed = clock(snapshot.seconds)
    title = Text.assemble(
        ("ToolFlow ", "bold"), cut(one_line(state.title, 500), max(width - len(elapsed) - 10, 0))
    )
    title.append(" " * (width - title.cell_len - len(elapsed)) + elapsed, "dim")
    done, target = snapshot.accepted, snapshot.target
    numbers = Text.assemble(
        (f" {count(done)}/{count(target)}", "bold"),
        f"  {percent(done, target)}",
        (f"  ETA {left}" if left else "", "dim"),
    )
    length = width - numbers.cell_len
    if length < _LEAST_BAR:
        return [title, numbers]
    filled = min(length * done // max(target, 1), length)
    return [title, Text.assemble(("━" * filled, "green"), ("─" * (length - filled), "dim"), numbers)]


def _figures(rates: Rates, snapshot: ProgressSnapshot, width: int) -> list[list[Text]]:
    """The rows of figures, each as its lines; what matters most comes first."""
    calls = list(_calls(rates, snapshot))
    about_dialogues = [_dialogues(snapshot), *_reasons(snapshot)]
    if width < _SIDE_BY_SIDE:
        return _flowed([about_dialogues[0], *calls, *about_dialogues[1:]], width)
    half = width // 2
    left = [line for row in _flowed(calls, half - 2) for line in row]
    right = [line for row in _flowed(about_dialogues, width - half) for line in row]
    for line, beside in zip(left, right, strict=False):
        line.append(" " * (half - line.cell_len)).append_text(beside)
    return [[line] for line in left]


def _flowed(rows: Sequence[Row], width: int) -> list[list[Text]]:
    gutter = _GUTTER if width >= _LABELLED else 0
    return [flow(label, parts, width, gutter=gutter, most=_MOST_LINES) for label, parts in rows]


def _fitted(rows: list[list[Text]], room: int) -> list[Text]:
    """The rows in at most ``room`` lines: whole, or the first line of each that fits."""
    if sum(map(len, rows)) <= room:
        return [line for row in rows for line in row]
    return [row[0] for row in rows[: max(room, 0)]]


def _dialogues(snapshot: ProgressSnapshot) -> Row:
    judged = snapshot.accepted + snapshot.rejected + snapshot.failed
    return "dialogues", [
        Text(f"{count(snapshot.accepted)} accepted", "green"),
        _worrying(snapshot.rejected, "rejected", "yellow"),
        _worrying(snapshot.failed, "failed", "red"),
        Text(f"{count(snapshot.alive)} alive"),
        Text(f"yield {percent(snapshot.accepted, judged)}"),
    ]


def _reasons(snapshot: ProgressSnapshot) -> list[Row]:
    parts = [Text(f"{one_line(reason, 40)} {count(number)}") for reason, number in snapshot.reasons.items()]
    return [("reasons", parts)] if parts else []


def _calls(rates: Rates, snapshot: ProgressSnapshot) -> Iterator[Row]:
    calls = snapshot.calls
    yield (
        "calls",
        [
            Text(f"{count(calls.in_flight)} in flight", "bold"),
            Text(f"{count(calls.waiting)} waiting"),
            _worrying(calls.backing_off, "backing off", "yellow"),
            Text(f"{count(calls.completed)} completed"),
        ],
    )
    yield (
        "pace",
        [
            Text(f"{rate(rates.calls)} calls/s", "bold"),
            Text(f"mean {rate(snapshot.calls_per_second)}"),
            Text(f"{count(snapshot.replayed)} replayed"),
        ],
    )
    yield (
        "LLM tokens",
        [
            Text(f"{amount(calls.prompt_tokens)} prompt ({amount(rates.prompt_tokens)}/s)"),
            Text(f"{amount(calls.completion_tokens)} completion ({amount(rates.completion_tokens)}/s)"),
        ],
    )
    yield (
        "attempts",
        [
            Text(count(calls.attempts)),
            _worrying(calls.rate_limited, "× 429", "yellow"),
            *([_worrying(calls.stalled, "stalled", "yellow")] if calls.stalled else []),
            _worrying(calls.failed, "given up", "red"),
            Text(f"limit {count(calls.limit)}"),
        ],
    )


def _worrying(number: int, what: str, style: str) -> Text:
    """A figure that is coloured once it is not zero."""
    return Text(f"{count(number)} {what}", style if number else "dim")
