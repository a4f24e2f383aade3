"""A replayed request that differs is refused with what differs, and never mixed in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from toolflow.catalog.tool import Tool
from toolflow.dialogue.message import Message
from toolflow.errors import RunDirectoryError
from toolflow.journal.calls import MemoryJournal
from toolflow.journal.replay import JournalledModel
from toolflow.llm.chat import CallKey, Completion, Request, ResponseFormat, Sampling
from toolflow.runtime.testing import run_virtual

WEATHER = Tool(
    "weather", "Tells the weather.", {"type": "object", "properties": {"city": {"type": "string"}}}
)
CLOCK = Tool("clock", "Tells the time.", {"type": "object", "properties": {}})
SYSTEM = Message("system", "You help people with their travels and say no more than is needed.")
BASE = Request(
    CallKey(3, "assistant", 2),
    "small",
    (SYSTEM, Message("user", "hello there"), Message("assistant", "What can I do?")),
    (WEATHER,),
    response_format=ResponseFormat("turn", {"type": "object", "required": ["status"]}),
    sampling=Sampling(0.3),
    seed=1,
)
SAID = Message("system", "You help people with their journeys and say no more than is needed.")


class Fixed:
    async def complete(self, request: Request) -> Completion:
        return Completion(Message("assistant", "fine"))


def refusal(now: Request, then: Request = BASE) -> RunDirectoryError:
    async def main() -> RunDirectoryError:
        journal = MemoryJournal()
        await JournalledModel(Fixed(), journal).complete(then)
        resumed = JournalledModel(Fixed(), journal)
        resumed.begin(then.key.dialogue)
        with pytest.raises(RunDirectoryError) as caught:
            await resumed.complete(now)
        assert resumed.replayed == 0
        return caught.value

    return run_virtual(main())


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (replace(BASE, model="large"), "model: small → large"),
        (replace(BASE, sampling=Sampling(0.7, max_tokens=9)), "temperature: 0.3 → 0.7"),
        (replace(BASE, sampling=Sampling(None)), "temperature: 0.3 → left to the endpoint"),
        (replace(BASE, seed=2), "seed: 1 → 2"),
        (
            replace(BASE, messages=(SAID, *BASE.messages[1:])),
            'message 1 (system), word 6: "travels and say no more than is needed." → "journeys and',
        ),
        (replace(BASE, messages=(SYSTEM, Message("user", "hello"), BASE.messages[2])), "nothing more"),
        (replace(BASE, messages=BASE.messages[:2]), "messages: 3 → 2"),
        (
            replace(BASE, messages=(SYSTEM, Message("assistant", "hello there"), BASE.messages[2])),
            "message 2: by user → by assistant",
        ),
        (replace(BASE, tools=(WEATHER, CLOCK)), "tool clock: not there → there"),
        (replace(BASE, tools=()), "tool weather: there → gone"),
        (
            replace(BASE, tools=(replace(WEATHER, description="Tells the forecast."),)),
            'description of tool weather, word 3: "weather." → "forecast."',
        ),
        (
            replace(
                BASE,
                tools=(
                    replace(
                        WEATHER, parameters={"type": "object", "properties": {"city": {"type": "array"}}}
                    ),
                ),
            ),
            'parameters of tool weather, properties.city.type: "string" → "array"',
        ),
        (replace(BASE, tool_choice="none"), "tool choice: auto → none"),
        (replace(BASE, response_format=None), "reply format: turn → free text"),
        (
            replace(BASE, response_format=ResponseFormat("turn", {"type": "object", "required": []})),
            'schema of reply format turn, required: ["status"] → []',
        ),
    ],
)
def test_what_differs_is_named(now: Request, words: str) -> None:
    error = refusal(now)
    assert "dialogue 3: the journal holds another request for assistant call 2" in error.message
    assert words in error.message
    assert "--fork" in str(error.hint)


def test_an_earlier_call_is_the_base_of_what_is_shown() -> None:
    """The journalled request is put together again from the one that it grew from."""

    async def main() -> str:
        journal = MemoryJournal()
        model = JournalledModel(Fixed(), journal)
        grown = replace(
            BASE,
            key=BASE.key._replace(position=5),
            messages=(*BASE.messages, Message("user", "rain in Oslo?")),
        )
        await model.complete(BASE)
        await model.complete(grown)
        resumed = JournalledModel(Fixed(), journal)
        resumed.begin(3)
        await resumed.complete(BASE)
        with pytest.raises(RunDirectoryError) as caught:
            await resumed.complete(
                replace(grown, messages=(*BASE.messages, Message("user", "rain in Rome?")))
            )
        return caught.value.message

    message = run_virtual(main())
    assert 'message 4 (user), word 3: "Oslo?" → "Rome?"' in message
    assert "a prompt template, the catalogue or the code has changed" in message


def test_text_that_is_lost_is_said_to_be() -> None:
    async def main() -> str:
        journal = MemoryJournal()
        model = JournalledModel(Fixed(), journal)
        grown = replace(BASE, key=BASE.key._replace(position=5))
        await model.complete(BASE)
        await model.complete(grown)
        del journal.records[BASE.key]
        resumed = JournalledModel(Fixed(), journal)
        resumed.begin(3)
        with pytest.raises(RunDirectoryError) as caught:
            await resumed.complete(replace(grown, seed=9))
        return caught.value.message

    assert "can no longer be read" in run_virtual(main())
