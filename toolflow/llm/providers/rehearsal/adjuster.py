"""The planner's second task: a goal rewritten so that it needs nothing that did not happen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolflow.clock import derive_random
from toolflow.llm.chat import Request
from toolflow.llm.providers.rehearsal.planner import chat_goal
from toolflow.llm.providers.rehearsal.prompt import as_object, first_text, json_block
from toolflow.llm.providers.rehearsal.scene import Scene
from toolflow.llm.providers.rehearsal.schema_values import write_value
from toolflow.llm.providers.rehearsal.schemas import as_schema
from toolflow.llm.providers.rehearsal.site import Site
from toolflow.llm.providers.rehearsal.smalltalk import subjects


def play_adjuster(request: Request) -> dict[str, Any]:
    """The goal of the prompt; what was to be learned and was not, the user now says."""
    goal = json_block(first_text(request.messages, "<goal>"), "goal")
    if not isinstance(goal, dict):
        return chat_goal(subjects()[0].request)
    scene = Scene(derive_random(request.seed, "adjust"))
    shape = request.response_format.schema if request.response_format else {}
    return {**goal, "calls": [_mended(as_object(call), shape, scene) for call in _rows(goal.get("calls"))]}


def _mended(call: Mapping[str, Any], shape: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    values = _value_schemas(shape, call.get("tool"))
    arguments = [as_object(one) for one in _rows(call.get("arguments"))]
    return {
        **call,
        "arguments": [
            _told(one, values.get(one.get("name"), {}), scene) if one.get("source") == "result" else one
            for one in arguments
        ],
    }


def _told(argument: Mapping[str, Any], schema: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    value = write_value(schema, Site(schema, scene, name=str(argument.get("name") or ""), fewest=True))
    return {**argument, "source": "user", "value": value, "from_tool": None, "from_field": None}


def _value_schemas(shape: Mapping[str, Any], tool: Any) -> dict[Any, Mapping[str, Any]]:
    """What the wanted format says of the values of a tool's arguments, by name."""
    for call in _rows(as_schema(as_schema(_property(shape, "calls")).get("items")).get("anyOf")):
        if as_schema(_property(as_schema(call), "tool")).get("const") != tool:
            continue
        arguments = as_schema(_property(as_schema(call), "arguments"))
        rows = [*_rows(arguments.get("prefixItems")), *_rows(as_schema(arguments.get("items")).get("anyOf"))]
        return {
            as_schema(_property(as_schema(row), "name")).get("const"): as_schema(
                _property(as_schema(row), "value")
            )
            for row in rows
        }
    return {}


def _property(schema: Mapping[str, Any], name: str) -> Any:
    return as_schema(schema.get("properties")).get(name)


def _rows(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
