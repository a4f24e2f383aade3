"""Looks at an endpoint before a run spends anything: is it there, what does it serve, can it call tools?"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

import httpx
import msgspec

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message
from toolflow.errors import LLMError, UsageError
from toolflow.llm.chat import CallKey, Request
from toolflow.llm.endpoint import Api, Endpoint
from toolflow.llm.providers.chat_completions import ChatCompletions
from toolflow.llm.providers.failures import (
    connection_failure,
    quote,
    read_error_body,
    response_failure,
    unreadable_failure,
)
from toolflow.llm.providers.messages import Messages
from toolflow.llm.providers.wire import Dialect

_LISTING_TIMEOUT = 30.0
# A local server may load the model first.
_ANSWER_TIMEOUT = 300.0
_MOST_NAMED = 8
_DIALECTS: dict[Api, Dialect] = {"openai": ChatCompletions(), "anthropic": Messages()}
# Anthropic lists twenty models a page unless told otherwise.
_LISTING: dict[Api, str] = {"openai": "/models", "anthropic": "/models?limit=1000"}
_NO_LISTING = {404, 405, 501}
_TOOLS_REFUSED = {400, 404, 422, 500, 501}
_ABOUT_TOOLS = re.compile(r"\btool|\bfunction[ _-]?call|--jinja", re.IGNORECASE)
_TRIVIAL_TOOL = Tool(
    "get_time",
    "Tells the time of day.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What an endpoint says of itself.

    Attributes:
        model: The model to use: the one asked for, or the only one that is served.
        models: What the endpoint lists, or None where it has no listing.
    """

    model: str
    models: tuple[str, ...] | None

    @property
    def listed(self) -> bool | None:
        """Whether the model is among those listed; None where there is no listing."""
        return None if self.models is None else self.model in self.models

    @property
    def advice(self) -> str | None:
        """A sentence for the user where the model is not listed; it may work all the same (aliases)."""
        if self.models is None or self.model in self.models:
            return None
        return (
            f"The endpoint does not list the model {quote(self.model)!r}; {_named(self.models, self.model)}."
        )


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


async def probe_endpoint(endpoint: Endpoint, model: str | None = None) -> EndpointFacts:
    """Ask for ``/models``.

    Args:
        endpoint: What to look at.
        model: The model that shall be used, or None for the only one that is served.

    Raises:
        LLMError: The endpoint is not reachable, refuses the key, or is no such endpoint.
        UsageError: No model is named, and the endpoint serves several or does not tell.
    """
    response = await _send(endpoint, "GET", _LISTING[endpoint.api], _LISTING_TIMEOUT)
    models: tuple[str, ...] | None = None
    if response.status_code not in _NO_LISTING:
        if not response.is_success:
            raise _failure(response, endpoint, model or "")
        try:
            models = tuple(listed.id for listed in msgspec.json.decode(response.content, type=_Models).data)
        except (ValueError, RecursionError):
            raise unreadable_failure(response.content, endpoint, "list of models") from None
    if model is None:
        if models is None or len(models) != 1:
            offered = "it does not list its models" if models is None else _named(models, "")
            raise UsageError(
                f"no model is named, and {endpoint.base_url}: {offered}", hint="Give --model NAME."
            )
        model = models[0]
    return EndpointFacts(model, models)


async def probe_tool_calls(endpoint: Endpoint, model: str) -> bool:
    """Whether the endpoint takes ``tools``: one small request finds out.

    Raises:
        LLMError: The request failed for a reason that has nothing to do with tools.
    """
    question = Message("user", "Say OK. Do not call a tool.")
    request = Request(CallKey(0, "probe", 0), model, (question,), (_TRIVIAL_TOOL,))
    dialect = _DIALECTS[endpoint.api]
    response = await _send(endpoint, "POST", dialect.path, _ANSWER_TIMEOUT, dialect.encode(request))
    if response.is_success:
        return True
    said = read_error_body(response.content).message.replace(model, "")
    if response.status_code in _TOOLS_REFUSED and _ABOUT_TOOLS.search(said):
        return False
    raise _failure(response, endpoint, model)


async def _send(
    endpoint: Endpoint, method: str, path: str, seconds: float, body: bytes | None = None
) -> httpx.Response:
    headers = {"Content-Type": "application/json", **endpoint.sent_headers()}
    failure: LLMError
    try:
        async with httpx.AsyncClient(
            headers=headers,
            timeout=seconds,
            verify=endpoint.trusted(),
            proxy=endpoint.proxy(),
            trust_env=False,  # proxies and certificates as the run itself will have them
        ) as client:
            return await client.request(method, endpoint.base_url + path, content=body)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        failure = connection_failure(error, endpoint)
    raise failure


def _failure(response: httpx.Response, endpoint: Endpoint, model: str) -> LLMError:
    return response_failure(response.status_code, response.headers, response.content, endpoint, model)


def _named(models: tuple[str, ...], wanted: str) -> str:
    if not models:
        return "it lists no model at all"
    near = difflib.get_close_matches(wanted, models, n=3, cutoff=0.5)
    shown = near or sorted(models)[:_MOST_NAMED]
    more = f" and {len(models) - len(shown)} more" if len(models) > len(shown) else ""
    return "it lists " + ", ".join(quote(name) for name in shown) + more
