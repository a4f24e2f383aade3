"""The structured replies that agents ask for: JSON Schemas, and how each is read back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from toolflow.catalog.tool import Schema, Tool
from toolflow.dialogue.plan import ArgumentSource, GoalKind
from toolflow.dialogue.plan_rules import PlanLimits
from toolflow.llm.chat import ResponseFormat

UserStatus = Literal["continue", "next_goal", "finished", "gave_up"]


class UserReply(BaseModel):
    """What the user simulator answers with."""

    model_config = ConfigDict(frozen=True)
    status: UserStatus
    message: str = ""


class JsonCall(BaseModel):
    """One call of an assistant that calls tools through JSON."""

    model_config = ConfigDict(frozen=True)
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class JsonReply(BaseModel):
    """What an assistant without native tool calls answers with."""

    model_config = ConfigDict(frozen=True)
    calls: tuple[JsonCall, ...] = ()
    reply: str = ""


def plan_format(tools: Sequence[Tool], limits: PlanLimits) -> ResponseFormat:
    """The format of a plan over these tools.

    An endpoint that decodes under a schema can then name no other tool, leave out no required parameter and
    write no value of a wrong type: what the rules would send back is not written in the first place.
    """
    chat = math.floor(limits.most_chat * limits.most_goals) > 0
    kinds = [_tool_goal(tools), _CHAT_GOAL] if chat else [_tool_goal(tools)]
    schema = {
        "type": "object",
        "properties": {
            "topic": _text(120),
            "goals": {
                "type": "array",
                "items": {"anyOf": kinds},
                "minItems": limits.fewest_goals,
                "maxItems": limits.most_goals,
            },
        },
        "required": ["topic", "goals"],
        "additionalProperties": False,
    }
    return ResponseFormat("plan", schema)


def goal_format(tools: Sequence[Tool], kind: GoalKind) -> ResponseFormat:
    """The format of one goal that keeps its kind."""
    return ResponseFormat("goal", _tool_goal(tools) if kind == "tool" else _CHAT_GOAL)


@cache
def user_turn_format(*, begun: bool, more: bool) -> ResponseFormat:
    """The format of a user's turn.

    Args:
        begun: Whether there is a current goal: without one the user can only open the next.
        more: Whether there is a next goal.
    """
    onward: UserStatus = "next_goal" if more else "finished"
    statuses: list[UserStatus] = [onward, "continue", "gave_up"] if begun else [onward]
    schema = {
        "type": "object",
        "properties": {
            "status": {"type": "string", "enum": statuses},
            "message": {"type": "string", "maxLength": 600},
        },
        "required": ["status", "message"],
        "additionalProperties": False,
    }
    return ResponseFormat("user_turn", schema)


def assistant_turn_format(tools: Sequence[Tool], *, may_call: bool) -> ResponseFormat:
    """The format of an assistant's turn where tools are called through JSON."""
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.function_name}, "arguments": _bare(tool.parameters)},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    schema = {
        "type": "object",
        "properties": {
            "calls": {"type": "array", "items": {"anyOf": calls}, "maxItems": _MOST_CALLS if may_call else 0},
            "reply": {"type": "string", "maxLength": 4000},
        },
        "required": ["calls", "reply"],
        "additionalProperties": False,
    }
    return ResponseFormat("assistant_turn", schema)


def result_format(tool: Tool) -> tuple[ResponseFormat, bool]:
    """The format of a tool's result, and whether the result sits under a ``result`` key.

    Endpoints want an object at the root of a structured reply: a return schema that may be anything else,
    and a tool that declares none, is wrapped.
    """
    returns = tool.returns
    if returns is not None and returns.get("type") == "object":
        return ResponseFormat("tool_result", returns), False
    inner: Mapping[str, Any] = returns if returns is not None else {}
    schema: dict[str, Any] = {"type": "object", "properties": {"result": inner}, "required": ["result"]}
    if "$defs" in inner:
        schema["$defs"] = inner["$defs"]
    return ResponseFormat("tool_result", schema), True


# A model that rambles would otherwise fill its token limit, and what is cut off there is no JSON.
_MOST_CALLS: Final = 8


def _text(most: int) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": most}


_CHAT_GOAL: Final[Schema] = {
    "type": "object",
    "properties": {
        "kind": {"const": "chat"},
        "request": _text(400),
        "calls": {"type": "array", "items": {}, "maxItems": 0},
    },
    "required": ["kind", "request"],
    "additionalProperties": False,
}
_NULLABLE_TEXT: Final[Schema] = {"anyOf": [_text(120), {"type": "null"}]}


def _tool_goal(tools: Sequence[Tool]) -> Schema:
    return {
        "type": "object",
        "properties": {
            "kind": {"const": "tool"},
            "request": _text(400),
            "calls": {
                "type": "array",
                "items": {"anyOf": [_planned_call(tool) for tool in tools]},
                "minItems": 1,
            },
        },
        "required": ["kind", "request", "calls"],
        "additionalProperties": False,
    }


def _planned_call(tool: Tool) -> Schema:
    required = [_planned_argument(name, tool) for name in tool.required]
    optional = [_planned_argument(name, tool) for name in tool.properties if name not in tool.required]
    arguments: dict[str, Any] = {
        "type": "array",
        "minItems": len(required),
        "maxItems": len(required) + len(optional),
    }
    if required:
        arguments["prefixItems"] = required
    if optional:
        arguments["items"] = {"anyOf": optional}
    return {
        "type": "object",
        "properties": {"tool": {"const": tool.function_name}, "arguments": arguments},
        "required": ["tool", "arguments"],
        "additionalProperties": False,
    }


def _planned_argument(name: str, tool: Tool) -> Schema:
    schema = tool.properties[name]
    sources: list[ArgumentSource] = ["user", "result"]
    if "default" in schema:
        sources.append("default")
    return {
        "type": "object",
        "properties": {
            "name": {"const": name},
            "source": {"type": "string", "enum": sources},
            "value": {"anyOf": [_bare(schema), {"type": "null"}]},
            "withheld": {"type": "boolean"},
            "from_tool": _NULLABLE_TEXT,
            "from_field": _NULLABLE_TEXT,
        },
        "required": ["name", "source", "value"],
        "additionalProperties": False,
    }


_DECODED: Final = ("type", "enum", "const", "required", "minItems", "maxItems", "minimum", "maximum")


def _bare(schema: object) -> Schema:
    """The part of a schema that every constrained decoder knows; what is left out is checked afterwards.

    References are left open: they point into a root that the schema is no longer in.
    """
    if not isinstance(schema, Mapping) or "$ref" in schema:
        return {}
    bare: dict[str, Any] = {word: schema[word] for word in _DECODED if word in schema}
    if isinstance(schema.get("properties"), Mapping):
        bare["properties"] = {name: _bare(inner) for name, inner in schema["properties"].items()}
        if schema.get("type") == "object":
            bare["additionalProperties"] = False
    if "items" in schema:
        bare["items"] = _bare(schema["items"])
    return bare
