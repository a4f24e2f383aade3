"""What a protocol looks like from the server's side, and what both have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import msgspec

from toolflow.errors import (
    AuthenticationError,
    ConnectionFailedError,
    ContextLengthError,
    FatalLLMError,
    LLMError,
    MalformedCompletionError,
    ModelNotFoundError,
    PermanentLLMError,
    RateLimitedError,
    ServerFailedError,
)
from toolflow.llm.chat import CallKey, Completion, Request
from toolflow.llm.serving.limiter import LimitState

T = TypeVar("T")

NOWHERE: Final = CallKey(0, "", 0)
"""The place of a request that came over HTTP: it says of none."""

_LETTERS_PER_TOKEN: Final = 4

# The first class that fits decides; the status is what the client maps back to that class.
_STATUS: Final[tuple[tuple[type[LLMError], int], ...]] = (
    (RateLimitedError, 429),
    (ConnectionFailedError, 504),
    (MalformedCompletionError, 502),
    (ServerFailedError, 500),
    (ContextLengthError, 400),
    (PermanentLLMError, 400),
    (AuthenticationError, 401),
    (ModelNotFoundError, 404),
    (FatalLLMError, 402),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came in.

    Attributes:
        request: What is asked.
        stream: Whether the answer shall come in pieces.
        usage: Whether a stream shall end with LLM tokens.
    """

    request: Request
    stream: bool = False
    usage: bool = True


class ServedDialect(Protocol):
    """A protocol that is served."""

    def decode(self, body: bytes, headers: Mapping[str, str]) -> Asked:
        """The request in the body of a POST.

        Raises:
            PermanentLLMError: It is no such body, or asks for what is not served.
        """
        ...

    def encode(self, completion: Completion, asked: Asked, number: int, created: int) -> bytes:
        """The body of the answer.

        Args:
            completion: What to answer.
            asked: What was asked.
            number: Makes the ``id``.
            created: Seconds since the epoch.
        """
        ...

    def events(
        self, completion: Completion, asked: Asked, number: int, created: int, *, tokens: int
    ) -> list[bytes]:
        """The same answer as the events of a stream, with about so many LLM tokens in each."""
        ...

    def error_body(self, error: LLMError, status: int) -> bytes:
        """The body of an answer that tells of an error; an event of a stream holds the same."""
        ...

    def error_event(self, error: LLMError, status: int) -> bytes:
        """The same as an event in the middle of a stream."""
        ...

    def limit_headers(self, states: list[LimitState]) -> dict[str, str]:
        """The headers that tell how far limits are used up."""
        ...


def read(body: bytes, decoder: msgspec.json.Decoder[T], wanted: str) -> T:
    """The body of a request as a typed structure.

    Raises:
        PermanentLLMError: It is none, or asks for what is not served.
    """
    try:
        return decoder.decode(body)
    except (ValueError, RecursionError) as error:
        raise PermanentLLMError(f"not a {wanted} request that is served here: {error}") from None


def status_of(error: LLMError) -> int:
    """The status of the answer that tells of an error."""
    return next(status for kind, status in _STATUS if isinstance(error, kind))


def pieces(text: str, tokens: int) -> Iterator[str]:
    """Text in pieces of about so many LLM tokens."""
    step = _LETTERS_PER_TOKEN * tokens
    return (text[place : place + step] for place in range(0, len(text), step))
