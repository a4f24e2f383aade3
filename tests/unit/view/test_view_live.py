from __future__ import annotations

import asyncio
import re
import sys
import threading
from io import StringIO

import pytest
from rich.console import Console

from tests.unit.view.view_samples import HOSTILE, Pauses, cancelled, follow, hotel_events, take_snapshot
from toolflow.runtime.bus import Envelope
from toolflow.view.focus import Focus
from toolflow.view.live import LiveDisplay
from toolflow.view.plain import PlainDisplay

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
CLEAR = "\x1b[2J\x1b[H"


def make_terminal(file: StringIO | None = None, *, width: int = 80, height: int = 24) -> Console:
    return Console(
        file=file or StringIO(), force_terminal=True, color_system=None, width=width, height=height
    )


def written(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_cancelled_display_leaves_the_last_figures_and_the_terminal_as_it_was() -> None:
    console = make_terminal()
    stderr = sys.stderr
    accepted = iter(range(3_000, 4_000))
    display = LiveDisplay(console, "runs/night", sleep=Pauses(3))
    assert cancelled(display.show(lambda: take_snapshot(accepted=next(accepted))))
    text = written(console)
    assert [f"{number:,}/10,000" in text for number in range(3_000, 3_005)] == [True] * 4 + [False]
    *_, last = text.split("\x1b[?2026l")
    assert "3,003/10,000" in last
    assert "waiting for the first plan" not in last
    assert text.count(HIDE) == text.count(SHOW) == 1
    assert text.index(HIDE) < text.index(SHOW)
    assert text.count("\x1b[?7l") == text.count("\x1b[?7h") == 3
    assert text.count("\x1b[?2026h") == text.count("\x1b[?2026l") == 3
    assert sys.stderr is stderr


def test_a_display_cancelled_while_it_writes_ends_with_the_last_figures() -> None:
    class Slow(StringIO):
        def write(self, text: str) -> int:
            if "1/10,000" in text:
                asked.set()
                assert proceed.wait(10)
            return super().write(text)

    asked, proceed = threading.Event(), threading.Event()
    console = make_terminal(Slow())
    accepted = iter(range(1, 10))

    async def run() -> None:
        display = LiveDisplay(console, "runs/night")
        showing = asyncio.create_task(display.show(lambda: take_snapshot(accepted=next(accepted))))
        await asyncio.to_thread(asked.wait, 10)
        showing.cancel()
        proceed.set()
        with pytest.raises(asyncio.CancelledError):
            await showing

    asyncio.run(run())
    text = written(console)
    assert text.index("1/10,000") < text.index("2/10,000") < text.index(SHOW)


def test_a_terminal_that_stands_still_does_not_hold_up_the_run() -> None:
    class Stopped(StringIO):
        def write(self, text: str) -> int:
            if text:
                asked.set()
                assert proceed.wait(10)
            return super().write(text)

    asked, proceed = threading.Event(), threading.Event()

    async def run() -> None:
        display = LiveDisplay(make_terminal(Stopped()), "runs/night")
        showing = asyncio.create_task(display.show(take_snapshot))
        await asyncio.to_thread(asked.wait, 10)
        for _ in range(100):
            await asyncio.sleep(0)
            display.notice("said while nothing can be written")
        assert not showing.done()
        proceed.set()
        showing.cancel()
        await asyncio.wait([showing])

    asyncio.run(run())


class Gone(StringIO):
    """A terminal that its user has closed."""

    refused = 0

    def write(self, text: str) -> int:
        if text:
            self.refused += 1
            raise OSError(5, "Input/output error")
        return 0


@pytest.mark.parametrize("kind", [LiveDisplay, PlainDisplay])
def test_a_terminal_that_has_gone_does_not_end_the_run(kind: type[LiveDisplay] | type[PlainDisplay]) -> None:
    file = Gone()
    looks: list[float] = []
    console = make_terminal(file)
    display = kind(console, "runs/night", sleep=Pauses(30, looks.append))
    assert cancelled(display.show(take_snapshot))
    display.notice("to nobody")
    console.print("to nobody")
    assert len(looks) == 30
    assert file.refused == 1


def test_notices_go_to_the_scrollback_once_and_stay_in_the_picture() -> None:
    console = make_terminal()
    display = LiveDisplay(
        console, "runs/night", sleep=Pauses(3, lambda _: display.notice("Stopping: [b]once more[/b]."))
    )
    display.notice("A rehearsal.")
    assert written(console) == "A rehearsal.\n"
    assert cancelled(display.show(take_snapshot))
    text = written(console)
    assert text.count("\nStopping: [b]once more[/b].\n") + text.count("KStopping: [b]once more[/b].\n") == 3
    assert "! A rehearsal." in text
    assert "! Stopping: [b]once more[/b]." in text


def test_hostile_notices_and_events_cannot_control_the_terminal() -> None:
    def sequences(text: str) -> list[str]:
        console = make_terminal(width=100)
        display = LiveDisplay(console, text, sleep=Pauses(2))
        display.notice(text)
        for place, event in enumerate(hotel_events(text)):
            display.watch(Envelope(0, place, "user", float(place), event))
        assert cancelled(display.show(take_snapshot))
        assert "override" in written(console)
        assert "\u202e" not in written(console)
        return re.findall(r"\x1b.[0-9?;]*[A-Zlh]|[\x00-\x09\x0b-\x1a\x7f-\x9f]", written(console))

    assert sequences(HOSTILE) == sequences("override")


def test_a_resized_terminal_is_drawn_anew() -> None:
    def resize(_: float) -> None:
        sizes.append(len(written(console)))
        console.size = console.size._replace(width=40, height=10)

    sizes: list[int] = []
    console = make_terminal()
    assert cancelled(LiveDisplay(console, "runs/night", sleep=Pauses(3, resize)).show(take_snapshot))
    before, after = written(console)[: sizes[0]], written(console)[sizes[0] : sizes[1]]
    assert CLEAR not in before
    assert after.count(CLEAR) == 1
    assert after.count("\n") == 9
    assert CLEAR not in written(console)[sizes[1] :]


def test_what_is_logged_meanwhile_goes_above_the_picture() -> None:
    console = make_terminal()

    def log(_: float) -> None:
        sys.stderr.write("something crashed\n")

    assert cancelled(LiveDisplay(console, "runs/night", sleep=Pauses(2, log)).show(take_snapshot))
    assert written(console).count("something crashed\n") == 2


def test_the_display_follows_one_dialogue_as_a_focus_does() -> None:
    console = make_terminal()
    display = LiveDisplay(console, "runs/night", sleep=Pauses(1))
    focus = Focus()
    follow(focus, *hotel_events())
    for place, event in enumerate(hotel_events()):
        display.watch(Envelope(7, place, "user", float(place), event))
        display.watch(Envelope(8, place, "user", float(place), hotel_events("other")[place]))
    assert cancelled(display.show(take_snapshot))
    text = written(console)
    assert all(entry.text in text for entry in focus.entries)
    assert "other" not in text
