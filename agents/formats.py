"""The structured replies that agents ask for: JSON Schemas, and how each is read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from toolflow.catalog.tool import Tool
from toolflow.dialogue.plan import Goal, Plan
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


PLAN: Final = ResponseFormat("plan", Plan.model_json_schema())
GOAL: Final = ResponseFormat("goal", Goal.model_json_schema())
USER_TURN: Final = ResponseFormat("user_turn", UserReply.model_json_schema())
ASSISTANT_TURN: Final = ResponseFormat("assistant_turn", JsonReply.model_json_schema())


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
