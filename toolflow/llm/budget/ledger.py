"""The books of a budget: what is spent, what is reserved, whether an attempt more fits. Waits for nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from toolflow.errors import UsageError
from toolflow.llm.budget.prices import PICODOLLARS

_NO_CALL: Final = "Give a larger one, or leave it out for no bound."

Reason = Literal["cost", "calls", "tokens", "time"]
"""Which bound ended a budget."""


@dataclass(frozen=True, slots=True)
class BudgetBounds:
    """The most that a run may spend. None: as much as it needs.

    Attributes:
        cost: USD.
        calls: Attempts of LLM calls.
        tokens: LLM tokens, prompts and completions together.
        seconds: From the start of this process's part of the run.

    Raises:
        UsageError: A bound that is no number, is negative, or leaves no call.
    """

    cost: float | None = None
    calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("cost", self.cost), ("seconds", self.seconds)):
            if value is not None and not math.isfinite(value):
                raise UsageError(f"a bound of {value} on the {name} is none", hint="Leave it out.")
        if self.cost is not None and self.cost < 0:
            raise UsageError(f"a cost of at most {self.cost:g} USD leaves no call", hint=_NO_CALL)
        for name, number in (("calls", self.calls), ("LLM tokens", self.tokens), ("seconds", self.seconds)):
            if number is not None and number <= 0:
                raise UsageError(f"a budget of {number:g} {name} leaves no call", hint=_NO_CALL)


@dataclass(frozen=True, slots=True)
class Spent:
    """What attempts took.

    Attributes:
        cost: USD; None if the price of some of the LLM tokens is unknown.
        calls: Attempts.
        tokens: LLM tokens, prompts and completions together.
    """

    cost: float | None = 0.0
    calls: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Overshoot:
    """By how much attempts passed what was reserved for them; spent too, and part of :class:`Spent`.

    Attributes:
        attempts: How many did.
        tokens: LLM tokens beyond their reservations.
        cost: USD beyond their reservations, where the price is known.
    """

    attempts: int = 0
    tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class BudgetStatistics:
    """A snapshot of a budget.

    Attributes:
        bounds: What may be spent.
        spent: What is spent, earlier processes of the run included; a cost of None is unknown.
        reserved: What the attempts that hold a reservation may yet take.
        in_flight: Those of them that are being sent.
        waiting: Attempts that wait for a reservation now.
        exhausted: The bound that ended the budget, or None while it lasts.
        overshoot: By how much attempts passed their reservations in this process.
        uncounted: Attempts that were charged their reservations, for nobody counted their LLM tokens.
        seconds: Since the start of this process's part of the run.
    """

    bounds: BudgetBounds
    spent: Spent
    reserved: Spent
    in_flight: int
    waiting: int
    exhausted: Reason | None
    overshoot: Overshoot
    uncounted: int
    seconds: float


class Amount(NamedTuple):
    """What one attempt takes, or may take.

    Attributes:
        cost: Picodollars; None where the price is unknown.
        tokens: LLM tokens, prompt and completion together.
    """

    cost: int | None
    tokens: int


REFUSED: Final = Amount(0, 0)
"""An attempt that nobody bills: it counts as a call and nothing else."""


class Ledger:
    """Keeps spent + reserved within the bounds, up to what attempts take beyond their reservations.

    At every moment and for each bound: spent + reserved ≤ bound + overshoot. Where earlier processes spent
    more than a bound nothing fits, and what they spent stands in for it.

    Args:
        bounds: Of them the cost, the calls and the tokens; time is not kept here.
        spent: What earlier processes of the run spent.

    Raises:
        UsageError: The cost is bounded and what was spent of it is unknown.
    """

    def __init__(self, bounds: BudgetBounds, spent: Spent) -> None:
        if bounds.cost is not None and spent.cost is None:
            raise UsageError(
                "the run has used models without a price, so its cost cannot be bounded",
                hint="Give their prices with --prices FILE.",
            )
        self._most_cost = math.inf if bounds.cost is None else round(bounds.cost * PICODOLLARS)
        self._most_calls = math.inf if bounds.calls is None else bounds.calls
        self._most_tokens = math.inf if bounds.tokens is None else bounds.tokens
        self._spent = _Sum(round((spent.cost or 0.0) * PICODOLLARS), spent.calls, spent.tokens)
        self._spent.unpriced = int(spent.cost is None)
        self._reserved = _Sum()
        self._past = _Sum()

    @property
    def held(self) -> int:
        """Reservations that are neither settled nor given back."""
        return self._reserved.calls

    @property
    def spent(self) -> Spent:
        return self._spent.as_spent()

    @property
    def reserved(self) -> Spent:
        return self._reserved.as_spent()

    @property
    def overshoot(self) -> Overshoot:
        return Overshoot(self._past.calls, self._past.tokens, self._past.cost / PICODOLLARS)

    def lacking(self, amount: Amount) -> Reason | None:
        """The bound that an attempt of this amount would pass now, or None if it fits."""
        spent, reserved = self._spent, self._reserved
        if self._most_cost != math.inf and (
            amount.cost is None or spent.cost + reserved.cost + amount.cost > self._most_cost
        ):
            return "cost"
        if spent.calls + reserved.calls + 1 > self._most_calls:
            return "calls"
        if spent.tokens + reserved.tokens + amount.tokens > self._most_tokens:
            return "tokens"
        return None

    def reserve(self, amount: Amount) -> None:
        """Set the amount aside for one attempt; it must fit."""
        assert self.lacking(amount) is None
        self._reserved.add(amount)

    def give_back(self, amount: Amount) -> None:
        """The attempt was not made."""
        self._reserved.take(amount)

    def settle(self, reserved: Amount, actual: Amount) -> None:
        """The attempt took ``actual`` where ``reserved`` was set aside for it."""
        self._reserved.take(reserved)
        self._spent.add(actual)
        tokens = max(0, actual.tokens - reserved.tokens)
        known = actual.cost is not None and reserved.cost is not None
        cost = max(0, (actual.cost or 0) - (reserved.cost or 0)) if known else 0
        if tokens or cost:
            self._past.add(Amount(cost, tokens))


class _Sum:
    """A sum of amounts, in whole numbers."""

    __slots__ = ("calls", "cost", "tokens", "unpriced")

    def __init__(self, cost: int = 0, calls: int = 0, tokens: int = 0) -> None:
        self.cost = cost
        self.calls = calls
        self.tokens = tokens
        self.unpriced = 0

    def add(self, amount: Amount) -> None:
        self._change(amount, 1)

    def take(self, amount: Amount) -> None:
        self._change(amount, -1)

    def _change(self, amount: Amount, sign: int) -> None:
        self.calls += sign
        self.tokens += sign * amount.tokens
        if amount.cost is None:
            self.unpriced += sign
        else:
            self.cost += sign * amount.cost

    def as_spent(self) -> Spent:
        return Spent(None if self.unpriced else self.cost / PICODOLLARS, self.calls, self.tokens)
