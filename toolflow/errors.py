"""One tree of errors. Each says what failed, where, and what to do about it.

Expected outcomes (a refused plan, a rejected dialogue, a denied permit) are values, not errors.
"""

from __future__ import annotations

from collections.abc import Iterator


class ToolFlowError(Exception):
    """Base of every error that ToolFlow raises on purpose.

    Args:
        message: What failed and where, in one sentence.
        hint: What the user can do about it, in one sentence; printed on a line of its own.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ToolFlowError):
    """The command line or a config value is wrong (exit code 2)."""


class CatalogueError(ToolFlowError):
    """A catalogue cannot be read or holds an entry that is wrong (exit code 2)."""


class GraphError(ToolFlowError):
    """The tool graph cannot be built, read or sampled (exit code 2)."""


class EncoderFailedError(ToolFlowError):
    """An encoder gave something that is no vectors of what it was asked for, or broke off."""


class RunDirectoryError(ToolFlowError):
    """The run directory cannot be used: unwritable, locked, or made by another config (exit code 2)."""


class JournalDamagedError(RunDirectoryError):
    """The call journal cannot be read in part; what can be read is saved when the run is continued."""


class LLMError(ToolFlowError):
    """An LLM call did not give a usable completion."""


class TransientLLMError(LLMError):
    """The same request may succeed later: worth another attempt after a pause.

    Args:
        retry_after: Seconds the server asked us to wait (``Retry-After``), if it did.
    """

    def __init__(self, message: str, *, hint: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class RateLimitedError(TransientLLMError):
    """HTTP 429: the quota group is exhausted for now."""


class ServerFailedError(TransientLLMError):
    """HTTP 5xx, 408 or 409, or a body that is no chat completion (HTML from a proxy, truncated JSON)."""


class ConnectionFailedError(TransientLLMError):
    """No HTTP answer: refused, reset, unresolved, TLS failure or attempt timeout."""


class StalledError(ConnectionFailedError):
    """No answer, where others are answered in half the time: the attempt is taken for lost."""


class MalformedCompletionError(TransientLLMError):
    """A well-formed answer without a usable message (no choice, empty message): resampled, not backed off.

    Args:
        prompt_tokens: LLM tokens that it cost all the same.
        completion_tokens: Likewise.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
    ) -> None:
        super().__init__(message, hint=hint)
        self.prompt_tokens = prompt_tokens
        self.completion_tokens = completion_tokens


class PermanentLLMError(LLMError):
    """The same request will fail again: retrying is pointless; the dialogue fails alone."""


class ContextLengthError(PermanentLLMError):
    """The request holds more LLM tokens than the model's context window."""


class FatalLLMError(LLMError):
    """Every request of the run would fail like this one (bad key, unknown model): the run stops."""


class AuthenticationError(FatalLLMError):
    """HTTP 401 or 403: the key is missing, wrong or not allowed."""


class ModelNotFoundError(FatalLLMError):
    """HTTP 404: the endpoint knows no such model or path."""


class AgentError(ToolFlowError):
    """A model kept giving an agent replies that it cannot use, repairs included; the dialogue fails alone.

    Args:
        reason: Short machine-readable word for the reason counts, such as ``invalid_plan``.
    """

    def __init__(self, message: str, *, reason: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors that a group of groups holds, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
