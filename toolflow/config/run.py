"""Everything that a run can be told."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from toolflow.config.sections import (
    DialogueConfig,
    EndpointConfig,
    Positive,
    RolesConfig,
    SamplerConfig,
    Section,
)


def _concurrency(value: Any) -> Any:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    if isinstance(value, str) and value.isdecimal() and int(value) > 0:
        return int(value)
    raise ValueError(f"give auto, or a whole number above 0, not {value!r}")


class RunConfig(Section):
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

    @model_validator(mode="after")
    def _tools_of_one_place(self) -> RunConfig:
        if self.sampler.graph is not None and not self.tools and (self.limit_tools or self.skip_invalid):
            raise ValueError("limit_tools and skip_invalid are for catalogues: a graph has tools of its own")
        return self

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
