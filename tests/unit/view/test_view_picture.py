from __future__ import annotations

from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions

from tests.unit.view.view_samples import HOSTILE, drawn, follow, hotel_events, take_calls, take_snapshot
from toolflow.progress import ProgressSnapshot
from toolflow.view.figures import Rates
from toolflow.view.focus import Focus
from toolflow.view.picture import ViewState, render, render_last

SIZES = [(40, 10), (60, 20), (80, 24), (100, 30), (160, 40), (200, 50), (200, 10), (30, 60)]

RATES = Rates(calls=212.4, prompt_tokens=12_100.0, completion_tokens=1_900.0)


def make_state(*, text: str = "", events: int = 7, notices: tuple[str, ...] = ()) -> ViewState:
    focus = Focus()
    follow(focus, *hotel_events(text)[:events])
    return ViewState(text or "runs/night · qwen3-32b", RATES, focus, notices)


def picture(
    width: int, height: int, state: ViewState | None = None, snapshot: ProgressSnapshot | None = None
) -> list[str]:
    size = ConsoleDimensions(width, height)
    return drawn(render(state or make_state(), snapshot or take_snapshot(), size), width, height)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (200, 50), (80, 20), (160, 24)])
def test_an_ordinary_terminal_shows_every_figure(width: int, height: int) -> None:
    text = "\n".join(picture(width, height))
    for figure in (
        "runs/night · qwen3-32b",
        "2:14:05",
        "3,712/10,000  37.1%  ETA 3h 47m",
        "3,712 accepted · 120 rejected · 3 failed · 640 alive · yield 96.7%",
        "ungrounded_argument 61 · llm_error 22",
        "512 in flight · 31 waiting · 4 backing off · 117,204 completed",
        "212.4 calls/s · mean 14.6 · 1,204 replayed",
        "81.2M prompt (12.1k/s) · 10.4M completion (1.9k/s)",
        "120,331 · 17 × 429 · 2 given up",
        "d0000007 A weekend in Lisbon",
        "goal 1 of 3",
        "I need a quiet hotel.",
        'search_hotels(city="Lisbon", guests=2)',
        "The Tejo Vista is quiet.",
    ):
        assert figure in text


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("text", ["", HOSTILE])
def test_the_picture_has_the_size_of_the_terminal(width: int, height: int, text: str) -> None:
    reasons = {text or "a_reason": 4, **{f"reason_{number}": 3 for number in range(30)}}
    state = make_state(text=text, notices=(text or "first", text or "second"))
    lines = picture(width, height, state, take_snapshot(reasons=reasons))
    assert len(lines) == height
    assert all(cell_len(line) <= width for line in lines)


@given(st.integers(1, 220), st.integers(1, 70), st.text(max_size=300), st.integers(0, 7))
def test_any_size_and_any_text_gives_a_picture_that_fits(
    width: int, height: int, text: str, events: int
) -> None:
    text = text or "x"
    state = make_state(text=text, events=events, notices=(text,))
    lines = picture(width, height, state, take_snapshot(reasons={text: 3}))
    assert len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)


def test_a_tiny_terminal_shows_what_matters_most() -> None:
    lines = picture(40, 10, make_state(events=3))
    assert lines[1].endswith("3,712/10,000  37.1%  ETA 3h 47m")
    assert lines[2].startswith("dialogues 3,712 accepted")
    assert lines[3].startswith("calls 512 in flight")
    assert "U I need a quiet hotel." in lines
    assert "  the assistant thinks …" in lines


def test_markup_of_strangers_is_shown_as_it_is() -> None:
    text = "\n".join(picture(100, 30, make_state(text="[bold red]x[/] [link=http://example.org]")))
    assert text.count("[bold red]x[/] [link=http://example.org]") >= 6


def test_escapes_of_strangers_never_reach_the_terminal() -> None:
    file = StringIO()
    console = Console(file=file, force_terminal=True, color_system=None, width=100, height=30)
    state = make_state(text=HOSTILE, notices=(HOSTILE,))
    console.print(render(state, take_snapshot(reasons={HOSTILE: 3}), console.size))
    allowed = {"\n"}
    text = file.getvalue()
    for style in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[2;3m"):
        text = text.replace(style, "")
    assert not {character for character in text if character < " " or "\x7f" <= character < "\xa0"} - allowed
    assert not set(text) & set("\u202e\u202c\u2066\u2069")


def test_the_newest_is_at_the_bottom_and_the_oldest_goes_out_of_sight() -> None:
    focus = Focus()
    for turn in range(30):
        follow(focus, hotel_events(f"message {turn}")[5], start=float(turn), sequence=turn)
    lines = picture(80, 24, ViewState("run", RATES, focus), take_snapshot(reasons={}))
    shown = [line.split()[-1] for line in lines if "message" in line]
    assert shown == [str(turn) for turn in range(30 - len(shown), 30)]
    assert len(shown) == 24 - 9  # head, figures, title line, and who acts next
    assert lines[-1].strip() == "the planner thinks …"


def test_a_long_message_leaves_sight_of_what_it_answers() -> None:
    focus = Focus()
    follow(focus, *hotel_events()[:5], *hotel_events("long " * 400)[5:6])
    lines = picture(80, 24, ViewState("run", RATES, focus))
    assert any("I need a quiet hotel." in line for line in lines)
    assert any(line.endswith("…") and "long" in line for line in lines)


def test_a_result_is_cut_to_a_line() -> None:
    focus = Focus()
    follow(focus, hotel_events("result " * 100)[4])
    (line,) = [line for line in picture(80, 24, ViewState("run", RATES, focus)) if "result" in line]
    assert cell_len(line) == 80
    assert line.endswith("…")


def test_before_the_first_dialogue() -> None:
    text = "\n".join(picture(80, 24, ViewState("run", Rates(), Focus())))
    assert "waiting for the first plan …" in text


def test_figures_of_a_run_that_has_just_begun_are_unknown_not_wrong() -> None:
    nothing = take_calls(
        completed=0, failed=0, attempts=0, rate_limited=0, prompt_tokens=0, completion_tokens=0
    )
    snapshot = take_snapshot(0.0, accepted=0, rejected=0, failed=0, reasons={}, calls=nothing)
    text = "\n".join(picture(80, 24, snapshot=snapshot))
    assert "0/10,000  0.0%  ETA –" in text
    assert "yield –" in text
    assert "mean 0.0" in text
    assert "reasons" not in text


def test_the_bar_is_full_when_the_target_is_met() -> None:
    def bar(accepted: int) -> str:
        line = picture(80, 24, snapshot=take_snapshot(target=100, accepted=accepted))[1]
        return line.split(" ", maxsplit=1)[0]

    assert set(bar(0)) == {"─"}
    assert set(bar(99)) == {"━", "─"}
    assert set(bar(100)) == {"━"}
    assert bar(50).count("━") == len(bar(50)) // 2


def test_many_reasons_take_two_lines_and_say_that_there_are_more() -> None:
    reasons = {f"reason_number_{number}": 100 - number for number in range(20)}
    lines = picture(80, 24, snapshot=take_snapshot(reasons=reasons))
    shown = [line for line in lines if "reason_number" in line]
    assert len(shown) == 2
    assert shown[0].startswith("reasons    reason_number_0 100 · reason_number_1 99")
    assert shown[1].endswith("…")


def test_notices_stay_in_sight() -> None:
    state = make_state(notices=("The rehearsal model answers.", "Stopping."))
    assert picture(80, 24, state)[-2:] == ["! The rehearsal model answers.", "! Stopping."]
    assert picture(40, 10, state)[-1] == "! Stopping."


def test_a_wide_terminal_sets_figures_side_by_side() -> None:
    lines = picture(200, 50)
    (line,) = [line for line in lines if "in flight" in line]
    assert line.index("dialogues") == 100


def test_what_stays_behind_is_the_figures_alone() -> None:
    size = ConsoleDimensions(40, 5)
    lines = drawn(render_last(make_state(notices=("Stopping.",)), take_snapshot(), size), 40, 5)
    text = " ".join(" ".join(lines).split())
    assert "3,712/10,000 37.1%" in text
    assert "ETA" not in text
    assert "yield 96.7%" in text
    assert "17 × 429" in text
    assert "Lisbon" not in text
    assert "Stopping" not in text


def test_without_colour_there_is_none() -> None:
    file = StringIO()
    console = Console(file=file, force_terminal=True, color_system="256", no_color=True, width=80, height=24)
    console.print(render(make_state(), take_snapshot(), console.size))
    assert "\x1b[3" not in file.getvalue().replace("\x1b[3m", "")
    assert "\x1b[1m" in file.getvalue()
