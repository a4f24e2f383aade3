"""The scenario of a dialogue: what it exercises, and who the user is. Drawn by seed, before any call."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

ScenarioKind = Literal["dependent", "parallel", "clarify", "everyday"]

EMPHASIS: Final[Mapping[ScenarioKind, str]] = {
    "dependent": "several goals need values that earlier calls returned",
    "parallel": "at least one goal needs two calls that do not depend on each other",
    "clarify": "in one or two goals the user withholds a required value until asked",
    "everyday": "a natural mix; the user works through an ordinary matter",
}

_WEIGHTS: Final[Mapping[ScenarioKind, float]] = {
    "dependent": 0.35,
    "parallel": 0.2,
    "clarify": 0.25,
    "everyday": 0.2,
}

PERSONAS: Final = (
    "a parent organising the family's week, friendly and a little rushed",
    "a student on a budget who writes casually and in short sentences",
    "a project manager who is precise and polite",
    "a retiree who writes in full sentences and likes to understand things",
    "a freelance designer who thinks aloud and changes topics easily",
    "a nurse between shifts who comes straight to the point",
    "a small-shop owner who asks about costs first",
    "a frequent traveller who knows what they want",
    "a new arrival in town, curious, with English as a second language",
    "a software engineer who is terse and exact",
    "a teacher preparing a class trip, cheerful and thorough",
    "an office assistant arranging things for a boss",
    "a sceptical customer who double-checks every answer",
    "a hobby cook and runner, enthusiastic and chatty",
    "a night-shift worker typing on a phone, few words, lower case",
    "a journalist on a deadline who asks follow-up questions",
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What one dialogue is to be like.

    Attributes:
        kind: What the plan emphasises.
        goals: Wanted number of goals.
        persona: Who the user is, in a phrase.
    """

    kind: ScenarioKind
    goals: int
    persona: str


def draw_scenario(draw: random.Random, *, fewest_goals: int, most_goals: int) -> Scenario:
    """Draw a scenario; both bounds are included."""
    kinds = get_args(ScenarioKind)
    kind: ScenarioKind = draw.choices(kinds, [_WEIGHTS[kind] for kind in kinds])[0]
    return Scenario(kind, draw.randint(fewest_goals, most_goals), draw.choice(PERSONAS))
