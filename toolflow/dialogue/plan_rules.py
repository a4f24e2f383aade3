"""When a plan can be played: the rules, told as problems that a model can mend."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from toolflow.catalog.tool import Schema, Tool
from toolflow.dialogue.plan import Plan, PlannedArgument, PlannedCall, field_steps


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """Bounds of a plan (METHOD: 4 to 7 goals, at most 30 % of them without a tool)."""

    fewest_goals: int = 4
    most_goals: int = 7
    most_chat: float = 0.3


def plan_problems(plan: Plan, tools: Sequence[Tool], limits: PlanLimits) -> list[str]:
    """What keeps a plan from being played, one sentence each; empty when it can be."""
    return [
        *_shape_problems(plan, limits),
        *_call_problems(plan, {tool.function_name: tool for tool in tools}),
    ]


def _shape_problems(plan: Plan, limits: PlanLimits) -> Iterator[str]:
    count = len(plan.goals)
    if not limits.fewest_goals <= count <= limits.most_goals:
        yield f"the plan has {count} goals; it must have {limits.fewest_goals} to {limits.most_goals}"
    chat = sum(goal.kind == "chat" for goal in plan.goals)
    most = math.floor(limits.most_chat * count)
    if chat > most:
        yield f"{chat} of {count} goals are kind chat; at most {most} may be"
    for place, goal in enumerate(plan.goals, 1):
        if goal.kind == "tool" and not goal.calls:
            yield f"goal {place} is kind tool and plans no call"
        if goal.kind == "chat" and goal.calls:
            yield f"goal {place} is kind chat and plans calls"


def _call_problems(plan: Plan, tools: Mapping[str, Tool]) -> Iterator[str]:
    called: list[Tool] = []
    for place, goal in enumerate(plan.goals, 1):
        for name in sorted(tools):
            if "_" in name and name in goal.request:
                yield f"goal {place}: the request names the tool {name}; say what the person wants instead"
        for call in goal.calls:
            tool = tools.get(call.tool)
            if tool is None:
                offered = ", ".join(sorted(tools))
                yield f"goal {place}: there is no tool {call.tool!r}; the tools are {offered}"
                continue
            for problem in _argument_problems(call, tool, called):
                yield f"goal {place}, {call.tool}: {problem}"
            called.append(tool)


def _argument_problems(call: PlannedCall, tool: Tool, called: Sequence[Tool]) -> Iterator[str]:
    given = [argument.name for argument in call.arguments]
    for name in tool.required:
        if name not in given:
            yield f"no argument says where the required parameter {name!r} comes from"
    for name in sorted({name for name in given if given.count(name) > 1}):
        yield f"the argument {name!r} is given more than once"
    for argument in call.arguments:
        if argument.name not in tool.properties:
            yield f"there is no parameter {argument.name!r}"
        elif argument.source == "result":
            yield from _result_problems(argument, called)
    known = {
        argument.name: argument.value
        for argument in call.arguments
        if argument.source != "result" and argument.name in tool.properties
    }
    for problem in tool.argument_problems(known):
        # Values that come from results are not known yet: that they are absent is no fault of the plan.
        if "required property" not in problem:
            yield f"a value does not fit: {problem}"


def _result_problems(argument: PlannedArgument, called: Sequence[Tool]) -> Iterator[str]:
    producers = [tool for tool in called if tool.function_name == argument.from_tool]
    if not producers:
        yield f"{argument.name!r} comes from {argument.from_tool!r}, which no earlier call calls"
        return
    returns = producers[-1].returns
    if returns is None or argument.from_field is None:
        return
    if not _has_path(returns, returns, field_steps(argument.from_field), depth=0):
        yield f"{argument.name!r}: {argument.from_tool} returns no field {argument.from_field!r}"


def _has_path(schema: Schema, root: Schema, steps: Sequence[str], *, depth: int) -> bool:
    """Whether a return schema may hold a value at a path; what it leaves open may hold anything."""
    if not steps or depth > 16:
        return True
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        target: object = root
        for part in reference[2:].split("/"):
            target = (
                target.get(part.replace("~1", "/").replace("~0", "~"))
                if isinstance(target, Mapping)
                else None
            )
        return not isinstance(target, Mapping) or _has_path(target, root, steps, depth=depth + 1)
    branches = [branch for word in ("anyOf", "oneOf", "allOf") for branch in schema.get(word) or ()]
    if branches:
        return any(_has_path(branch, root, steps, depth=depth + 1) for branch in branches)
    items = schema.get("items")
    if isinstance(items, Mapping):
        return _has_path(items, root, steps, depth=depth + 1)
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and properties:
        inner = properties.get(steps[0])
        return isinstance(inner, Mapping) and _has_path(inner, root, steps[1:], depth=depth + 1)
    return True
