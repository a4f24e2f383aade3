"""Mistakes, at a rate: what real models get wrong, so that repairs are rehearsed too."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from toolflow.catalog.tool import encode_json
from toolflow.llm.providers.rehearsal.schemas import is_valid


def slips(draw: random.Random, rate: float) -> bool:
    """Whether a mistake happens at this opportunity."""
    return draw.random() < rate


def spoil_plan(plan: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """A plan that breaks one rule: too few goals, an unknown tool, or a required argument left out."""
    goals = [dict(goal) for goal in plan["goals"]]
    calling = [goal for goal in goals if goal["calls"]]
    giving = [goal for goal in calling if goal["calls"][0]["arguments"]]
    kind = draw.choice(("few", "unknown", "missing"))
    if kind == "unknown" and calling:
        goal = draw.choice(calling)
        goal["calls"] = [{**goal["calls"][0], "tool": f"{goal['calls'][0]['tool']}_v2"}, *goal["calls"][1:]]
    elif kind == "missing" and giving:
        goal = draw.choice(giving)
        call = goal["calls"][0]
        goal["calls"] = [{**call, "arguments": call["arguments"][1:]}, *goal["calls"][1:]]
    else:
        goals = goals[:1]
    return {**plan, "goals": goals}


def spoil_call(name: str, arguments: Mapping[str, Any], draw: random.Random) -> tuple[str, str]:
    """Name and arguments text of a call with one mistake in it."""
    text = encode_json(arguments)
    kind = draw.choice(("malformed", "type", "missing", "unknown"))
    if kind == "malformed" or not arguments:
        return (name, text[:-1]) if arguments else (f"{name}_now", text)
    victim = draw.choice(sorted(arguments))
    if kind == "type":
        wrong: Any = [arguments[victim]] if not isinstance(arguments[victim], list) else "many"
        return name, encode_json({**arguments, victim: wrong})
    if kind == "missing":
        return name, encode_json({key: value for key, value in arguments.items() if key != victim})
    return f"{name}_now", text


def spoil_result(result: dict[str, Any], schema: Mapping[str, Any], draw: random.Random) -> dict[str, Any]:
    """A result that breaks its schema, where the schema can be broken."""
    for victim in draw.sample(sorted(result), len(result)):
        for broken in (
            {**result, victim: {"error": None}},
            {key: one for key, one in result.items() if key != victim},
        ):
            if not is_valid(broken, schema):
                return broken
    return {"note": "no result"}
