"""Streams: however an answer is cut into pieces, the completion is the same as in one piece."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolflow.dialogue.message import Message, ToolCall
from toolflow.errors import LLMError, MalformedCompletionError, RateLimitedError, ServerFailedError
from toolflow.llm.chat import CallKey, Completion, Request, ResponseFormat, Usage
from toolflow.llm.endpoint import Endpoint
from toolflow.llm.live import LiveText
from toolflow.llm.providers.chat_completions import ChatCompletions
from toolflow.llm.providers.messages import Messages
from toolflow.llm.providers.sse import EventReader
from toolflow.llm.providers.wire import Dialect
from toolflow.llm.serving.chat_completions import ServedChatCompletions
from toolflow.llm.serving.dialect import Asked, ServedDialect
from toolflow.llm.serving.messages import ServedMessages

ENDPOINT = Endpoint("http://host/v1")
REQUEST = Request(CallKey(0, "user", 0), "m", (Message("user", "hello"),))
STRUCTURED = Request(
    CallKey(0, "user", 0), "m", REQUEST.messages, response_format=ResponseFormat("plan", {"type": "object"})
)
BOTH: list[tuple[Dialect, ServedDialect]] = [
    (ChatCompletions(), ServedChatCompletions()),
    (Messages(), ServedMessages()),
]


def hear(dialect: Dialect, stream: bytes, request: Request = REQUEST, step: int = 0) -> Completion:
    assembly, reader = dialect.assemble(request, ENDPOINT), EventReader()
    step = step or max(len(stream), 1)
    for place in range(0, len(stream), step):
        for data in reader.feed(stream[place : place + step]):
            assembly.feed(data)
    for data in reader.close():
        assembly.feed(data)
    return assembly.completion()


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
calls = st.lists(
    st.builds(
        ToolCall,
        st.from_regex(r"[a-z]{1,6}", fullmatch=True),
        st.from_regex(r"[a-z]{1,6}", fullmatch=True),
        st.sampled_from(["{}", '{"a":1}', '{"text":"grün 🌲 und mehr davon"}', '{"a":', ""]),
    ),
    max_size=3,
    unique_by=lambda call: call.id,
).map(tuple)


@pytest.mark.parametrize(("dialect", "served"), BOTH)
def test_a_stream_gives_the_same_completion_as_one_piece(dialect: Dialect, served: ServedDialect) -> None:
    @settings(deadline=None, max_examples=150)
    @given(words, calls, st.integers(1, 9), st.integers(1, 200), st.sampled_from([REQUEST, STRUCTURED]))
    def check(content: str, made: tuple[ToolCall, ...], tokens: int, step: int, request: Request) -> None:
        if not made and not content.strip():
            return
        if request is STRUCTURED and not made:
            content = json.dumps({"say": content}, ensure_ascii=False)
        reason = "tool_calls" if made else "stop"
        completion = Completion(Message("assistant", content, made), reason, Usage(70, 9), "m-1")  # type: ignore[arg-type]
        asked = Asked(request, stream=True)
        stream = b"".join(served.events(completion, asked, 1, 2, tokens=tokens))
        whole = dialect.decode(served.encode(completion, asked, 1, 2), request, ENDPOINT)
        assert hear(dialect, stream, request, step) == whole
        assert hear(dialect, stream.replace(b"\n", b"\r\n"), request, step) == whole
        if all(call.arguments for call in made):
            assert whole == completion

    check()


def events(*data: dict[str, Any] | str) -> bytes:
    return b"".join(
        b"data: " + (one if isinstance(one, str) else json.dumps(one)).encode() + b"\n\n" for one in data
    )


def test_pieces_of_parallel_calls_are_told_apart_with_and_without_an_index() -> None:
    def piece(*made: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {"choices": [{"delta": {"tool_calls": list(made)}, "finish_reason": reason}]}

    indexed = events(
        piece({"index": 1, "id": "b", "function": {"name": "g", "arguments": "{"}}),
        piece({"index": 0, "id": "a", "function": {"name": "f"}}),
        piece(
            {"index": 0, "function": {"arguments": '{"x":'}},
            {"index": 1, "function": {"arguments": "}"}},
        ),
        piece({"index": 0, "function": {"arguments": "1}"}}, reason="tool_calls"),
        "[DONE]",
    )
    expected = (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "{}"))
    assert hear(ChatCompletions(), indexed).message.tool_calls == expected
    bare = events(
        piece({"id": "a", "function": {"name": "f", "arguments": '{"x"'}}),
        piece({"function": {"arguments": ":1}"}}),
        piece({"id": "b", "function": {"name": "g", "arguments": "{}"}}, reason="tool_calls"),
    )
    assert hear(ChatCompletions(), bare).message.tool_calls == expected


def test_comments_pings_and_unknown_events_are_passed_over() -> None:
    stream = (
        b': keep-alive\n\nevent: ping\ndata: {"type": "ping"}\n\nid: 7\nretry: 10\n\n'
        b'data: {"type":"message_start","message":{"content":[],"model":"m",\n'
        b'data: "usage":{"input_tokens":25,"output_tokens":1}}}\n\n'
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking"}}\n\n'
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"h"}}\n\n'
        b'data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}\n\n'
        b'data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hello!"}}\n\n'
        b'data: {"type":"comes_to_be","x":[]}\n\n'
        b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}\n\n'
        b'data: {"type":"message_stop"}\n\n'
    )
    assert hear(Messages(), stream) == Completion(Message("assistant", "Hello!"), "stop", Usage(25, 15), "m")


@pytest.mark.parametrize(("dialect", "served"), BOTH)
def test_a_stream_that_ends_without_its_end_is_tried_again(dialect: Dialect, served: ServedDialect) -> None:
    completion = Completion(Message("assistant", "one two three four five six"))
    parts = served.events(completion, Asked(REQUEST, stream=True), 1, 2, tokens=1)
    with pytest.raises(ServerFailedError, match="before the answer was complete"):
        hear(dialect, b"".join(parts[: len(parts) // 2]))
    with pytest.raises(ServerFailedError):
        hear(dialect, b"")


@pytest.mark.parametrize(
    ("dialect", "error", "kind"),
    [
        (Messages(), {"type": "overloaded_error", "message": "Overloaded"}, ServerFailedError),
        (Messages(), {"type": "rate_limit_error", "message": "slow down"}, RateLimitedError),
        (ChatCompletions(), {"code": 502, "message": "upstream"}, ServerFailedError),
        (ChatCompletions(), {"type": "rate_limit_exceeded", "message": "slow"}, RateLimitedError),
    ],
)
def test_an_error_in_the_middle_is_an_error(
    dialect: Dialect, error: dict[str, Any], kind: type[LLMError]
) -> None:
    with pytest.raises(kind):
        hear(dialect, events({"type": "error", "error": error}))


def test_an_empty_stream_of_choices_is_malformed() -> None:
    with pytest.raises(MalformedCompletionError, match="choices are empty"):
        hear(ChatCompletions(), events({"choices": [], "usage": {"prompt_tokens": 4}}, "[DONE]"))


def test_nonsense_in_a_stream_is_a_server_failure() -> None:
    for dialect, _ in BOTH:
        with pytest.raises(ServerFailedError):
            hear(dialect, b"data: nonsense\n\n")


def test_live_text_shows_who_speaks_and_only_while_it_does() -> None:
    live, first, second = LiveText(), ["Hel"], ["{"]
    with live.speaking(CallKey(3, "assistant", 0), first):
        first.append("lo")
        assert live.of(3) == ("assistant", "Hello")
        assert live.of(4) is None
        with live.speaking(CallKey(3, "tool", 1), second):
            assert live.of(3) == ("tool", "{")
    assert live.of(3) is None
