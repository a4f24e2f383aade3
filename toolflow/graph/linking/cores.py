"""Spreads array work over the processor's cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

_MOST_WORKERS = 8

Task = TypeVar("Task")
Result = TypeVar("Result")


class Cores:
    """Threads that work on arrays side by side; made by :func:`cores`."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor

    def map(self, work: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """What the work gives for each task, in the order of the tasks."""
        return self._executor.map(work, tasks)


@contextmanager
def cores() -> Generator[Cores]:
    """Threads for as many cores as there are, at most eight.

    NumPy lets go of the interpreter while it computes. Its matrix products take one thread each meanwhile:
    more would wait for each other, and small products gain nothing by them.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415  only needed here

    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(_workers()) as executor:
        yield Cores(executor)


def _workers() -> int:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, _MOST_WORKERS)
