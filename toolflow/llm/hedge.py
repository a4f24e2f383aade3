"""A second attempt beside one that is late: the first good answer counts.

An endpoint that stalls would otherwise hold a permit, and a dialogue, for the whole attempt timeout. The
second attempt is one like any other: it has a permit, a reservation of the budget and of the rate limits of
its own. The one that is overtaken is cancelled; what it cost nobody knows, so it stays charged as reserved.
See Dean and Barroso, The Tail at Scale, https://doi.org/10.1145/2408776.2408794.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

from toolflow.errors import UsageError
from toolflow.llm.chat import Completion, Request
from toolflow.llm.outcome import Outcome

Result = tuple[Outcome, Completion | None]

_REMEMBERED: Final = 128
_FEWEST: Final = 20
_SORTED_EVERY: Final = 16
_SLOWEST: Final = 0.95
_LATE: Final = 1.5
"""Late is what takes one and a half times as long as 95 in a hundred calls of the role."""

_BURST: Final = 8.0
_ROLES_KEPT: Final = 256


class OvertakenError(Exception):
    """The second attempt was answered first."""


class _Latencies:
    """The last latencies of a role."""

    __slots__ = ("_last", "_since", "late")

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=_REMEMBERED)
        self._since = 0
        self.late: float | None = None

    def add(self, seconds: float) -> None:
        self._last.append(seconds)
        self._since += 1
        if self._since >= _SORTED_EVERY and len(self._last) >= _FEWEST:
            self._since = 0
            self.late = _LATE * sorted(self._last)[int(_SLOWEST * len(self._last))]


class Hedging:
    """Knows when an attempt is late, and how many second ones there may be. Without a clock.

    Args:
        share: Most second attempts, as a share of all first ones.

    Raises:
        UsageError: The share is not from 0 to 1.
    """

    def __init__(self, share: float) -> None:
        if not 0 <= share <= 1:
            raise UsageError(
                f"a share of {share:g} of the calls cannot be sent twice", hint="Give --hedge 0.02."
            )
        self._share = share
        self._credit = 1.0
        self._roles: dict[tuple[str, str], _Latencies] = {}

    def __repr__(self) -> str:
        return f"<Hedging share={self._share:g} credit={self._credit:.2f}>"

    def patience(self, request: Request) -> float | None:
        """Seconds after which an attempt that was sent now is late; None while too little is known."""
        self._credit = min(_BURST, self._credit + self._share)
        known = self._roles.get((request.model, request.key.role))
        return None if known is None else known.late

    def answered(self, request: Request, seconds: float) -> None:
        """Take in what an answer took."""
        key = (request.model, request.key.role)
        known = self._roles.get(key)
        if known is None:
            if len(self._roles) >= _ROLES_KEPT:
                del self._roles[next(iter(self._roles))]
            known = self._roles[key] = _Latencies()
        known.add(seconds)

    def may_begin(self) -> bool:
        """Whether another second attempt is within the share; counts it."""
        if self._credit < 1:
            return False
        self._credit -= 1
        return True


class Race:
    """One attempt and, once it is late, a second.

    Args:
        patience: Seconds after which the first is late; None for never.
        may_begin: Asked then.
        second: Makes the second attempt.

    Attributes:
        hedged: Whether there is a second one.
    """

    def __init__(
        self,
        patience: float | None,
        may_begin: Callable[[], bool],
        second: Callable[[], Coroutine[Any, Any, Result]],
    ) -> None:
        self._patience = patience
        self._may_begin = may_begin
        self._make_second = second
        self._second: asyncio.Task[Result] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: asyncio.Timeout | None = None
        self._won: Result | None = None

    @property
    def hedged(self) -> bool:
        return self._second is not None

    @property
    def is_overtaken(self) -> bool:
        """Whether the second attempt has a good answer, and the first is to end."""
        return self._won is not None

    def sent(self, deadline: asyncio.Timeout) -> None:
        """The first attempt is on its way; its deadline is moved when it is overtaken."""
        if self._patience is not None:
            self._deadline = deadline
            self._timer = asyncio.get_running_loop().call_later(self._patience, self._hedge)

    def ended(self) -> None:
        """The first attempt is no longer on its way."""
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def run(self, first: Coroutine[Any, Any, Result]) -> Result:
        """Make the first attempt; the first good answer, or the first attempt's failure if there is none."""
        try:
            outcome, completion = await first
            if self._second is None or completion is not None:
                return outcome, completion
            second = await self._second
            return second if second[1] is not None else (outcome, completion)
        except OvertakenError:
            assert self._won is not None
            return self._won
        finally:
            self.ended()
            await self._drop_second()

    def _hedge(self) -> None:
        self._timer = None
        if self._may_begin():
            self._second = asyncio.get_running_loop().create_task(self._make_second())
            self._second.add_done_callback(self._look)

    def _look(self, second: asyncio.Task[Result]) -> None:
        if second.cancelled() or second.exception() is not None or second.result()[1] is None:
            return
        if self._deadline is not None:
            self._won = second.result()
            if not self._deadline.expired():
                self._deadline.reschedule(asyncio.get_running_loop().time())

    async def _drop_second(self) -> None:
        second = self._second
        if second is not None and not second.done():
            second.cancel()
            await asyncio.wait((second,))
