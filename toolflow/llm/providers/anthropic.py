"""Any server that speaks Anthropic's Messages API."""

from __future__ import annotations

from toolflow.llm.providers.http import HTTPProvider
from toolflow.llm.providers.messages import Messages


class AnthropicProvider(HTTPProvider):
    """A :class:`toolflow.llm.client.Provider` for any server that speaks Anthropic's Messages API."""

    dialect = Messages()
