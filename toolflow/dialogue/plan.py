"""The plan of a dialogue: an ordered list of goals, each with the calls it should need.

A plan is written by a model as JSON, so its shape is a pydantic model; it is frozen and used as it is inside.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

ArgumentSource = Literal["user", "result", "default"]
GoalKind = Literal["tool", "chat"]

_INDEX = re.compile(r"\[\w*\]")


def field_steps(path: str) -> list[str]:
    """The keys along a dotted path into a result, without list positions (``[]``, ``[0]``, ``.0``)."""
    return [step for step in _INDEX.sub("", path).split(".") if step and not step.isdigit()]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedArgument(_Frozen):
    """Where one argument of a planned call comes from."""

    name: str = Field(description="Name of a parameter of the tool.")
    source: ArgumentSource = Field(
        description="user: the user says it. result: an earlier call returned it. "
        "default: the parameter's documented default."
    )
    value: Any = Field(
        default=None, description="The value where the source is user or default; null for result."
    )
    withheld: bool = Field(
        default=False,
        description="True: the user leaves this value out until the assistant asks for it.",
    )
    from_tool: str | None = Field(
        default=None, description="For result: the tool called earlier in the plan that returns it."
    )
    from_field: str | None = Field(
        default=None, description="For result: the field of that tool's result, a dotted path."
    )


class PlannedCall(_Frozen):
    """A tool call that a goal should need."""

    tool: str = Field(description="Name of one of the given tools.")
    arguments: tuple[PlannedArgument, ...] = ()


class Goal(_Frozen):
    """What the user wants to reach in one planned turn.

    ``kind`` is ``tool`` where the request needs tool calls and ``chat`` where it needs none.
    """

    kind: GoalKind
    request: str = Field(
        min_length=1,
        description="What the user wants, in one sentence about the user, naming no tool.",
    )
    calls: tuple[PlannedCall, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """The values that the user knows and may say, by parameter name, withheld ones left out."""
        return self._from_user(withheld=False)

    @property
    def withheld_facts(self) -> dict[str, Any]:
        """The values that the user says only when asked."""
        return self._from_user(withheld=True)

    def _from_user(self, *, withheld: bool) -> dict[str, Any]:
        """Values by parameter name; a name that two calls give different values holds a list of them."""
        values: dict[str, list[Any]] = {}
        for call in self.calls:
            for argument in call.arguments:
                if argument.source == "user" and argument.withheld == withheld:
                    known = values.setdefault(argument.name, [])
                    if argument.value not in known:
                        known.append(argument.value)
        return {name: known[0] if len(known) == 1 else known for name, known in values.items()}


class Plan(_Frozen):
    """A dialogue plan: 4 to 7 goals, later ones building on what earlier ones returned."""

    topic: str = Field(min_length=1, description="The situation of the user, in a few words.")
    goals: tuple[Goal, ...]
