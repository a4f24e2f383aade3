"""Time and randomness, the two things that may not come from anywhere else.

Decisions take time as an argument; the modules that must ask for it ask a ``Clock``. Randomness is derived
from the run's seed and a label, so no draw depends on what any other dialogue did.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Gives seconds on a monotonic scale."""

monotonic: Clock = time.monotonic

wall: Clock = time.time
"""The time of day in Unix seconds: for people to read, never to reckon with, since it jumps."""


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed that depends on every part and on their order, and on nothing else.

    Args:
        parts: For example the run's seed, the dialogue's index and a label such as ``"plan"``.
    """
    text = "\x1f".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def derive_random(*parts: int | str) -> random.Random:
    """A generator of its own, seeded with :func:`derive_seed`."""
    return random.Random(derive_seed(*parts))
