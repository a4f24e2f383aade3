"""What a run may spend, and what it has spent so far: prices, budgets and the journal together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from toolflow.config import RunConfig
from toolflow.journal.calls import SqliteJournal
from toolflow.llm.budget.budget import Budget, BudgetBounds, Spent
from toolflow.llm.budget.prices import PICODOLLARS, Prices
from toolflow.llm.connect import Connection
from toolflow.llm.quota.estimate import TokenEstimator

BOUNDS: Final[Mapping[str, str]] = {
    "cost": "--max-cost",
    "calls": "--max-calls",
    "tokens": "--max-tokens-total",
    "time": "--max-time",
}
"""The option that sets each bound."""


class Spending:
    """What a run may spend, and what it has spent.

    Args:
        bounds: None where there are none.
        prices: Of the models.
        models: Those that are asked for.
    """

    def __init__(self, bounds: BudgetBounds | None, prices: Prices, models: Sequence[str]) -> None:
        self._bounds = bounds
        self._prices = prices
        self._models = models

    def open(self, estimator: TokenEstimator, journal: SqliteJournal) -> Budget | None:
        """The budget of what is left after earlier processes."""
        if self._bounds is None:
            return None
        spent = journal.totals().all
        tokens = spent.usage.prompt + spent.usage.completion
        return Budget(self._bounds, self._prices, estimator, Spent(self.cost(journal), spent.calls, tokens))

    def cost(self, journal: SqliteJournal) -> float | None:
        """US dollars of the whole run; None where a price is not known."""
        picodollars = 0
        for model, spent in journal.totals().by_model.items():
            # Endpoints report dated names; the run's only model is then meant.
            price = self._prices.find(model) or (
                self._prices.find(self._models[0]) if len(self._models) == 1 else None
            )
            if price is None:
                return None
            picodollars += price.picodollars(spent.usage)
        return picodollars / PICODOLLARS


def _requested(config: RunConfig, connection: Connection) -> tuple[str, ...]:
    roles = [model for _, role in config.roles.items() for model in role.models or (connection.model,)]
    return tuple(dict.fromkeys((*roles, *config.fallback_models)))


def spending_of(config: RunConfig, connection: Connection) -> Spending:
    """What the configuration of a run lets it spend.

    Raises:
        UsageError: The cost is bounded, and the price of a model is not known; or prices cannot be read.
    """
    prices = Prices.load(Path(config.prices) if config.prices is not None else None)
    bounds = BudgetBounds(config.max_cost, config.max_calls, config.max_tokens_total, config.max_time)
    models = _requested(config, connection)
    if bounds.cost is not None:
        prices.require(models)
    return Spending(None if bounds == BudgetBounds() else bounds, prices, models)
