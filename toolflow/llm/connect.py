"""Finds out, before a run spends anything, which model answers and how; opens the way to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from toolflow.config import RunConfig
from toolflow.errors import UsageError
from toolflow.llm.chat import ToolCallStyle
from toolflow.llm.client import Provider
from toolflow.llm.endpoint import Endpoint

REHEARSAL: Final = "rehearsal"
"""Name of the rehearsal model, in process and over HTTP."""

_EMBEDDED_SLOTS: Final = 4
"""Each slot reserves the memory of a whole context, and two cores are busy with four."""

_NOTHING_CONFIGURED: Final = (
    "No model is configured: the rehearsal model answers, in process and without cost. Its dialogues show "
    "and load the machine; they are not for training. For a real model give --model NAME --base-url URL, or "
    "set OPENAI_API_KEY."
)


@dataclass(frozen=True, slots=True)
class Connection:
    """An open way to the models of a run.

    Attributes:
        provider: Sends attempts.
        model: What roles without a model of their own use.
        tool_calls: How the assistant calls tools there.
        rehearsal: Whether replies come from the rehearsal model: such data is not for training.
        notices: What the user should know, a sentence each.
        most_in_flight: More calls than this the endpoint could only queue; None where it is not known.
    """

    provider: Provider
    model: str
    tool_calls: ToolCallStyle
    rehearsal: bool
    notices: tuple[str, ...] = ()
    most_in_flight: int | None = None


@asynccontextmanager
async def connect(config: RunConfig, environment: Mapping[str, str]) -> AsyncGenerator[Connection]:
    """Open the way to the models that a configuration names.

    With neither a model nor an endpoint nor OpenAI's variables set, the rehearsal model answers in process.
    A model that is a GGUF file, or the name of a fetched one, is served by llama.cpp beside this process.

    Raises:
        UsageError: No model is named where one must be, or an extra is missing.
        LLMError: The endpoint does not answer, or refuses.
    """
    names = set(config.model_names())
    if names <= {REHEARSAL} and config.base_url is None and (names or not _names_endpoint(environment)):
        async with _closing(_rehearsal(config, asked_for=bool(names))) as connection:
            yield connection
        return
    if config.base_url is None and config.model is not None:
        from toolflow.llm.model_files import resolve_model  # noqa: PLC0415  an extra's room

        path = resolve_model(config.model)
        if path is not None:
            from toolflow.llm.embedded import embedded_endpoint  # noqa: PLC0415  an extra's room

            slots = min(config.max_concurrency, _EMBEDDED_SLOTS)
            async with embedded_endpoint(path, name=config.model, slots=slots) as server:
                style: ToolCallStyle = "native" if server.native_tool_calls else "json"
                # llama.cpp takes tools and drops them without a word: only its own facts tell.
                told = (
                    config if config.tool_calls != "auto" else config.model_copy(update={"tool_calls": style})
                )
                async with _closing(await _remote(told, Endpoint(server.base_url))) as connection:
                    yield replace(connection, most_in_flight=slots)
            return
    if config.base_url is None and not _names_endpoint(environment):
        raise UsageError(
            f"no endpoint is configured for {', '.join(sorted(names - {REHEARSAL}))}",
            hint="Give --base-url URL, or set OPENAI_API_KEY for OpenAI's own.",
        )
    endpoint = Endpoint.from_environment(environment, config.base_url)
    async with _closing(await _remote(config, endpoint)) as connection:
        yield connection


def _names_endpoint(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("OPENAI_API_KEY") or environment.get("OPENAI_BASE_URL"))


def _rehearsal(config: RunConfig, *, asked_for: bool) -> Connection:
    from toolflow.llm.providers.rehearsal import (  # noqa: PLC0415  has no business in a run on a real model
        DEFAULT_MISTAKES,
        RehearsalProvider,
    )

    notices = () if asked_for else (_NOTHING_CONFIGURED,)
    mistakes = DEFAULT_MISTAKES if config.mistakes is None else config.mistakes
    provider = RehearsalProvider(mistakes=mistakes)
    style: ToolCallStyle = "native" if config.tool_calls == "auto" else config.tool_calls
    return Connection(provider, REHEARSAL, style, rehearsal=True, notices=notices)


async def _remote(config: RunConfig, endpoint: Endpoint) -> Connection:
    from toolflow.llm.probe import probe_endpoint, probe_tool_calls  # noqa: PLC0415  httpx, for a moment
    from toolflow.llm.providers.openai import OpenAIProvider  # noqa: PLC0415  aiohttp

    if config.mistakes is not None:
        raise UsageError(
            "mistakes are made by the rehearsal model alone",
            hint="Give --mistakes to the server, toolflow provider, or leave it out.",
        )
    notices: list[str] = []
    roles_without = any(not role.models for _, role in config.roles.items())
    asked = config.model_names() if config.model is not None or not roles_without else (None,)
    models: list[str] = []
    for name in asked:
        facts = await probe_endpoint(endpoint, name)
        models.append(facts.model)
        if facts.advice:
            notices.append(facts.advice)
    assistant = (*config.roles.assistant.models, config.model or models[0])[0]
    style = config.tool_calls
    if style == "auto":
        native = await probe_tool_calls(endpoint, assistant)
        style = "native" if native else "json"
        if not native:
            notices.append(
                f"{assistant} takes no native tool calls there: the assistant calls tools through JSON."
            )
    rehearsal = REHEARSAL in {*models, *config.model_names()}
    return Connection(OpenAIProvider(endpoint), models[0], style, rehearsal=rehearsal, notices=tuple(notices))


@asynccontextmanager
async def _closing(connection: Connection) -> AsyncGenerator[Connection]:
    try:
        yield connection
    finally:
        await connection.provider.close()
