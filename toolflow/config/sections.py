"""The sections of a run's configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Section(BaseModel):
    """Frozen; a field that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RoleConfig(Section):
    """The model of one role. Several models: each dialogue draws one of them, by seed."""

    model: str | tuple[str, ...] | None = Field(
        default=None, description="A model, or several to draw from; none: the run's model."
    )
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: Positive | None = None

    @property
    def models(self) -> tuple[str, ...]:
        if self.model is None:
            return ()
        return (self.model,) if isinstance(self.model, str) else self.model


class RolesConfig(Section):
    """The models of the four roles."""

    planner: RoleConfig = RoleConfig(temperature=0.9)
    user: RoleConfig = RoleConfig(temperature=0.9)
    assistant: RoleConfig = RoleConfig(temperature=0.3)
    tool: RoleConfig = RoleConfig(temperature=0.7)

    def items(self) -> list[tuple[str, RoleConfig]]:
        return [(role, getattr(self, role)) for role in type(self).model_fields]


class ShapesConfig(Section):
    """How often tool sets are drawn in each shape, relative to each other."""

    walk: Weight = Field(default=4, description="A random walk along links of any kind.")
    chain: Weight = Field(default=3, description="Each tool's result goes into the next one's call.")
    fan_out: Weight = Field(default=1.5, description="One tool's result goes into the others' calls.")
    merge: Weight = Field(default=1.5, description="The others' results go into one tool's call.")

    @model_validator(mode="after")
    def _possible(self) -> ShapesConfig:
        if not any((self.walk, self.chain, self.fan_out, self.merge)):
            raise ValueError("at least one shape must have a weight above 0")
        return self


class SamplerConfig(Section):
    """How tool sets are drawn."""

    kind: Literal["graph", "random"] = "graph"
    fewest_tools: Positive = 3
    most_tools: Positive = 7
    size_weights: tuple[Weight, ...] = Field(
        default=(),
        description="How often sets of fewest_tools, of one more, … up to most_tools are drawn; "
        "none: equally often.",
    )
    shapes: ShapesConfig = ShapesConfig()
    fewest_distractors: int = Field(
        default=0, ge=0, description="Unrelated tools that the assistant is offered beside the set."
    )
    most_distractors: int = Field(default=0, ge=0)
    encoder: str | None = Field(
        default=None,
        description="What encodes the fields: wordllama, st:MODEL or URL#MODEL; none: wordllama.",
    )
    threshold: float | None = Field(
        default=None, ge=0, lt=1, description="Similarity τ; none: the encoder's calibrated one."
    )
    graph: str | None = Field(
        default=None, description="A graph file that was built before; none: the graph is built."
    )

    @model_validator(mode="after")
    def _fitting(self) -> SamplerConfig:
        if self.fewest_tools > self.most_tools:
            raise ValueError("fewest_tools is above most_tools")
        if self.fewest_distractors > self.most_distractors:
            raise ValueError("fewest_distractors is above most_distractors")
        sizes = self.most_tools - self.fewest_tools + 1
        if self.size_weights and (len(self.size_weights) != sizes or not any(self.size_weights)):
            raise ValueError(f"size_weights must be {sizes} numbers, at least one of them above 0")
        if self.graph is not None and (self.encoder is not None or self.threshold is not None):
            raise ValueError("a graph file is built already: leave out encoder and threshold, or the graph")
        if self.graph is not None and self.kind == "random":
            raise ValueError("random tool sets need no graph: leave it out, or draw with the graph sampler")
        return self


class DialogueConfig(Section):
    """The bounds of a dialogue."""

    fewest_goals: Positive = 4
    most_goals: Positive = 7
    most_chat: float = Field(default=0.3, ge=0, le=1, description="Largest share of goals without a tool.")
    most_turns: Positive = Field(default=24, description="User turns after which a dialogue is ended.")
    most_rounds: Positive = Field(default=6, description="Rounds of tool calls in one turn.")
    repairs: int = Field(default=2, ge=0, description="How often an unusable reply is sent back.")

    @model_validator(mode="after")
    def _ordered(self) -> DialogueConfig:
        if self.fewest_goals > self.most_goals:
            raise ValueError("fewest_goals is above most_goals")
        return self


class EndpointConfig(Section):
    """One of the endpoints that a run's calls are spread over. Its key stays in the environment."""

    base_url: str
    weight: float = Field(default=1, gt=0, description="Its share of the calls, relative to the others.")
    api: Literal["openai", "anthropic"] | None = Field(
        default=None, description="What it speaks; none: the run's, or what its URL tells."
    )
    api_key_env: str | None = Field(
        default=None, description="Environment variable with its key; none: the run's, or the usual one."
    )
