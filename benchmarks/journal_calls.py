"""Calls for the journal to keep: those of our own prompts, and synthetic ones of 20 calls with 4 KB prompts.

Each kind gives for a dialogue its requests and replies in order. What differs from dialogue to dialogue is
the key alone; nothing is shared between dialogues in the journal, so that makes no difference to it.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from toolflow.agents.cast import Troupe
from toolflow.agents.prompts import ROLES, Prompts
from toolflow.agents.voice import RoleModel
from toolflow.assembly import read_material
from toolflow.config import RunConfig
from toolflow.dialogue.message import Message
from toolflow.journal.calls import MemoryJournal
from toolflow.journal.replay import JournalledModel
from toolflow.journal.run_directory import RunDirectory
from toolflow.llm.chat import CallKey, ChatModel, Completion, Request, Sampling
from toolflow.llm.providers.rehearsal import RehearsalProvider
from toolflow.pipeline import Bounds, Synthesis
from toolflow.progress import Progress
from toolflow.runtime.bus import Bus

Call = tuple[Request, Completion]

CALLS_PER_DIALOGUE = 20
ALIVE = 200
"""Dialogues under way at once."""
_OWN_DIALOGUES = 40
_WORDS = 3_000
_SYSTEM, _TURN = 1_200, 140  # characters


class Recorder:
    """Answers as the rehearsal model does, and keeps what was asked and answered.

    Attributes:
        calls: By dialogue, in the order in which they were made.
    """

    def __init__(self) -> None:
        self.calls: dict[int, list[Call]] = {}
        self._rehearsal = RehearsalProvider()

    async def complete(self, request: Request) -> Completion:
        completion = await self._rehearsal.send(request)
        self.calls.setdefault(request.key.dialogue, []).append((request, completion))
        return completion


async def play_dialogues(model: JournalledModel, target: int, alive: int) -> None:
    """Have dialogues played with the shipped prompts and tools until so many are accepted.

    Args:
        model: Answers all roles.
        target: Accepted dialogues wanted.
        alive: Most dialogues alive at once.
    """
    config = RunConfig()
    material = read_material(config)
    with tempfile.TemporaryDirectory() as folder, RunDirectory(Path(folder)) as directory:
        await Synthesis(
            Bounds(target, 2 * target, lambda: alive, 600.0),
            sampler=material.sampler,
            troupe=Troupe(
                model,
                Prompts(),
                {role: (RoleModel("rehearsal"),) for role in ROLES},
                "native",
                config.dialogue,
                config.seed,
            ),
            model=model,
            run=directory,
            bus=Bus(time.monotonic),
            progress=Progress(target, time.monotonic),
            labels={},
        ).play()


@lru_cache
def own() -> list[list[Call]]:
    """The calls of dialogues that the rehearsal model played with the shipped prompts and tools."""
    recorder = Recorder()
    asyncio.run(play_dialogues(JournalledModel(recorder, MemoryJournal()), _OWN_DIALOGUES, alive=8))
    return list(recorder.calls.values())


def _text(draw: random.Random, words: Sequence[str], length: int) -> str:
    text = ""
    while len(text) < length:
        text += draw.choice(words) + " "
    return text[:length]


@lru_cache
def _synthetic(*, growing: bool) -> list[list[Call]]:
    draw = random.Random(7)
    letters = "etaoinshrdlucmfwypvbgkqjxz"
    weights = [26 - place for place in range(26)]
    words = ["".join(draw.choices(letters, weights, k=draw.randint(2, 10))) for _ in range(_WORDS)]
    found: list[list[Call]] = []
    for _ in range(_OWN_DIALOGUES):
        said = [Message("system", _text(draw, words, _SYSTEM))]
        calls: list[Call] = []
        for position in range(CALLS_PER_DIALOGUE):
            if growing:
                said.append(Message("user", _text(draw, words, _TURN)))
            else:
                said[1:] = [Message("user", _text(draw, words, CALLS_PER_DIALOGUE * _TURN))]
            request = Request(
                CallKey(0, "user", position),
                "synthetic",
                tuple(said),
                sampling=Sampling(0.7),
                seed=draw.getrandbits(63),
            )
            reply = Message("assistant", _text(draw, words, _TURN))
            calls.append((request, Completion(reply, model="synthetic")))
            if growing:
                said.append(reply)
        found.append(calls)
    return found


KINDS: dict[str, Callable[[], list[list[Call]]]] = {
    "own": own,
    "growing": lambda: _synthetic(growing=True),
    "fresh": lambda: _synthetic(growing=False),
}
"""``own`` prompts; ``growing`` histories of 4 KB on average; ``fresh``: 2.8 of 4 KB are new in every call."""


def dialogues(kind: str, count: int) -> list[list[Call]]:
    """So many dialogues, with keys and messages of their own."""
    known = KINDS[kind]()
    return [_retold(known[index % len(known)], index) for index in range(count)]


def _retold(calls: list[Call], dialogue: int) -> list[Call]:
    """The same said in another dialogue: what is one message there is one here, too."""
    told: dict[int, Message] = {}

    def retell(message: Message) -> Message:
        return told.setdefault(id(message), replace(message))

    return [
        (
            replace(
                request,
                key=request.key._replace(dialogue=dialogue),
                messages=tuple(map(retell, request.messages)),
            ),
            replace(completion, message=retell(completion.message)),
        )
        for request, completion in calls
    ]


def prompt_bytes(kind: str) -> float:
    """Mean length of a prompt's messages, in characters."""
    lengths = [
        sum(len(message.content) for message in request.messages)
        for calls in KINDS[kind]()
        for request, _ in calls
    ]
    return sum(lengths) / len(lengths)


class Drive:
    """Plays dialogues, their calls one after the other, as many calls at a time as it is told to.

    Use as an async context manager; what has not been played at its end is left.

    Args:
        model: Answers.
        calls: The dialogues; so many at once as :data:`ALIVE` says.

    Attributes:
        took: Seconds of each call.
    """

    def __init__(self, model: ChatModel, calls: list[list[Call]]) -> None:
        self._model = model
        self._waiting = iter(calls)
        self._unplayed = sum(map(len, calls))
        self._tickets: asyncio.Queue[None] = asyncio.Queue()  # a semaphore looks at all who wait, each time
        self._left = 0
        self._played = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []
        self.took: list[float] = []

    async def __aenter__(self) -> Drive:
        await self._group.__aenter__()
        self._tasks = [self._group.create_task(self._play()) for _ in range(ALIVE)]
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(*exc_info)

    async def go(self, count: int, rate: float | None = None) -> None:
        """Have so many calls made, so many a second or as fast as may be; return once they are answered."""
        assert count <= self._unplayed, "there are not so many calls"
        self._unplayed -= count
        self._left = count
        self._played.clear()
        began = time.monotonic()
        for place in range(count):
            if rate is not None and (pause := began + place / rate - time.monotonic()) > 0:
                await asyncio.sleep(pause)
            self._tickets.put_nowait(None)
        await self._played.wait()

    async def _play(self) -> None:
        for dialogue in self._waiting:
            key = dialogue[0][0].key
            if isinstance(self._model, JournalledModel):
                self._model.begin(key.dialogue)
            for request, _ in dialogue:
                await self._tickets.get()
                began = time.perf_counter()
                await self._model.complete(request)
                self.took.append(time.perf_counter() - began)
                self._left -= 1
                if not self._left:
                    self._played.set()
            if isinstance(self._model, JournalledModel):
                self._model.settle(key.dialogue, "accepted")
                self._model.end(key.dialogue)


async def drive(model: ChatModel, calls: list[list[Call]]) -> None:
    """Play dialogues to their end, as fast as may be."""
    async with Drive(model, calls) as playing:
        await playing.go(sum(map(len, calls)))
