"""The way to a model for work that is no dialogue: connected as a run is, with a hard budget of calls."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import ceil
from typing import Final, TypeVar

from toolflow.config import RunConfig
from toolflow.errors import AgentError, FatalLLMError, LLMError, ToolFlowError, leaves
from toolflow.llm.chat import ChatModel, Completion, Request
from toolflow.llm.client import Client
from toolflow.llm.connect import connect, make_router
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.stall import Stalls

T = TypeVar("T")

Progress = Callable[[str, int, int], None]
"""Called with the stage, how many jobs of it have ended, and of how many."""

_ALIVE_PER_PERMIT: Final = 1.25
_FAILURES_IN_A_ROW: Final = 10


class BudgetSpentError(ToolFlowError):
    """No call may be made any more."""


class BudgetedModel:
    """A :class:`ChatModel` that makes at most so many calls; further attempts of one call are not counted.

    Args:
        model: Answers.
        most: Most calls; None for any number.

    Attributes:
        calls: Calls that were made.
    """

    def __init__(self, model: ChatModel, most: int | None) -> None:
        self._model = model
        self._most = most
        self.calls = 0

    @property
    def spent(self) -> bool:
        """Whether no call is left."""
        return self._most is not None and self.calls >= self._most

    async def complete(self, request: Request) -> Completion:
        """Answer a request.

        Raises:
            BudgetSpentError: No call is left.
            LLMError: The call failed.
        """
        if self.spent:
            raise BudgetSpentError(f"all {self._most} calls are made", hint="Raise --max-calls.")
        self.calls += 1
        return await self._model.complete(request)


@dataclass(frozen=True, slots=True)
class Session:
    """An open way to one model.

    Attributes:
        model: Answers, as long as the budget lasts.
        name: Name of the model.
        rehearsal: Whether the rehearsal model answers: nothing it says is true.
        notices: What the user should know, a sentence each.
        concurrency: Most calls in flight.
        seed: Seed of every request.
    """

    model: BudgetedModel
    name: str
    rehearsal: bool
    notices: tuple[str, ...] = ()
    concurrency: int = 64
    seed: int = 0


@asynccontextmanager
async def open_session(
    config: RunConfig,
    environment: Mapping[str, str],
    max_calls: int | None,
    tell: Callable[[str], None] | None = None,
) -> AsyncGenerator[Session]:
    """Connect to the model that a configuration names, as ``toolflow synth`` does.

    Args:
        config: Names models and endpoints.
        environment: Usually ``os.environ``.
        max_calls: Most calls; None for any number.
        tell: Told what the user should know and is found out only later, a sentence each.

    Raises:
        UsageError: No model is named where one must be, or an extra is missing.
        LLMError: The endpoint does not answer, or refuses.
    """
    # Nothing here calls tools: that the endpoint can is not asked.
    plain = config if config.tool_calls != "auto" else config.model_copy(update={"tool_calls": "json"})
    async with connect(plain, environment, tell) as connection:
        router = make_router(config, connection)
        policy = RetryPolicy(attempts=config.retries + 1, attempt_timeout=config.attempt_timeout)
        client = Client(router, policy, stalls=Stalls() if config.cut_stalled else None)
        yield Session(
            BudgetedModel(client, max_calls),
            connection.model,
            connection.rehearsal,
            connection.notices,
            router.limit,
            config.seed,
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """How jobs ended.

    Attributes:
        done: How many succeeded.
        failed: How many failed, by reason.
        examples: What the first failure of each reason said.
        left: How many were not done because the budget was spent.
    """

    done: int
    failed: Mapping[str, int]
    examples: Mapping[str, str]
    left: int


async def work_through(
    session: Session,
    jobs: Sequence[T],
    do: Callable[[T], Awaitable[None]],
    progress: Callable[[int, int], None],
) -> Tally:
    """Do jobs concurrently, begun in their order; one failure stays one.

    Raises:
        FatalLLMError: Every call would fail.
        LLMError: Ten jobs in a row failed by the endpoint's fault.
        ToolFlowError: A job cannot keep what it found.
    """
    count = _Count(len(jobs), progress)
    waiting = iter(jobs)

    async def work() -> None:
        while not session.model.spent and (job := next(waiting, None)) is not None:
            await asyncio.sleep(0)  # a model in process never waits: let the loop see Ctrl-C
            try:
                await do(job)
            except BudgetSpentError:
                return
            except AgentError as error:
                count.fail(error.reason, error)
            except FatalLLMError:
                raise
            except LLMError as error:
                count.fail("llm_error", error)
            else:
                count.succeed()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(ceil(session.concurrency * _ALIVE_PER_PERMIT), len(jobs))):
                group.create_task(work())
    except BaseExceptionGroup as group_error:
        errors = list(leaves(group_error))
        raise next((error for error in errors if isinstance(error, ToolFlowError)), errors[0]) from None
    return count.tally()


class _Count:
    """How the jobs have ended so far."""

    def __init__(self, jobs: int, progress: Callable[[int, int], None]) -> None:
        self._jobs = jobs
        self._progress = progress
        self._done = 0
        self._failed: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._llm_errors_in_a_row = 0

    def succeed(self) -> None:
        self._done += 1
        self._llm_errors_in_a_row = 0
        self._tell()

    def fail(self, reason: str, error: ToolFlowError) -> None:
        self._failed[reason] += 1
        self._examples.setdefault(reason, error.message)
        self._tell()
        self._llm_errors_in_a_row = self._llm_errors_in_a_row + 1 if isinstance(error, LLMError) else 0
        if self._llm_errors_in_a_row >= _FAILURES_IN_A_ROW:
            raise LLMError(
                f"{_FAILURES_IN_A_ROW} requests in a row failed, the last one because: {error.message}",
                hint="What was answered before is kept: the same command again goes on from there.",
            )

    def tally(self) -> Tally:
        left = self._jobs - self._done - self._failed.total()
        return Tally(self._done, dict(self._failed), self._examples, left)

    def _tell(self) -> None:
        self._progress(self._done + self._failed.total(), self._jobs)
