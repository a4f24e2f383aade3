"""Python's garbage collector, put off while much is made that stays."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final


@contextmanager
def collection_paused() -> Generator[None]:
    """No collection meanwhile, if any would have been; also a decorator.

    The collector looks at all objects again and again while millions of them are made. Where all of them
    stay, and none refers to itself in a circle, it finds nothing and takes half of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


_WHILE_MANY_ARE_ALIVE: Final = 10_000


@contextmanager
def collection_eased() -> Generator[None]:
    """Collect less often meanwhile: once 10,000 more objects are alive, where Python does at 700.

    With a hundred calls in flight the number of objects that live for a moment goes up and down by thousands.
    By Python's own threshold the collector looks at them 40 times in 1,000 calls, for a tenth of their CPU,
    and finds nothing: what a call leaves behind is freed at once.
    """
    before = gc.get_threshold()
    gc.set_threshold(_WHILE_MANY_ARE_ALIVE, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
