"""What is in flight: which attempt, at which endpoint, since when."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

from toolflow.clock import Clock, monotonic
from toolflow.errors import LLMError
from toolflow.llm.chat import CallKey, Completion, Request
from toolflow.llm.router import Replica

if TYPE_CHECKING:
    from toolflow.llm.client import Provider

_SMOOTHING: Final = 0.05
"""Weight of the newest latency in the usual one."""


@dataclass(frozen=True, slots=True)
class Flight:
    """An attempt in flight.

    Attributes:
        key: Of the call.
        endpoint: Where it was sent.
        began: When, on the clock.
    """

    key: CallKey
    endpoint: str
    began: float


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt failed.

    Attributes:
        detail: What happened, in a sentence; a server may have said parts of it.
        at: When, on the clock.
    """

    detail: str
    at: float


class InFlight:
    """Keeps account of the attempts that providers have in hand.

    Args:
        clock: Stamps them.

    Attributes:
        usual: Seconds that an answered attempt usually takes; 0.0 before the first.
        failure: How the last attempt failed; None if it was answered.
    """

    def __init__(self, clock: Clock = monotonic) -> None:
        self.usual = 0.0
        self.failure: Failure | None = None
        self._clock = clock
        self._numbers = count()
        self._flights: dict[int, Flight] = {}

    def watch(self, replica: Replica) -> Replica:
        """The same endpoint, its attempts kept account of."""
        return Replica(replica.name, _Watched(replica, self), replica.weight)

    def oldest(self) -> Flight | None:
        """The attempt that has been in flight for the longest time."""
        return next(iter(self._flights.values()), None)  # in the order of their beginnings

    def begin(self, request: Request, endpoint: str) -> int:
        """An attempt is sent; its number."""
        number = next(self._numbers)
        self._flights[number] = Flight(request.key, endpoint, self._clock())
        return number

    def answered(self, number: int) -> None:
        """An attempt gave a completion."""
        seconds = self._clock() - self._flights[number].began
        weight = _SMOOTHING if self.usual else 1.0
        self.usual += weight * (seconds - self.usual)
        self.failure = None

    def failed(self, detail: str) -> None:
        """An attempt gave none."""
        self.failure = Failure(detail, self._clock())

    def end(self, number: int) -> None:
        """An attempt is over, whether it ended or was given up."""
        del self._flights[number]


class _Watched:
    """A provider whose attempts are kept account of."""

    def __init__(self, replica: Replica, flights: InFlight) -> None:
        self._provider: Provider = replica.provider
        self._name = replica.name
        self._flights = flights

    async def send(self, request: Request) -> Completion:
        number = self._flights.begin(request, self._name)
        try:
            completion = await self._provider.send(request)
        except LLMError as error:
            self._flights.failed(error.message)
            raise
        else:
            self._flights.answered(number)
            return completion
        finally:
            self._flights.end(number)

    async def close(self) -> None:
        await self._provider.close()
