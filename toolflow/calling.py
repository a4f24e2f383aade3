"""The way of a run's LLM calls: agent → journal → the run it was forked from → client → endpoint."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from toolflow.config import RunConfig
from toolflow.journal.calls import SqliteJournal
from toolflow.journal.fork import TakingOver, origin_of
from toolflow.journal.replay import JournalledModel
from toolflow.llm.budget.budget import Budget
from toolflow.llm.client import Client
from toolflow.llm.connect import Connection, make_router
from toolflow.llm.hedge import Hedging
from toolflow.llm.in_flight import InFlight
from toolflow.llm.quota.estimate import TokenEstimator
from toolflow.llm.retry import RetryPolicy
from toolflow.llm.router import Router
from toolflow.llm.stall import Stalls
from toolflow.spending import Spending
from toolflow.watchdog import Situation


@dataclass(frozen=True, slots=True)
class Calling:
    """The parts that a call goes through, in this order.

    Attributes:
        model: What agents ask: it answers from the journal, or records before anything acts on the reply.
        origin: Answers what the run that this one was forked from has paid for.
        client: Sends the rest, within the budget, again where that may help.
        budget: What attempts may cost; None where nothing is bounded.
        router: Finds each attempt a lane, with a permit.
        flights: Attempts that are under way.
    """

    model: JournalledModel
    origin: TakingOver
    client: Client
    budget: Budget | None
    router: Router
    flights: InFlight

    @property
    def replayed(self) -> int:
        """Calls that cost nothing: this run had paid for them, or the one it was forked from."""
        return self.model.replayed + self.origin.taken

    def situation(self) -> Situation:
        """What the calls do at this moment, for the watchdog."""
        return Situation(
            self.replayed,
            self.client.statistics(),
            self.router.held_up(),
            oldest=self.flights.oldest(),
            usual=self.flights.usual,
            recording=self.model.recording,
            budgeted=self.budget.statistics().waiting if self.budget else 0,
            failure=self.flights.failure,
        )


@contextmanager
def open_calling(
    config: RunConfig, connection: Connection, spending: Spending, journal: SqliteJournal, run: Path
) -> Generator[Calling]:
    """Put the way together, from its far end to the agents; afterwards no attempt may begin.

    Args:
        config: The run's.
        connection: The endpoints.
        spending: What the run may cost.
        journal: Its open call journal.
        run: Its directory.
    """
    estimator = TokenEstimator()
    flights = InFlight()
    watched = replace(connection, replicas=tuple(map(flights.watch, connection.replicas)))
    router = make_router(config, watched, estimator)
    budget = spending.open(estimator, journal)
    client = Client(
        router,
        RetryPolicy(attempts=config.retries + 1, attempt_timeout=config.attempt_timeout),
        budget=budget,
        hedging=Hedging(config.hedge) if config.hedge else None,
        stalls=Stalls() if config.cut_stalled else None,
        is_writing=connection.live.is_writing,
        fallbacks=config.fallback_models,
    )
    origin = TakingOver(client, origin_of(run))
    model = JournalledModel(origin, journal)
    if budget is not None:
        budget.start()
    try:
        yield Calling(model, origin, client, budget, router, flights)
    finally:
        if budget is not None:
            budget.close()
        origin.close()
