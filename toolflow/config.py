"""The configuration of a run: defaults, under a YAML file, under the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from toolflow.errors import UsageError


def _concurrency(value: Any) -> Any:
    if value == "auto" or (isinstance(value, int) and value > 0):
        return value
    if isinstance(value, str) and value.isdecimal() and int(value) > 0:
        return int(value)
    raise ValueError(f"give auto, or a whole number above 0, not {value!r}")


Positive = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RoleConfig(_Section):
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


class RolesConfig(_Section):
    """The models of the four roles."""

    planner: RoleConfig = RoleConfig(temperature=0.9)
    user: RoleConfig = RoleConfig(temperature=0.9)
    assistant: RoleConfig = RoleConfig(temperature=0.3)
    tool: RoleConfig = RoleConfig(temperature=0.7)

    def items(self) -> list[tuple[str, RoleConfig]]:
        return [(role, getattr(self, role)) for role in type(self).model_fields]


class ShapesConfig(_Section):
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


class SamplerConfig(_Section):
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


class DialogueConfig(_Section):
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


class EndpointConfig(_Section):
    """One of the endpoints that a run's calls are spread over. Its key stays in the environment."""

    base_url: str
    weight: float = Field(default=1, gt=0, description="Its share of the calls, relative to the others.")
    api: Literal["openai", "anthropic"] | None = Field(
        default=None, description="What it speaks; none: the run's, or what its URL tells."
    )
    api_key_env: str | None = Field(
        default=None, description="Environment variable with its key; none: the run's, or the usual one."
    )


class RunConfig(_Section):
    """Everything that a run can be told.

    The part that determines the data set is its fingerprint; the rest may change when a run is continued.
    """

    # what
    tools: tuple[str, ...] = Field(default=(), description="Catalogues; none: the shipped sample.")
    limit_tools: Positive | None = None
    skip_invalid: bool = False
    model: str | None = None
    seed: int = 0
    sampler: SamplerConfig = SamplerConfig()
    dialogue: DialogueConfig = DialogueConfig()
    roles: RolesConfig = RolesConfig()
    prompts: str | None = Field(default=None, description="Folder of prompt templates; none: the shipped.")
    tool_calls: Literal["auto", "native", "json"] = "auto"
    mistakes: float | None = Field(
        default=None, ge=0, le=1, description="Rate of mistakes that the rehearsal model makes."
    )

    # how
    n: Positive = 100
    max_candidates: Positive | None = Field(default=None, description="Most dialogues begun; none: 3 n + 20.")
    endpoints: tuple[EndpointConfig, ...] = Field(
        default=(), description="Replicas that calls are spread over; none: what the environment names."
    )
    api: Literal["openai", "anthropic"] | None = Field(
        default=None, description="What endpoints speak that do not say; none: what their URLs tell."
    )
    api_key_env: str | None = Field(
        default=None,
        description="Environment variable with the key of endpoints that name none of their own.",
    )
    headers: dict[str, SecretStr] = Field(
        default={}, description="Sent with every request; their values are secrets."
    )
    ca_bundle: str | None = Field(
        default=None, description="PEM file of authorities that are trusted beside the system's."
    )
    insecure: bool = Field(default=False, description="Whether any certificate will do.")
    stream: bool = Field(default=False, description="Whether answers come in pieces.")
    stream_silence: float = Field(
        default=60, gt=0, description="Seconds that a stream may stand still once it has begun."
    )
    fallback_models: tuple[str, ...] = Field(
        default=(), description="Asked in turn where a model has given a call up."
    )
    max_concurrency: Annotated[int | Literal["auto"], BeforeValidator(_concurrency)] = "auto"
    hedge: float = Field(
        default=0.0, ge=0, le=1, description="Most second attempts beside late ones, as a share of calls."
    )
    cut_stalled: bool = Field(
        default=True,
        description="Whether an attempt that takes twice as long as any of the last thousand, while others "
        "are answered, is given up and sent again.",
    )
    rpm: Positive | None = Field(default=None, description="Requests a minute, a model and endpoint.")
    tpm: Positive | None = Field(default=None, description="LLM tokens a minute, a model and endpoint.")
    input_tpm: Positive | None = None
    output_tpm: Positive | None = None
    max_cost: float | None = Field(default=None, ge=0, description="US dollars.")
    max_calls: int | None = Field(default=None, ge=0, description="Attempts of LLM calls.")
    max_tokens_total: int | None = Field(default=None, ge=0, description="LLM tokens, prompts included.")
    max_time: float | None = Field(default=None, gt=0, description="Seconds.")
    prices: str | None = Field(default=None, description="YAML file with prices of models.")
    attempt_timeout: float = Field(default=300, gt=0, description="Seconds for one attempt of a call.")
    dialogue_timeout: float = Field(default=3600, gt=0, description="Seconds for one dialogue.")
    retries: int = Field(default=7, ge=0, description="Further attempts after a transient failure.")

    @model_validator(mode="before")
    @classmethod
    def _fold_base_url(cls, values: Any) -> Any:
        """``base_url: URL``, or a list of them, is short for ``endpoints``."""
        if not isinstance(values, dict) or "base_url" not in values:
            return values
        rest = {name: value for name, value in values.items() if name != "base_url"}
        urls = values["base_url"]
        if urls is None:
            return rest
        urls = [urls] if isinstance(urls, str) else urls
        if rest.get("endpoints"):
            raise ValueError("give base_url or endpoints, not both")
        return rest | {"endpoints": [{"base_url": url} for url in urls]}

    @property
    def candidate_ceiling(self) -> int:
        return self.max_candidates if self.max_candidates is not None else 3 * self.n + 20

    def model_names(self) -> tuple[str, ...]:
        """Every model that a role names, the run's own first."""
        named = [self.model] if self.model is not None else []
        named += [name for _, role in self.roles.items() for name in role.models]
        return tuple(dict.fromkeys(named))

    def what(self) -> dict[str, Any]:
        """The part that determines the data set, next to the content of catalogue, prompts and graph."""
        determining = self.model_dump(
            mode="json",
            include={"seed", "sampler", "dialogue", "roles", "model", "tool_calls", "mistakes"},
        )
        for name in ("encoder", "graph"):  # told by the graph itself, wherever it comes from
            del determining["sampler"][name]
        return determining


def load_config(file: Path | None, flags: Mapping[str, Any]) -> RunConfig:
    """Merge the defaults, a YAML file and the command line's flags.

    Args:
        file: YAML with the fields of :class:`RunConfig`, or None.
        flags: What the command line sets; None stands for not set. A dotted key reaches into a section.

    Raises:
        UsageError: The file cannot be read, or a field is unknown or has a wrong value.
    """
    merged = _read_yaml(file) if file is not None else {}
    for name, value in flags.items():
        if value is None:
            continue
        *sections, field = name.split(".")
        target = merged
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise UsageError(f"{file}: {section} must hold fields")
        target[field] = {**target.get(field, {}), **value} if isinstance(value, Mapping) else value
    try:
        return RunConfig.model_validate(merged)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'configuration'}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_url=False)
        )
        where = f"{file}: " if file is not None else ""
        raise UsageError(
            f"{where}{problems}", hint="toolflow synth --help lists the options and what they take."
        ) from None


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"{file}: the configuration cannot be read: {error.strerror}",
            hint="Check the path after --config.",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(yaml_problem(str(file), error)) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{file} must hold fields such as 'n: 100'")
    return content


def yaml_problem(file: str, error: Exception) -> str:
    """What is wrong with a YAML file, and where; ``error`` is of PyYAML, or of decoding text."""
    mark = getattr(error, "problem_mark", None)
    place = file if mark is None else f"{file}:{mark.line + 1}"
    return f"{place}: not valid YAML: {' '.join(str(getattr(error, 'problem', None) or error).split())}"
