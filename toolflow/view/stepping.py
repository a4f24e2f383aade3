"""The steps of a dialogue, one after the other: calls, and what the agents said to each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from toolflow.catalog.tool import encode_json
from toolflow.dialogue.message import Message
from toolflow.journal.bodies import JournalledCall
from toolflow.runtime.bus import Envelope
from toolflow.runtime.events import (
    AssistantSpoke,
    DialogueEnded,
    Event,
    GoalAdjusted,
    GoalInjected,
    PlanMade,
    ToolsCalled,
    ToolsReturned,
    UserDone,
    UserSpoke,
)
from toolflow.text import one_line, printable
from toolflow.view.figures import count

Steps = list[JournalledCall | Envelope]

_MOST_RESULT: Final = 2_000
_MOST_SCHEMA: Final = 400


def render_step(step: JournalledCall | Envelope, number: int, total: int) -> RenderableType:
    """One step as text, with its place among all."""
    place = Text(f"{number:>{len(str(total))}}/{total} ", "dim")
    if isinstance(step, Envelope):
        lines = list(_event(step.event))
        return Group(
            Text.assemble(place, (f"{step.role} ", "bold"), (type(step.event).__name__, "cyan")),
            *(Text(f"    {line}") for line in lines if line),
        )
    completion = step.completion
    delivery = completion.delivery
    model = one_line(completion.model, 60)
    where = f"{model} at {one_line(delivery.endpoint, 80)}" if delivery.endpoint else model
    attempts = "1 attempt" if delivery.attempts == 1 else f"{delivery.attempts} attempts"
    how = f"{attempts}, {delivery.seconds:.2f} s" if delivery.attempts else "taken over"
    tokens = f"{count(completion.usage.prompt)} + {count(completion.usage.completion)} LLM tokens"
    return Text.assemble(
        place,
        (f"{step.key.role} call {step.key.position}", "bold magenta"),
        (f"  {where}, {how}, {tokens}", "dim"),
    )


def render_exchange(call: JournalledCall) -> RenderableType:
    """The exact prompt and reply of a call."""
    parts: list[Text] = []
    request = call.request
    if request is None:
        parts.append(Text("the text of the request was lost with a damaged part of the journal", "yellow"))
    else:
        sampling = ", ".join(
            f"{name} {value:g}"
            for name, value in (
                ("temperature", request.sampling.temperature),
                ("top_p", request.sampling.top_p),
                ("max_tokens", request.sampling.max_tokens),
            )
            if value is not None
        )
        parts.append(Text(f"seed {request.seed}{', ' if sampling else ''}{sampling}", "dim"))
        if request.tools:
            names = ", ".join(one_line(tool.function_name, 80) for tool in request.tools)
            parts.append(Text(f"tools offered: {names} (tool_choice {request.tool_choice})", "dim"))
        if request.response_format is not None:
            schema = encode_json(request.response_format.schema)
            parts.append(Text(f"reply as JSON: {one_line(schema, _MOST_SCHEMA)}", "dim"))
        parts += [part for message in request.messages for part in _message(message, "cyan")]
    parts.append(Text("── reply ──", "dim"))
    parts += _message(call.completion.message, "green")
    return Group(*parts, Text(""))


def _message(message: Message, style: str) -> Iterator[Text]:
    yield Text(f"── {message.role} ──", style)
    if message.content:
        yield Text(printable(message.content))
    for call in message.tool_calls:
        yield Text(f"{printable(call.name)} {printable(call.arguments)}", "magenta")


def _event(event: Event) -> Iterator[str]:
    match event:
        case PlanMade() | GoalInjected() | GoalAdjusted():
            yield from _goals(event)
        case UserSpoke(message, opened):
            yield printable(message.content)
            yield "(this opens the goal that was next)" if opened else ""
        case ToolsCalled(message) | AssistantSpoke(message):
            yield printable(message.content)
            for call in message.tool_calls:
                yield f"{printable(call.id)}: {printable(call.name)} {one_line(call.arguments, _MOST_RESULT)}"
        case ToolsReturned(messages):
            for message in messages:
                yield f"{printable(message.tool_call_id or '')}: {one_line(message.content, _MOST_RESULT)}"
        case UserDone(gave_up):
            yield "the user gives up" if gave_up else "the user is done"
        case DialogueEnded(reason):
            yield reason.replace("_", " ")
        case _:
            yield printable(repr(event))


def _goals(event: PlanMade | GoalInjected | GoalAdjusted) -> Iterator[str]:
    match event:
        case PlanMade(plan):
            yield printable(plan.topic)
            for place, goal in enumerate(plan.goals, 1):
                yield f"{place}. {printable(goal.request)}"
        case GoalInjected(turn, current, upcoming):
            yield f"turn {turn}; now: {printable(current.request) if current else 'nothing yet'}"
            yield f"then: {printable(upcoming.request)}" if upcoming else "then: nothing more"
        case GoalAdjusted(position, goal):
            yield f"{position + 1}. {printable(goal.request)}"
