"""The planner: a valid plan for any tools, producers before consumers, values shared where names are."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from toolflow.clock import derive_random
from toolflow.llm.chat import Request
from toolflow.llm.providers.rehearsal.intents import thing_of
from toolflow.llm.providers.rehearsal.lexicon import places
from toolflow.llm.providers.rehearsal.mistakes import slips, spoil_plan
from toolflow.llm.providers.rehearsal.planned_call import CallPlanner, DraftCall
from toolflow.llm.providers.rehearsal.prompt import first_text, is_repair, json_lines, labelled
from toolflow.llm.providers.rehearsal.requests import word_request
from toolflow.llm.providers.rehearsal.scene import Scene
from toolflow.llm.providers.rehearsal.schemas import as_schema
from toolflow.llm.providers.rehearsal.smalltalk import subjects
from toolflow.llm.providers.rehearsal.sources import PlannedTool, is_learnt, origin_of, planned_tool
from toolflow.llm.providers.rehearsal.words import listed, plural

_CHAT_SHARE: Final = 0.3
_USUAL_GOALS: Final = 5
_MOST_GOALS: Final = 20
_TRAVEL: Final = frozenset(("city", "city_to", "city_from", "airport_to", "airport_from"))


def play_planner(request: Request, mistakes: float) -> dict[str, Any]:
    """The plan that the prompt asks for."""
    prompt = first_text(request.messages, "<tools>")
    draw = derive_random(request.seed, "planner")
    tools = [planned_tool(row) for row in json_lines(prompt, "tools") if row.get("name")]
    wanted = labelled(prompt, "Number of goals:")
    count = min(int(wanted), _MOST_GOALS) if wanted.isdecimal() else _USUAL_GOALS
    emphasis = labelled(prompt, "Emphasis:").split(" ")[0]
    plan = write_plan(tools, max(count, 1), emphasis, draw, talk=_may_chat(request))
    if not is_repair(request.messages) and slips(draw, mistakes):
        return spoil_plan(plan, draw)
    return plan


def _may_chat(request: Request) -> bool:
    """Whether the wanted format knows goals that need no tool."""
    shape = request.response_format.schema if request.response_format else {}
    goals = as_schema(as_schema(as_schema(shape.get("properties")).get("goals")).get("items"))
    kinds = goals.get("anyOf")
    if not isinstance(kinds, list):
        return True
    return any(
        as_schema(as_schema(as_schema(one).get("properties")).get("kind")).get("const") == "chat"
        for one in kinds
    )


def write_plan(
    tools: Sequence[PlannedTool], count: int, emphasis: str, draw: random.Random, *, talk: bool = True
) -> dict[str, Any]:
    """A plan as JSON.

    Args:
        tools: What may be called; without any, every goal is talk.
        count: How many goals.
        emphasis: ``dependent``, ``parallel``, ``clarify`` or ``everyday``.
        draw: The source of chance.
        talk: Whether goals that need no tool are wanted.
    """
    if not tools:
        subject = draw.choice(subjects())
        return {"topic": "an ordinary day", "goals": [chat_goal(subject.request)] * count}
    most_chat = math.floor(_CHAT_SHARE * count) if talk else 0
    chat = sum(draw.random() < 0.6 for _ in range(most_chat))
    groups = _grouped(_ordered(tools, draw), count - chat, emphasis, draw)
    planner = CallPlanner(Scene(draw), draw, emphasis)
    goals: list[dict[str, Any]] = []
    offers = [tool.offer for tool in tools]
    seen: set[str] = set()
    for group in groups:
        drafts: list[DraftCall] = []
        for tool in group:
            drafts.append(planner.plan(tool, afresh=tool.name in seen))
            seen.add(tool.name)
        planner.withhold(drafts)
        goals.append(_goal(word_request(drafts, offers, draw), drafts))
    for subject in draw.sample(subjects(), chat):
        goals.insert(draw.randint(1, len(goals)), chat_goal(subject.request))
    return {
        "topic": _topic([tool.name for group in groups for tool in group], planner.scene, draw),
        "goals": goals,
    }


def chat_goal(request: str) -> dict[str, Any]:
    """A goal that needs no tool."""
    return {"kind": "chat", "request": request, "calls": []}


def _goal(request: str, drafts: Sequence[DraftCall]) -> dict[str, Any]:
    calls = [
        {"tool": draft.tool.name, "arguments": [argument.to_json() for argument in draft.arguments]}
        for draft in drafts
    ]
    return {"kind": "tool", "request": request, "calls": calls}


def _ordered(tools: Sequence[PlannedTool], draw: random.Random) -> list[PlannedTool]:
    """The tools, each after those that return what it needs, as far as that can be."""
    waiting = draw.sample(list(tools), len(tools))
    ordered: list[PlannedTool] = []
    while waiting:
        # First goes what needs least that nobody has told yet, and of those what the last one leads to.
        best = min(waiting, key=lambda tool: (_unmet(tool, ordered), -_met(tool, ordered[-1:])))
        waiting.remove(best)
        ordered.append(best)
    return ordered


def _unmet(tool: PlannedTool, called: Sequence[PlannedTool]) -> int:
    needed = [slot for slot in tool.offer.slots if slot.name in tool.offer.required]
    needed += [inner for slot in needed for inner in slot.inner]
    return sum(
        is_learnt(slot) and not slot.inner and origin_of(slot, tool.name, called) is None for slot in needed
    )


def _met(tool: PlannedTool, called: Sequence[PlannedTool]) -> int:
    return sum(
        origin_of(slot, tool.name, called) is not None
        for slot in tool.offer.slots
        if slot.name in tool.offer.required
    )


def _grouped(
    ordered: Sequence[PlannedTool], goals: int, emphasis: str, draw: random.Random
) -> list[tuple[PlannedTool, ...]]:
    """The calls of each goal that needs tools: one mostly, two where there are more tools than goals."""
    groups: list[tuple[PlannedTool, ...]] = [(tool,) for tool in ordered]
    while len(groups) > goals:
        pairs = [i for i in range(len(groups) - 1) if len(groups[i]) + len(groups[i + 1]) <= 2]
        if not pairs:
            groups = groups[:goals]
            break
        # A sentence that holds two requests should hold few values.
        place = min(pairs, key=lambda i: sum(_told(tool, ordered) for tool in (*groups[i], *groups[i + 1])))
        groups[place : place + 2] = [(*groups[place], *groups[place + 1])]
    while len(groups) < goals:
        groups.append((_again(ordered, groups, draw),))
    paired = any(len(group) > 1 for group in groups)
    if (emphasis == "parallel" and not any(_independent(group) for group in groups)) or (
        not paired and len(groups) > 3 and draw.random() < 0.3
    ):
        _double(groups, draw)
    return groups


def _told(tool: PlannedTool, ordered: Sequence[PlannedTool]) -> int:
    """How many values the user has to tell for a call."""
    others = [other for other in ordered if other is not tool]
    needed = [slot for slot in tool.offer.slots if slot.name in tool.offer.required]
    return sum(1 + len(slot.inner) for slot in needed if origin_of(slot, tool.name, others) is None)


def _again(
    ordered: Sequence[PlannedTool], groups: Sequence[tuple[PlannedTool, ...]], draw: random.Random
) -> PlannedTool:
    """A tool to use once more: one that looks things up, and not the one just used."""
    used = [tool for group in groups[-1:] for tool in group]
    said = [tool for tool in ordered if _can_repeat(tool)]
    picked = [tool for tool in ordered if _picks(tool, ordered) and groups.count((tool,)) < 2]
    fresh = [tool for tool in (*said, *picked) if tool not in used]
    uses = Counter(tool.name for group in groups for tool in group)
    options = fresh or said or picked or list(ordered)
    least = min(uses[tool.name] for tool in options)
    return draw.choice([tool for tool in options if uses[tool.name] == least])


def _picks(tool: PlannedTool, ordered: Sequence[PlannedTool]) -> bool:
    """Whether a tool looks up one entry of a list that another returns: then it can look up the next."""
    needed = [slot for slot in tool.offer.slots if slot.name in tool.offer.required]
    others = [other for other in ordered if other is not tool]
    origins = [origin_of(slot, tool.name, others) for slot in needed]
    return tool.offer.verb == "=get" and len(needed) == 1 and all(one and one.field.listed for one in origins)


def _independent(group: tuple[PlannedTool, ...]) -> bool:
    if len(group) < 2:
        return False
    first, second = group[0], group[1]
    return first is second or _met(second, [first]) == 0


def _double(groups: list[tuple[PlannedTool, ...]], draw: random.Random) -> None:
    """Have one goal ask the same of two things."""
    single = [place for place, group in enumerate(groups) if len(group) == 1 and _can_repeat(group[0])]
    if single:
        place = draw.choice(single)
        groups[place] = groups[place] * 2


def _can_repeat(tool: PlannedTool) -> bool:
    """Whether a tool can be asked twice in one sentence: a few plain values that people say."""
    needed = [slot for slot in tool.offer.slots if slot.name in tool.offer.required]
    plain = [
        slot for slot in needed if slot.type in {"string", "any"} and not slot.choices and not is_learnt(slot)
    ]
    return bool(plain) and len(needed) <= 2 and not any(slot.inner or is_learnt(slot) for slot in needed)


def _topic(names: Sequence[str], scene: Scene, draw: random.Random) -> str:
    things = list(dict.fromkeys(thing_of(name) for name in names))[:2]
    about = listed([plural(thing) for thing in things])
    if scene.place in places() and any(
        word in thing for thing in things for word in ("flight", "hotel", "train", "trip")
    ):
        return f"planning a trip to {scene.place.city}"
    return draw.choice(
        (f"sorting out {about}", f"an afternoon of arranging {about}", f"getting {about} in order")
    )
