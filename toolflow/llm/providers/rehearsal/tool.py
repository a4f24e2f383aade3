"""The tool simulator: a result that fits its schema, its names and what was returned before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from toolflow.clock import derive_random
from toolflow.llm.chat import Request
from toolflow.llm.providers.rehearsal.invention import invent_result
from toolflow.llm.providers.rehearsal.mistakes import slips, spoil_result
from toolflow.llm.providers.rehearsal.prompt import as_object, first_text, is_repair, json_block, json_lines
from toolflow.llm.providers.rehearsal.scene import Scene
from toolflow.llm.providers.rehearsal.schema_values import write_value
from toolflow.llm.providers.rehearsal.schemas import is_valid
from toolflow.llm.providers.rehearsal.site import Site
from toolflow.llm.providers.rehearsal.tidy import tidy
from toolflow.llm.providers.rehearsal.world import World

_TRIES: Final = 4


def play_tool(request: Request, mistakes: float) -> dict[str, Any]:
    """The answer to a ``tool_result`` request: the result, under ``result`` where the schema wants it so."""
    prompt = first_text(request.messages, "<call>")
    tool = as_object(json_block(prompt, "tool"))
    call = as_object(json_block(prompt, "call"))
    schema = request.response_format.schema if request.response_format else {}
    name = str(call.get("tool") or tool.get("name") or "")
    world = World(json_lines(prompt, "history"), name, as_object(call.get("arguments")))
    answer = _answer(world, tool, schema, request.seed)
    if not is_repair(request.messages):
        draw = derive_random(request.seed, "tool mistake")
        if slips(draw, mistakes):
            return spoil_result(answer, schema, draw)
    return answer


def write_object(schema: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """An object for a schema of which nothing else is known."""
    value = write_value(schema, Site(schema, Scene(derive_random(seed, "unknown"))))
    return value if isinstance(value, dict) else {}


def _answer(world: World, tool: Mapping[str, Any], schema: Mapping[str, Any], seed: int) -> dict[str, Any]:
    returns = tool.get("returns")
    wrapped = not isinstance(returns, dict) or returns.get("type") != "object"
    before = world.repeated()
    answer: dict[str, Any] = {"result": before} if wrapped else as_object(before)  # type: ignore[assignment]
    if before is not None and is_valid(answer, schema):
        return answer
    for attempt in range(_TRIES):
        scene = Scene(derive_random(seed, "tool", attempt))
        world.settle(scene)
        if isinstance(returns, dict) and returns:
            written = write_value(schema, Site(schema, scene, world.known))
            answer = written if isinstance(written, dict) else {}
            kept = msgspec.json.encode(answer)
            tidy(answer, world)
            if not is_valid(answer, schema):
                # What agrees need not be valid: validity goes first.
                answer = msgspec.json.decode(kept)
        else:
            answer = {"result": invent_result(world, scene, str(tool.get("description") or ""))}
        if is_valid(answer, schema):
            break
    return answer
