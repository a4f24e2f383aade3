"""One dialogue of a run with all that is known of it: what it was to be, what came of it, what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from toolflow.dialogue.dialogue import dialogue_id
from toolflow.dialogue.message import Message
from toolflow.dialogue.plan import Goal
from toolflow.errors import JournalDamagedError, RunDirectoryError, UsageError
from toolflow.journal.bodies import JournalledCall
from toolflow.journal.lines import read_line, scan_accepted, scan_thrown_out
from toolflow.journal.replay import state_of
from toolflow.llm.budget.prices import PICODOLLARS, Price, Prices
from toolflow.llm.chat import CallKey
from toolflow.rework.replay import Replayed, Rework
from toolflow.runtime.bus import Envelope
from toolflow.runtime.events import (
    AssistantSpoke,
    GoalAdjusted,
    PlanMade,
    ToolsCalled,
    ToolsReturned,
    UserSpoke,
)


async def explain(rework: Rework, index: int) -> dict[str, Any]:
    """All that is known of a dialogue, as a JSON document.

    ``state`` is ``accepted``, ``rejected``, ``failed``, ``spare`` (accepted, and more than were wanted) or
    ``unfinished``; ``findings`` say why it was thrown out, each with the place of the message that it is
    about; ``messages`` is what was said so far; ``calls`` lists the LLM calls in the order in which they were
    completed, those of a fork that cost nothing with 0 attempts; ``cost_usd`` is null where a price is not
    known.

    Raises:
        RunDirectoryError: The run has no such dialogue, or cannot be read.
    """
    replayed = await rework.play(index)
    line, state = _line(rework, replayed)
    calls, trouble = _calls(rework, index)
    if state == "unfinished" and not calls and replayed.whole == "unfinished" and not trouble:
        raise RunDirectoryError(
            f"{rework.run} holds no dialogue {dialogue_id(index)}",
            hint="toolflow check RUN counts what there is; dialogues.jsonl and rejected.jsonl list it.",
        )
    tool_set, scenario = rework.draw(index)
    prices = _prices(rework)
    costs = [_cost(call, rework, prices) for call in calls]
    plan, messages = _said(replayed.steps)
    if plan is None and "plan" in line:  # it cannot be played again: what its line says is all there is
        plan, messages = line["plan"], line["messages"]
    return {
        "id": dialogue_id(index),
        "state": state,
        "reason": line.get("reason"),
        "detail": line.get("detail"),
        "findings": _findings(line),
        "replay": {"whole": replayed.whole, "detail": replayed.detail or trouble},
        "rehearsal": bool(rework.record.facts.get("rehearsal")),
        "scenario": asdict(scenario),
        "shape": tool_set.shape,
        "tools": [tool.function_name for tool in tool_set.tools],
        "distractors": [tool.function_name for tool in tool_set.distractors],
        "links": [link.to_json() for link in tool_set.links],
        "plan": plan,
        "messages": messages,
        "calls": [
            _call(call, cost, calls, rework.config.dialogue.repairs)
            for call, cost in zip(calls, costs, strict=True)
        ],
        "totals": _totals(calls, costs),
        "traceback": line.get("traceback"),
    }


async def read_steps(rework: Rework, index: int) -> tuple[list[JournalledCall | Envelope], str]:
    """The calls and events of a dialogue in the order in which they took place, and why there are no more.

    Calls that it cannot be played again with stand at the end.

    Raises:
        RunDirectoryError: The run has no call of that dialogue, or cannot be read.
    """
    replayed = await rework.play(index)
    calls = {call.key: call for call in rework.calls(index)}
    if not calls:
        raise RunDirectoryError(
            f"{rework.run} holds no call of dialogue {dialogue_id(index)}",
            hint="dialogues.jsonl and rejected.jsonl list what there is.",
        )
    reached = {step for step in replayed.steps if isinstance(step, CallKey)}
    steps = [calls[step] if isinstance(step, CallKey) else step for step in replayed.steps]
    return [*steps, *(call for key, call in calls.items() if key not in reached)], replayed.detail


def find_index(rework: Rework, wanted: str | None) -> int:
    """The index of a dialogue by id (``d0000012``) or index (``12``); the first accepted one for None.

    Raises:
        UsageError: It is neither.
        RunDirectoryError: The run has no dialogue yet.
    """
    if wanted is not None:
        digits = wanted.removeprefix("d")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
            raise UsageError(
                f"{wanted!r} is no dialogue", hint="Give an id such as d0000012, or an index such as 12."
            )
        return int(digits)
    accepted = scan_accepted(rework.run / "dialogues.jsonl").lines
    first = min((line.index for line in accepted), default=None)
    if first is None:
        first = next(rework.journal.dialogues(), None)
    if first is None:
        raise RunDirectoryError(f"{rework.run} holds no dialogue yet", hint="toolflow synth makes some.")
    return first


def _line(rework: Rework, replayed: Replayed) -> tuple[Mapping[str, Any], str]:
    """What the files, or else the checks, say of a dialogue; and where it stands."""
    index = replayed.index
    rejected, dialogues = rework.run / "rejected.jsonl", rework.run / "dialogues.jsonl"
    for line in scan_thrown_out(rejected).lines:
        if line.index == index:
            known = replayed.outcome
            # The checks of today give places, too.
            same = known is not None and not known.accepted and known.line["reason"] == line.reason
            content = known.line if same and known is not None else read_line(rejected, line)
            return content, state_of(line.stage)
    for line in scan_accepted(dialogues).lines:
        if line.index == index:
            return read_line(dialogues, line), "accepted"
    if replayed.outcome is None:
        return {}, "unfinished"
    if replayed.outcome.accepted:
        return replayed.outcome.line, "spare"
    return replayed.outcome.line, state_of(replayed.outcome.line["stage"])


def _calls(rework: Rework, index: int) -> tuple[list[JournalledCall], str]:
    try:
        return rework.calls(index), ""
    except JournalDamagedError as error:
        return [], error.message


def _findings(line: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "findings" in line:
        return list(line["findings"])
    if "reason" not in line:
        return []
    return [{"check": line["reason"], "detail": line.get("detail", ""), "place": None}]


def _said(steps: Sequence[CallKey | Envelope]) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The plan with its goals as they were adjusted, and what was said, as far as the events reach."""
    topic: str | None = None
    goals: list[Goal] = []
    messages: list[Message] = []
    for step in steps:
        if isinstance(step, CallKey):
            continue
        match step.event:
            case PlanMade(plan):
                topic, goals = plan.topic, list(plan.goals)
            case GoalAdjusted(position, goal):
                goals[position] = goal
            case UserSpoke(message) | ToolsCalled(message) | AssistantSpoke(message):
                messages.append(message)
            case ToolsReturned(returned):
                messages.extend(returned)
            case _:
                pass
    plan_json = {"topic": topic, "goals": [goal.model_dump(mode="json") for goal in goals]}
    return None if topic is None else plan_json, [message.to_openai() for message in messages]


def _prices(rework: Rework) -> Prices:
    """The run's own prices where their file is still there, else the shipped ones."""
    own = rework.config.prices
    return Prices.load(Path(own) if own is not None and Path(own).exists() else None)


def _cost(call: JournalledCall, rework: Rework, prices: Prices) -> float | None:
    completion = call.completion
    if not completion.delivery.attempts:
        return 0.0
    price: Price | None = prices.find(completion.model)
    if price is None and len(rework.config.model_names()) <= 1:
        price = prices.find(rework.record.fingerprint["model"])  # endpoints report dated names
    return None if price is None else price.picodollars(completion.usage) / PICODOLLARS


def _call(
    call: JournalledCall, cost: float | None, calls: Sequence[JournalledCall], repairs: int
) -> dict[str, Any]:
    completion, key = call.completion, call.key
    asked = {other.key for other in calls}
    return {
        "number": call.number,
        "role": key.role,
        "position": key.position,
        "model": completion.model,
        "endpoint": completion.delivery.endpoint,
        "attempts": completion.delivery.attempts,
        "sent_at": call.sent_at,
        "seconds": completion.delivery.seconds,
        "prompt_tokens": completion.usage.prompt,
        "completion_tokens": completion.usage.completion,
        "cost_usd": cost,
        # Positions are set aside for repairs behind each question.
        "repairs": key.position % (1 + repairs) > 0,
        "repaired": key.position % (1 + repairs) < repairs
        and key._replace(position=key.position + 1) in asked,
    }


def _totals(calls: Sequence[JournalledCall], costs: Sequence[float | None]) -> dict[str, Any]:
    known = [cost for cost in costs if cost is not None]
    return {
        "calls": len(calls),
        "taken_over": sum(not call.completion.delivery.attempts for call in calls),
        "attempts": sum(call.completion.delivery.attempts for call in calls),
        "seconds": sum(call.completion.delivery.seconds for call in calls),
        "prompt_tokens": sum(call.completion.usage.prompt for call in calls),
        "completion_tokens": sum(call.completion.usage.completion for call in calls),
        "cost_usd": sum(known) if len(known) == len(costs) else None,
    }
