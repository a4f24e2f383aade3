from __future__ import annotations

from io import StringIO
from typing import Literal

import pytest
from rich.console import Console

from toolflow.view.display import Display, make_display
from toolflow.view.live import LiveDisplay
from toolflow.view.plain import PlainDisplay, SilentDisplay


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def make(kind: Literal["live", "plain", "none"] | None, file: StringIO, **environ: str) -> Display:
    return make_display(kind, console=Console(file=file, _environ=environ), title="run")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(None, LiveDisplay), ("live", LiveDisplay), ("plain", PlainDisplay), ("none", SilentDisplay)],
)
def test_on_a_terminal(kind: Literal["live", "plain", "none"] | None, expected: type) -> None:
    assert type(make(kind, Terminal(), TERM="xterm-256color")) is expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(None, PlainDisplay), ("live", PlainDisplay), ("plain", PlainDisplay), ("none", SilentDisplay)],
)
def test_in_a_log(kind: Literal["live", "plain", "none"] | None, expected: type) -> None:
    assert type(make(kind, StringIO(), TERM="xterm-256color")) is expected


def test_a_dumb_terminal_gets_lines() -> None:
    assert type(make("live", Terminal(), TERM="dumb")) is PlainDisplay


def test_colours_asked_for_in_a_log_bring_no_picture_unless_it_is_asked_for_too() -> None:
    assert type(make(None, StringIO(), TERM="xterm", FORCE_COLOR="1")) is PlainDisplay
    assert type(make("live", StringIO(), TERM="xterm", FORCE_COLOR="1")) is LiveDisplay
