"""Cohorts of attempts: what was let through one after the other is looked at together."""

from __future__ import annotations

from typing import Final

from toolflow.errors import MalformedCompletionError, TransientLLMError
from toolflow.llm.concurrency.limit import Ended

BACK: Final = 0.8
"""A cohort tells when this share of it is back: the last ones may take very long."""

_LATE: Final = 3
"""Limits' worth of attempts let through since a cohort, and what is missing of it is not waited for."""


class Cohort:
    """Attempts that were let through one after the other.

    To look at those that are back by some moment instead would favour the quick ones.

    Args:
        first: The number of the last attempt before it.
        size: Attempts.
        share: Of them, that must be back.

    Attributes:
        answered: Those that gave an answer, if a malformed one.
        returned: How many are back.
        failures: How many of them failed.
    """

    __slots__ = ("answered", "failures", "first", "last", "returned", "share", "size")

    def __init__(self, first: int, size: int, share: float) -> None:
        self.first = first
        self.size = size
        self.last = first + size
        self.share = share
        self.answered: list[Ended] = []
        self.returned = self.failures = 0

    def take(self, ended: Ended) -> None:
        """One of it is back."""
        self.returned += 1
        error = ended.outcome.error
        if isinstance(error, TransientLLMError) and not isinstance(error, MalformedCompletionError):
            self.failures += 1
        else:
            self.answered.append(ended)


class Cohorts:
    """One cohort after the other; the next one begins where the last one ended.

    Args:
        first: The number of the last attempt before the first cohort.
        size: Attempts of the first cohort.
    """

    def __init__(self, first: int, size: int) -> None:
        self._early: list[Ended] = []
        self._cohort = Cohort(first, size, BACK)

    def begin(self, first: int, size: int, share: float = BACK) -> None:
        """Forget the present cohort for another."""
        self._cohort = Cohort(first, size, share)
        self._early = []

    def take(self, ended: Ended) -> None:
        """An attempt is back, of this cohort, an earlier or a later one."""
        if ended.number > self._cohort.last:
            self._early.append(ended)
        elif ended.number > self._cohort.first:
            self._cohort.take(ended)

    def tell(self, started: int, limit: int) -> bool:
        """Whether the present cohort tells.

        Args:
            started: Attempts that were let through until now.
            limit: Attempts that may be in flight.
        """
        cohort = self._cohort
        return cohort.returned >= cohort.share * cohort.size or started > cohort.last + _LATE * limit

    def go_on(self, size: int) -> Cohort:
        """The present cohort; the next one takes its place, and some of that may be back already."""
        told, early = self._cohort, self._early
        self.begin(told.last, size)
        for ended in early:
            self.take(ended)
        return told
