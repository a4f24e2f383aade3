"""Ctrl-C during long work on files, while a loop runs."""

from __future__ import annotations

import asyncio
import signal

import pytest

from toolflow.runtime.loop import run
from toolflow.runtime.signals import interruptible


def test_ctrl_c_ends_long_steps_at_once() -> None:
    reached: list[str] = []

    async def main() -> None:
        with interruptible():
            signal.raise_signal(signal.SIGINT)
            reached.append("behind the signal")
        await asyncio.sleep(0)

    with pytest.raises(KeyboardInterrupt):
        run(main())
    assert not reached


def test_what_handled_ctrl_c_before_does_so_again() -> None:
    before = signal.getsignal(signal.SIGINT)

    async def main() -> None:
        handler = signal.getsignal(signal.SIGINT)
        with interruptible():
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is handler

    run(main())
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
