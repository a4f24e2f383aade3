"""What a thing keeps in memory."""

from __future__ import annotations

import asyncio
import gc
from types import BuiltinFunctionType, FunctionType, ModuleType

_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, asyncio.AbstractEventLoop, asyncio.Task)


def reachable(thing: object) -> int:
    """How many objects it keeps alive, code and event loops left out."""
    seen: dict[int, object] = {}
    waiting = [thing]
    while waiting:
        found = waiting.pop()
        if id(found) not in seen and not isinstance(found, _SHARED):
            seen[id(found)] = found
            waiting += gc.get_referents(found)
    return len(seen)
