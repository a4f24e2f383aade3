"""Finds out, before a run spends anything, which model answers and how; opens the way to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

from toolflow.config import RunConfig
from toolflow.errors import TransientLLMError, UsageError
from toolflow.llm.breaker import Breaker
from toolflow.llm.chat import ToolCallStyle
from toolflow.llm.client import Provider
from toolflow.llm.concurrency.adaptive import AdaptiveConcurrency
from toolflow.llm.concurrency.limit import Concurrency, FixedConcurrency
from toolflow.llm.endpoint import UNCHECKED, Access, Endpoint, speaks, speaks_there
from toolflow.llm.gate import Gate
from toolflow.llm.live import LiveText
from toolflow.llm.quota.estimate import TokenEstimator
from toolflow.llm.quota.limits import RateLimits
from toolflow.llm.quota.quota import Quota
from toolflow.llm.router import Replica, Router

REHEARSAL: Final = "rehearsal"
"""Name of the rehearsal model, in process and over HTTP."""

_EMBEDDED_SLOTS: Final = 4
"""Each slot reserves the memory of a whole context, and two cores are busy with four."""

_IN_PROCESS: Final = 64

_NOTHING_CONFIGURED: Final = (
    "No model is configured: the rehearsal model answers, in process and without cost. Its dialogues show "
    "and load the machine; they are not for training. For a real model give --model NAME --base-url URL, or "
    "set OPENAI_API_KEY."
)


@dataclass(frozen=True, slots=True)
class Connection:
    """An open way to the models of a run.

    Attributes:
        replicas: Who answers; calls are spread over them.
        model: What roles without a model of their own use.
        tool_calls: How the assistant calls tools there.
        rehearsal: Whether replies come from the rehearsal model: such data is not for training.
        notices: What the user should know, a sentence each.
        most_in_flight: More calls than this could only queue; None where that is to be found out.
        live: What models are writing right now, where answers are streamed.
    """

    replicas: tuple[Replica, ...]
    model: str
    tool_calls: ToolCallStyle
    rehearsal: bool
    notices: tuple[str, ...] = ()
    most_in_flight: int | None = None
    live: LiveText = field(default_factory=LiveText)


@asynccontextmanager
async def connect(
    config: RunConfig, environment: Mapping[str, str], tell: Callable[[str], None] | None = None
) -> AsyncGenerator[Connection]:
    """Open the way to the models that a configuration names.

    With neither a model nor an endpoint nor OpenAI's variables set, the rehearsal model answers in process.
    A model that is a GGUF file, or the name of a fetched one, is served by llama.cpp beside this process.

    Args:
        config: Names models and endpoints.
        environment: Usually ``os.environ``.
        tell: Told what the user should know and is found out only later, a sentence each.

    Raises:
        UsageError: No model is named where one must be, or an extra is missing.
        LLMError: The endpoint does not answer, or refuses.
    """
    names = {*config.model_names(), *config.fallback_models}
    there = speaks_there(environment, config.model_names())
    told = config.api is not None or config.api_key_env is not None
    named = bool(config.endpoints) or told or there is not None
    if names <= {REHEARSAL} and not config.endpoints and (names or not named):
        async with _closing(_rehearsal(config, asked_for=bool(names))) as connection:
            yield connection
        return
    if not config.endpoints and config.model is not None:
        from toolflow.llm.embedded.model_files import resolve_model  # noqa: PLC0415  an extra's room

        path = resolve_model(config.model)
        if path is not None:
            if others := names - {config.model}:
                raise UsageError(
                    f"{config.model} runs on this machine and answers for itself alone, not for "
                    f"{', '.join(sorted(others))}",
                    hint="Leave the other models out, or give --base-url of a server that has them all.",
                )
            async with _embedded(config, config.model, path) as connection:
                yield connection
            return
    if not named:
        raise UsageError(
            f"no endpoint is configured for {', '.join(sorted(names - {REHEARSAL}))}",
            hint="Give --base-url URL, or set OPENAI_API_KEY for OpenAI's own, or ANTHROPIC_API_KEY for "
            "models named claude-….",
        )
    async with _closing(await _remote(config, _endpoints(config, environment), tell)) as connection:
        yield connection


@asynccontextmanager
async def _embedded(config: RunConfig, name: str, path: Path) -> AsyncGenerator[Connection]:
    from toolflow.llm.embedded.endpoint import embedded_endpoint  # noqa: PLC0415  an extra's room

    most = _EMBEDDED_SLOTS if config.max_concurrency == "auto" else config.max_concurrency
    slots = min(most, _EMBEDDED_SLOTS)
    async with embedded_endpoint(path, name=name, slots=slots) as server:
        style: ToolCallStyle = "native" if server.native_tool_calls else "json"
        # llama.cpp takes tools and drops them without a word: only its own facts tell.
        told = config if config.tool_calls != "auto" else config.model_copy(update={"tool_calls": style})
        async with _closing(await _remote(told, [_Weighted(Endpoint(server.base_url))])) as connection:
            yield replace(connection, most_in_flight=slots)


def make_router(config: RunConfig, connection: Connection, estimator: TokenEstimator | None = None) -> Router:
    """The way of all attempts of a run: one gate for each model at each endpoint.

    Args:
        config: Says how many attempts and LLM tokens a gate may let through.
        connection: The endpoints.
        estimator: Foresees LLM tokens, and is taught; one of the router's own if None.
    """
    foresees = estimator or TokenEstimator()
    limits = RateLimits(config.rpm, config.tpm, config.input_tpm, config.output_tpm)

    def make_gate(breaker: Breaker) -> Gate:
        most = connection.most_in_flight
        concurrency: Concurrency
        if config.max_concurrency != "auto":
            concurrency = FixedConcurrency(min(config.max_concurrency, most or config.max_concurrency))
        elif most is not None:
            concurrency = FixedConcurrency(most)
        else:
            concurrency = AdaptiveConcurrency()
        return Gate(concurrency, most=most, quota=Quota(limits, foresees), breaker=breaker)

    return Router(connection.replicas, make_gate)


class _Weighted(NamedTuple):
    endpoint: Endpoint
    weight: float = 1.0


def access_of(config: RunConfig) -> Access:
    """How to get in at the endpoints of a run: those of its models, and its encoder's."""
    headers = {name: value.get_secret_value() for name, value in config.headers.items()}
    return Access(config.api_key_env, headers, config.ca_bundle, config.insecure)


def _endpoints(config: RunConfig, environment: Mapping[str, str]) -> list[_Weighted]:
    access = access_of(config)
    if not config.endpoints:
        api = config.api or speaks_there(environment, config.model_names()) or "openai"
        return [_Weighted(Endpoint.from_environment(environment, api=api, access=access))]
    found: list[_Weighted] = []
    for entry in config.endpoints:
        api = entry.api or config.api or speaks(entry.base_url)
        own = replace(access, key_variable=entry.api_key_env or access.key_variable)
        endpoint = Endpoint.from_environment(environment, entry.base_url, api, own)
        found.append(_Weighted(endpoint, entry.weight))
    urls = [entry.endpoint.base_url for entry in found]
    for url in urls:
        if urls.count(url) > 1:
            raise UsageError(f"the endpoint {url} is given twice", hint="Give it once, with a weight.")
    return found


def _rehearsal(config: RunConfig, *, asked_for: bool) -> Connection:
    from toolflow.llm.providers.rehearsal import (  # noqa: PLC0415  has no business in a run on a real model
        DEFAULT_MISTAKES,
        RehearsalProvider,
    )

    notices = () if asked_for else (_NOTHING_CONFIGURED,)
    mistakes = DEFAULT_MISTAKES if config.mistakes is None else config.mistakes
    provider = RehearsalProvider(mistakes=mistakes)
    style: ToolCallStyle = "native" if config.tool_calls == "auto" else config.tool_calls
    replicas = (Replica(REHEARSAL, provider),)
    # It answers at once and on our own cores: more in flight would only take memory.
    return Connection(replicas, REHEARSAL, style, rehearsal=True, notices=notices, most_in_flight=_IN_PROCESS)


async def _remote(
    config: RunConfig, endpoints: Sequence[_Weighted], tell: Callable[[str], None] | None = None
) -> Connection:
    from toolflow.llm.probe import probe_tool_calls  # noqa: PLC0415  httpx, for a moment

    if config.mistakes is not None:
        raise UsageError(
            "mistakes are made by the rehearsal model alone",
            hint="Give --mistakes to the server, toolflow provider, or leave it out.",
        )
    notices: list[str] = [UNCHECKED] if config.insecure else []
    models, there = await _probe(config, endpoints, notices)
    assistant = (*config.roles.assistant.models, config.model or models[0])[0]
    style = config.tool_calls
    if style == "auto":
        native = await probe_tool_calls(there, assistant)
        style = "native" if native else "json"
        if not native:
            notices.append(
                f"{assistant} takes no native tool calls there: the assistant calls tools through JSON."
            )
    rehearsal = REHEARSAL in {*models, *config.model_names()}
    live = LiveText()
    replicas = tuple(
        Replica(entry.endpoint.base_url, _provider(entry.endpoint, config, live, tell), entry.weight)
        for entry in endpoints
    )
    return Connection(replicas, models[0], style, rehearsal=rehearsal, notices=tuple(notices), live=live)


async def _probe(
    config: RunConfig, endpoints: Sequence[_Weighted], notices: list[str]
) -> tuple[list[str], Endpoint]:
    """The models to use, and an endpoint that is there; one that is down among several is no obstacle."""
    from toolflow.llm.probe import probe_endpoint  # noqa: PLC0415

    roles_without = any(not role.models for _, role in config.roles.items())
    asked = config.model_names() if config.model is not None or not roles_without else (None,)
    found: tuple[list[str], Endpoint] | None = None
    failure: TransientLLMError | None = None
    for endpoint, _ in endpoints:
        try:
            facts = [await probe_endpoint(endpoint, name) for name in asked]
        except TransientLLMError as error:
            failure = error
            if len(endpoints) > 1:
                notices.append(f"{endpoint.base_url} does not answer for now; the others take its share.")
            continue
        notices += [fact.advice for fact in facts if fact.advice]
        found = found or ([fact.model for fact in facts], endpoint)
    if found is None:
        assert failure is not None
        raise failure
    return found


def _provider(
    endpoint: Endpoint, config: RunConfig, live: LiveText, tell: Callable[[str], None] | None
) -> Provider:
    from toolflow.llm.providers.anthropic import AnthropicProvider  # noqa: PLC0415  aiohttp
    from toolflow.llm.providers.openai import OpenAIProvider  # noqa: PLC0415

    kind = AnthropicProvider if endpoint.api == "anthropic" else OpenAIProvider
    return kind(endpoint, stream=config.stream, live=live, tell=tell, silence=config.stream_silence)


@asynccontextmanager
async def _closing(connection: Connection) -> AsyncGenerator[Connection]:
    try:
        yield connection
    finally:
        for replica in connection.replicas:
            await replica.provider.close()
