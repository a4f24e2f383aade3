"""Keys: what a terminal sends becomes changes of the run, and the terminal is always given back."""

from __future__ import annotations

import asyncio
import os
import pty
import termios
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import ConsoleDimensions

from tests.unit.view.view_samples import HOSTILE, drawn, follow, hotel_events, take_calls, take_snapshot
from toolflow.text import printable
from toolflow.view.figures import Rates
from toolflow.view.focus import Focus
from toolflow.view.growing import growing_text
from toolflow.view.keys import keys_in, reading_keys
from toolflow.view.picture import ViewState, render
from toolflow.view.steering import Controls, Steering


class Run:
    """Keeps what is done to it."""

    def __init__(self, *, limit: int = 40) -> None:
        self.done: list[Any] = []
        self.focus = Focus()
        calls = take_calls(limit=limit)
        controls = Controls(
            self.done.append,
            lambda: self.done.append("auto"),
            self.done.append,
            lambda: self.done.append("stop"),
        )
        self.steering = Steering(controls, self.focus, lambda: take_snapshot(calls=calls))

    def press(self, keys: str) -> list[Any]:
        for key in keys:
            self.steering.press(key)
        return self.done


def test_the_limit_is_changed_in_steps_and_given_back() -> None:
    assert Run().press("++-a+") == [1.25, 1.25, 0.8, "auto", 1.25]


def test_pausing_and_stopping() -> None:
    run = Run()
    assert "PAUSED" not in run.steering.line()
    run.press("p")
    assert "PAUSED" in run.steering.line()
    assert run.press("pqqx\t") == [True, False, "stop"]


def test_a_limit_by_hand_is_shown() -> None:
    run = Run(limit=1240)
    assert "by hand" not in run.steering.line()
    run.press("+")
    assert run.steering.line().startswith("limit 1,240 by hand")
    run.press("a")
    assert "by hand" not in run.steering.line()


def test_the_focus_moves_to_either_side_and_takes_the_other_where_there_is_none() -> None:
    focus, events = Focus(), hotel_events()
    follow(focus, events[0], dialogue=7)
    focus.turn(1)
    follow(focus, events[2], dialogue=3, start=1.0, sequence=2)
    assert focus.dialogue == 7
    follow(focus, events[2], dialogue=9, start=1.1, sequence=2)
    assert focus.dialogue == 9
    focus.turn(-1)
    follow(focus, events[2], dialogue=8, start=2.0, sequence=3)
    assert focus.dialogue == 8
    focus.turn(-1)
    for start in (3.0, 3.5, 4.1):
        follow(focus, events[2], dialogue=20, start=start, sequence=4)
    assert focus.dialogue == 20


@pytest.mark.parametrize("size", [(30, 8), (30, 12), (80, 24), (200, 50)])
@pytest.mark.parametrize("live", [None, ("user", '{"message":"I want ' + HOSTILE), ("planner", "{")])
def test_the_picture_keeps_its_size(size: tuple[int, int], live: tuple[str, str] | None) -> None:
    focus = Focus()
    follow(focus, *hotel_events()[:2])
    state = ViewState("run", Rates(), focus, ["a notice"], live, "+ − limit")
    width, height = size
    lines = drawn(render(state, take_snapshot(), ConsoleDimensions(width, height)), width, height)
    assert len(lines) == height
    assert all(cell_len(line) <= width for line in lines)
    assert (lines[-1].rstrip() == "+ − limit") == (height >= 12)
    if live is not None and live[0] == "user" and height >= 24:
        assert any("▌" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("+-a", ["+", "-", "a"]),
        ("\x1b[C\x1b[D\x1bOA", ["right", "left", "up"]),
        ("a\x1b[3~q\x1b[1;5Cn", ["a", "q", "n"]),
        ("\x1b", []),
        ("\x1b[", []),
    ],
)
def test_keys_are_told_apart(text: str, keys: list[str]) -> None:
    assert keys_in(text) == keys


@given(st.text())
def test_whatever_is_typed_ends(text: str) -> None:
    assert len(keys_in(text)) <= len(text)


def test_keys_are_read_from_a_terminal_that_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    main, side = pty.openpty()
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    before = termios.tcgetattr(side)
    pressed: list[str] = []

    async def play(error: Exception | None) -> None:
        came = asyncio.Event()

        def press(key: str) -> None:
            pressed.append(key)
            if key == "é":
                came.set()

        with os.fdopen(os.dup(side)) as terminal, reading_keys(press, terminal) as read:
            assert read
            assert termios.tcgetattr(side) != before
            os.write(main, "+\x1b[Cé".encode())
            await asyncio.wait_for(came.wait(), 10)
            if error is not None:
                raise error

    try:
        asyncio.run(play(None))
        assert pressed == ["+", "right", "é"]
        assert termios.tcgetattr(side) == before
        with pytest.raises(ZeroDivisionError):
            asyncio.run(play(ZeroDivisionError()))
        assert termios.tcgetattr(side) == before
    finally:
        os.close(main)
        os.close(side)


def test_nothing_is_read_where_there_is_no_terminal() -> None:
    async def play() -> None:
        with (
            os.fdopen(os.open(os.devnull, os.O_RDONLY)) as nothing,
            reading_keys(pytest.fail, nothing) as read,
        ):
            assert not read
        with reading_keys(pytest.fail, StringIO("q")) as read:
            assert not read

    asyncio.run(play())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words", "plain words"),
        ('{"status":"continue","message":"I would li', "I would li"),
        ('{"message":"He said \\"hi\\" and', 'He said "hi" and'),
        ('{"message":"gr\\u00fc', "grü"),
        ('{"message":"gr\\u00', "gr"),
        ('{"a":"x","b', "x"),
        ("{", ""),
        ('{"topic":"A","goals":[{"request":"Find\\n\x1b[2Jit', "Find it"),
        ("w" * 50, "…" + "w" * 39),
    ],
)
def test_half_an_answer_is_shown_as_words(text: str, shown: str) -> None:
    assert growing_text(text, 40) == shown


@given(st.text(max_size=60), st.integers(2, 30))
def test_whatever_is_written_fits(text: str, most: int) -> None:
    for shown in (growing_text(text, most), growing_text('{"a":"' + text, most)):
        assert len(shown) <= most
        assert printable(shown) == shown
