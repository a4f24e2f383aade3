"""Any server that speaks OpenAI's chat completions."""

from __future__ import annotations

from toolflow.llm.providers.chat_completions import ChatCompletions
from toolflow.llm.providers.http import HTTPProvider


class OpenAIProvider(HTTPProvider):
    """A :class:`toolflow.llm.client.Provider` for any server that speaks OpenAI's chat completions."""

    dialect = ChatCompletions()
