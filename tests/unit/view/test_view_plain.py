from __future__ import annotations

from collections.abc import Callable, Iterator
from io import StringIO

from rich.console import Console

from tests.unit.view.view_samples import HOSTILE, Pauses, cancelled, take_calls, take_snapshot
from toolflow.progress import ProgressSnapshot
from toolflow.view.figures import Rates
from toolflow.view.plain import PlainDisplay, SilentDisplay, progress_line


class Run:
    """A run that goes on while its display sleeps.

    Args:
        accepted: Accepted dialogues after so many seconds, of a hundred wanted.
    """

    def __init__(self, accepted: Callable[[float], int]) -> None:
        self._accepted = accepted
        self._seconds = 0.0

    def sleep(self, seconds: float) -> None:
        self._seconds += seconds

    def snapshot(self) -> ProgressSnapshot:
        return take_snapshot(self._seconds, target=100, accepted=self._accepted(self._seconds))


def plain_lines(accepted: Callable[[float], int], *, seconds: int) -> list[str]:
    """What is printed about a run of a number of seconds."""
    run, file = Run(accepted), StringIO()
    display = PlainDisplay(Console(file=file, width=40), "runs/night", sleep=Pauses(seconds, run.sleep))
    assert cancelled(display.show(run.snapshot))
    return file.getvalue().splitlines()


def times(lines: list[str]) -> Iterator[str]:
    return (line.split(" ", maxsplit=1)[0] for line in lines)


def test_a_line_tells_how_far_the_run_is() -> None:
    calls = take_calls(in_flight=48, prompt_tokens=1_000_000, completion_tokens=200_000)
    snapshot = take_snapshot(12.34, target=100, accepted=42, rejected=3, failed=0, calls=calls)
    assert progress_line(snapshot, Rates(calls=212.4)) == (
        "12.3s accepted 42/100 (rejected 3, failed 0) · 48 in flight · 212.4 calls/s · 1.2M tokens · ETA 17s"
    )


def test_a_long_run_shows_hours() -> None:
    assert progress_line(take_snapshot(8045.0), Rates()).startswith("2:14:05 accepted 3,712/10,000")


def test_the_time_left_of_a_run_that_has_accepted_nothing_is_unknown() -> None:
    assert progress_line(take_snapshot(3.0, accepted=0), Rates()).endswith("ETA –")


def test_a_slow_run_gets_a_line_every_ten_seconds() -> None:
    first, *lines, last = plain_lines(lambda _: 5, seconds=35)
    assert first == "runs/night: 5 of 100 dialogues accepted"
    assert list(times(lines)) == ["10.0s", "20.0s", "30.0s"]
    assert last.startswith("35.0s accepted 5/100")
    assert last.endswith("end")


def test_each_tenth_of_the_target_gets_a_line() -> None:
    _, *lines, _ = plain_lines(lambda seconds: int(seconds * 4), seconds=9)
    assert list(times(lines)) == ["3.0s", "5.0s", "8.0s"]  # past 10, 20 and 30


def test_a_fast_run_gets_no_more_than_a_line_a_second() -> None:
    _, *lines, _ = plain_lines(lambda seconds: min(int(seconds * 50), 100), seconds=4)
    assert list(times(lines)) == ["1.0s", "2.0s"]


def test_a_continued_run_starts_from_where_it_is() -> None:
    first, *lines, _ = plain_lines(lambda _: 73, seconds=5)
    assert first == "runs/night: 73 of 100 dialogues accepted"
    assert lines == []


def test_lines_are_not_wrapped_to_the_width_of_a_console() -> None:
    assert max(len(line) for line in plain_lines(lambda _: 5, seconds=11)) > 40


def test_silence_lets_notices_through() -> None:
    file = StringIO()
    display = SilentDisplay(Console(file=file), sleep=Pauses(2))
    assert cancelled(display.show(take_snapshot))
    assert not file.getvalue()
    display.notice("Stopping: [bold]calls[/] in flight finish first.")
    assert file.getvalue() == "Stopping: [bold]calls[/] in flight finish first.\n"


def test_a_notice_cannot_control_the_terminal() -> None:
    file = StringIO()
    PlainDisplay(Console(file=file, force_terminal=True), "run").notice(HOSTILE)
    assert "override" in file.getvalue()
    assert not set(file.getvalue()) & set("\x1b\x07\u202e")
