"""The model as agents see it in a run: what was paid for comes from the journal, the rest is recorded."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import message_from_openai
from toolflow.errors import RunDirectoryError
from toolflow.journal.calls import CallJournal, CallRecord
from toolflow.llm.chat import CallKey, ChatModel, Completion, Request, ResponseFormat, Usage


class JournalledModel:
    """A :class:`ChatModel` that makes each completion durable before it is acted on.

    Args:
        model: Answers what the journal does not know.
        journal: Keeps completed calls.
    """

    def __init__(self, model: ChatModel, journal: CallJournal) -> None:
        self._model = model
        self._journal = journal
        self._known: dict[int, Mapping[CallKey, CallRecord]] = {}
        self._in_flight = 0
        self._draining = False
        self._drained = asyncio.Event()
        self._recording = 0
        self._recorded = asyncio.Event()
        self.replayed = 0

    def begin(self, dialogue: int) -> None:
        """Load what an earlier process paid for in this dialogue."""
        known = self._journal.calls_of(dialogue)
        if known:
            self._known[dialogue] = known

    def end(self, dialogue: int) -> None:
        """Forget the dialogue."""
        self._known.pop(dialogue, None)

    async def complete(self, request: Request) -> Completion:
        """Answer a request.

        Raises:
            RunDirectoryError: The journal holds another request under this key, or cannot be written.
            LLMError: The call failed.
        """
        known = self._known.get(request.key.dialogue)
        record = known.get(request.key) if known else None
        digest = request_hash(request)
        if record is not None:
            if record.request_hash != digest:
                raise RunDirectoryError(
                    f"dialogue {request.key.dialogue}: the journal holds another request for "
                    f"{request.key.role} call {request.key.position}",
                    hint="A prompt, a tool, the code or the configuration has changed since the run began. "
                    "Put it back, or start a new run with another -o RUN.",
                )
            self.replayed += 1
            return _completion(record)
        if self._draining:
            await asyncio.Future()  # no new calls: wait to be cancelled
        self._in_flight += 1
        try:
            completion = await self._model.complete(request)
            await self._record(_record(request.key, digest, completion))
        finally:
            self._in_flight -= 1
            if self._draining and self._in_flight == 0:
                self._drained.set()
        return completion

    async def _record(self, record: CallRecord) -> None:
        self._recording += 1
        try:
            await self._journal.append(record)
        finally:
            self._recording -= 1
            if not self._recording:
                self._recorded.set()

    async def flush(self) -> None:
        """Return once every completion that has come is durable."""
        self._recorded.clear()
        if self._recording:
            await self._recorded.wait()

    async def drain(self) -> None:
        """Send nothing more; return once the calls in flight are finished and durable."""
        self._draining = True
        if self._in_flight:
            await self._drained.wait()


def request_hash(request: Request) -> bytes:
    """16 bytes that change with anything the model is told."""
    content: list[Any] = [
        request.model,
        [
            (message.role, message.content, message.tool_calls, message.tool_call_id)
            for message in request.messages
        ],
        [_digest_of_tool(tool) for tool in request.tools],
        request.tool_choice,
        _digest_of_format(request.response_format) if request.response_format else None,
        request.sampling,
        request.seed,
    ]
    return hashlib.blake2b(msgspec.msgpack.encode(content), digest_size=16).digest()


_digests: Final[dict[int, tuple[object, bytes]]] = {}
_MOST_DIGESTS: Final = 8192
"""By identity, for tools and schemas never change. The object is kept too, so that its id stays its own."""


def _digest_of_tool(tool: Tool) -> bytes:
    known = _digests.get(id(tool))
    return known[1] if known else _digest(tool, [tool.function_name, tool.description, tool.parameters])


def _digest_of_format(response_format: ResponseFormat) -> list[Any]:
    schema = response_format.schema
    known = _digests.get(id(schema))
    return [response_format.name, known[1] if known else _digest(schema, schema)]


def _digest(thing: object, content: object) -> bytes:
    digest = hashlib.blake2b(msgspec.msgpack.encode(content), digest_size=16).digest()
    if len(_digests) >= _MOST_DIGESTS:
        del _digests[next(iter(_digests))]
    _digests[id(thing)] = (thing, digest)
    return digest


def _record(key: CallKey, digest: bytes, completion: Completion) -> CallRecord:
    reply = {
        "message": completion.message.to_openai(),
        "finish_reason": completion.finish_reason,
        "model": completion.model,
    }
    usage = completion.usage
    return CallRecord(key, digest, msgspec.json.encode(reply), usage.prompt, usage.completion)


def _completion(record: CallRecord) -> Completion:
    reply = msgspec.json.decode(record.reply)
    return Completion(
        message_from_openai(reply["message"]),
        reply["finish_reason"],
        Usage(record.prompt_tokens, record.completion_tokens),
        reply["model"],
    )
