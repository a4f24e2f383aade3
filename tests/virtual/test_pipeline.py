"""The pipeline in virtual time: which dialogues are begun, and what the data set is, whatever the timing."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolflow.agents.cast import Troupe
from toolflow.agents.prompts import ROLES, shipped_prompts
from toolflow.agents.voice import RoleModel
from toolflow.catalog.tool import Tool
from toolflow.config import DialogueConfig
from toolflow.dialogue.message import Message, ToolCall
from toolflow.errors import AuthenticationError, LLMError, PermanentLLMError
from toolflow.graph.link import ToolSet
from toolflow.journal.calls import MemoryJournal
from toolflow.journal.replay import JournalledModel
from toolflow.journal.run_directory import RunDirectory
from toolflow.llm.chat import Completion, Request
from toolflow.llm.client import Client
from toolflow.llm.gate import Gate
from toolflow.llm.router import Router
from toolflow.llm.testing import ScriptedProvider
from toolflow.pipeline import Bounds, Ending, Synthesis
from toolflow.progress import Progress
from toolflow.runtime.bus import Bus
from toolflow.runtime.testing import run_virtual

TOOL = Tool("ping", "Ping a host.", {"type": "object", "properties": {}}, {"type": "object"})
PLAN: dict[str, object] = {
    "topic": "a server",
    "goals": [{"kind": "tool", "request": "The user pings the host.", "calls": [{"tool": "ping"}]}],
}


def reply(request: Request, *, leaves: bool) -> Completion:
    """A dialogue of one goal and six calls; where the user leaves, it calls no tool and is rejected."""
    role, position = request.key.role, request.key.position // 3
    content: object
    if role == "planner":
        content = PLAN
    elif role == "tool":
        content = {}
    elif role == "user":
        content = {"status": "next_goal", "message": "Ping it."} if position == 0 else {"status": "finished"}
    elif position == 0 and not leaves:
        call = ToolCall("", "ping", "{}")
        return Completion(Message("assistant", "", (call,)))
    else:
        content = "It answers."
    return Completion(Message("assistant", content if isinstance(content, str) else json.dumps(content)))


class OneToolSet:
    def __init__(self, *distractors: Tool) -> None:
        self.distractors = distractors

    def sample(self, index: int) -> ToolSet:
        return ToolSet((TOOL,), (), self.distractors)


Model = Callable[[Request], Completion]


def read_all(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


class Run:
    """A run in a folder; may be played again, to continue it."""

    def __init__(
        self,
        folder: Path,
        model: Model,
        *,
        latency: Callable[[], float] = lambda: 0.0,
        distractors: tuple[Tool, ...] = (),
    ) -> None:
        self.folder = folder
        self.sampler = OneToolSet(*distractors)
        self.journal = MemoryJournal()
        self.most_alive = 0

        async def script(request: Request) -> Completion:
            await asyncio.sleep(latency())
            return model(request)

        self.provider = ScriptedProvider(script)

    async def play(
        self,
        target: int,
        *,
        candidates: int = 1000,
        concurrency: int = 4,
        stop_after: float | None = None,
        retry_failed: bool = False,
    ) -> Ending:
        loop = asyncio.get_running_loop()
        model = JournalledModel(Client(Router.single(self.provider, Gate(concurrency))), self.journal)
        self.progress = Progress(target, loop.time)
        with RunDirectory(self.folder) as run:
            run.claim({}, {})
            earlier = run.take_up(target=target, retry_failed=retry_failed)
            synthesis = Synthesis(
                Bounds(target, candidates, lambda: concurrency + 1, 1e6),
                sampler=self.sampler,
                troupe=Troupe(
                    model,
                    shipped_prompts(),
                    {role: (RoleModel("m"),) for role in ROLES},
                    "native",
                    DialogueConfig(fewest_goals=1, most_goals=1),
                    seed=0,
                ),
                model=model,
                run=run,
                bus=Bus(loop.time),
                progress=self.progress,
                labels={},
                earlier=earlier,
            )
            if stop_after is not None:
                loop.call_later(stop_after, synthesis.stop)
            return await synthesis.play()

    def accepted(self) -> list[int]:
        return [line["metadata"]["index"] for line in read_all(self.folder / "dialogues.jsonl")]

    def thrown_out(self) -> list[int]:
        return [line["index"] for line in read_all(self.folder / "rejected.jsonl")]


@given(
    bad=st.sets(st.integers(0, 30), max_size=20),
    target=st.integers(1, 12),
    concurrency=st.integers(1, 9),
    seed=st.integers(0, 100),
)
def test_the_data_set_is_the_first_n_accepted(
    bad: set[int], target: int, concurrency: int, seed: int
) -> None:
    draw = random.Random(seed)
    with TemporaryDirectory() as folder:
        run = Run(
            Path(folder),
            lambda request: reply(request, leaves=request.key.dialogue in bad),
            latency=lambda: draw.choice([0.0, 0.5, 1.0, 30.0]),
        )
        assert run_virtual(run.play(target, concurrency=concurrency)) == "target_met"
        accepted, thrown_out = run.accepted(), run.thrown_out()
        good = [index for index in range(100) if index not in bad]
        assert sorted(accepted) == good[:target]
        # Nothing was begun that the data set did not need.
        assert sorted(thrown_out) == [index for index in sorted(bad) if index < good[target - 1]]
        assert run.provider.most_in_flight <= concurrency


def test_distractors_are_offered_but_no_plan_is_made_for_them(tmp_path: Path) -> None:
    asked: list[Request] = []

    def model(request: Request) -> Completion:
        asked.append(request)
        return reply(request, leaves=False)

    others = tuple(Tool(f"other_{letter}", f"Does {letter}.", TOOL.parameters) for letter in "ab")
    run = Run(tmp_path, model, distractors=others)
    assert run_virtual(run.play(12)) == "target_met"
    orders = set[tuple[str, ...]]()
    for line in read_all(tmp_path / "dialogues.jsonl"):
        assert line["metadata"]["distractors"] == ["other_a", "other_b"]
        orders.add(tuple(tool["function"]["name"] for tool in line["tools"]))
    assert {frozenset(order) for order in orders} == {frozenset({"ping", "other_a", "other_b"})}
    assert len(orders) > 1  # their place does not give them away
    for request in asked:
        shown = "".join(message.content for message in request.messages)
        if request.key.role == "assistant":
            assert {tool.name for tool in request.tools} == {"ping", "other_a", "other_b"}
        else:
            assert "other_" not in shown


def test_permits_are_kept_busy(tmp_path: Path) -> None:
    run = Run(tmp_path, lambda request: reply(request, leaves=False), latency=lambda: 1.0)

    async def main() -> float:
        await run.play(64, concurrency=16)
        return asyncio.get_running_loop().time()

    ideal = 64 * 6 / 16
    assert run_virtual(main()) <= ideal * 1.2


def test_candidates_that_are_used_up_end_the_run(tmp_path: Path) -> None:
    run = Run(tmp_path, lambda request: reply(request, leaves=request.key.dialogue % 2 == 0))
    assert run_virtual(run.play(5, candidates=6)) == "candidate_ceiling"
    assert sorted(run.accepted()) == [1, 3, 5]
    assert run.progress.reasons == {"missing_tool_turn": 3}


@given(stops=st.lists(st.floats(0.1, 40), min_size=1, max_size=4), seed=st.integers(0, 50))
def test_a_run_that_is_stopped_and_continued_pays_nothing_twice(stops: list[float], seed: int) -> None:
    draw = random.Random(seed)
    with TemporaryDirectory() as folder:
        run = Run(
            Path(folder),
            lambda request: reply(request, leaves=request.key.dialogue % 3 == 0),
            latency=lambda: draw.choice([0.1, 1.0, 4.0]),
        )
        for stop in stops:
            run_virtual(run.play(8, stop_after=stop))
        assert run_virtual(run.play(8)) == "target_met"
        assert sorted(run.accepted()) == [1, 2, 4, 5, 7, 8, 10, 11]
        assert run.provider.sent == len(run.journal.records)


def test_a_failing_dialogue_fails_alone(tmp_path: Path) -> None:
    def model(request: Request) -> Completion:
        if request.key.dialogue == 1:
            raise PermanentLLMError("refused")
        return reply(request, leaves=False)

    run = Run(tmp_path, model)
    assert run_virtual(run.play(3)) == "target_met"
    assert sorted(run.accepted()) == [0, 2, 3]
    assert run.progress.failed == 1
    assert [line["detail"] for line in read_all(tmp_path / "rejected.jsonl")] == ["refused"]


def test_a_refused_key_stops_the_run_and_keeps_what_is_finished(tmp_path: Path) -> None:
    def model(request: Request) -> Completion:
        if request.key.dialogue == 5:
            raise AuthenticationError("the key was revoked")
        return reply(request, leaves=False)

    run = Run(tmp_path, model)
    with pytest.raises(AuthenticationError, match="the key was revoked"):
        run_virtual(run.play(50, concurrency=1))
    assert set(run.accepted()) >= {0, 1, 2, 3}


def test_an_endpoint_that_is_down_does_not_use_up_the_candidates(tmp_path: Path) -> None:
    def model(request: Request) -> Completion:
        raise PermanentLLMError("gone")

    run = Run(tmp_path, model)
    with pytest.raises(LLMError, match="20 dialogues in a row failed"):
        run_virtual(run.play(500))
    assert len(run.thrown_out()) <= 20 + 5


def test_raising_the_target_extends_the_run(tmp_path: Path) -> None:
    run = Run(tmp_path, lambda request: reply(request, leaves=request.key.dialogue == 2))
    run_virtual(run.play(3))
    run_virtual(run.play(6))
    assert sorted(run.accepted()) == [0, 1, 3, 4, 5, 6]
    assert run.progress.accepted == 6
    assert run.progress.rejected == 1


def test_lowering_the_target_keeps_the_first_and_raising_it_brings_the_others_back_for_nothing(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, lambda request: reply(request, leaves=request.key.dialogue == 2))
    run_virtual(run.play(8))
    paid = run.provider.sent
    assert run_virtual(run.play(3)) == "target_met"
    assert sorted(run.accepted()) == [0, 1, 3]
    assert run.progress.accepted == 3
    assert run_virtual(run.play(8)) == "target_met"
    assert sorted(run.accepted()) == [0, 1, 3, 4, 5, 6, 7, 8]
    assert run.provider.sent == paid


class Outage:
    """Fails the calls of some dialogues from their third on, until it is over."""

    def __init__(self, dialogues: set[int]) -> None:
        self.dialogues = dialogues

    def __call__(self, request: Request) -> Completion:
        if request.key.dialogue in self.dialogues and request.key.role == "assistant":
            raise PermanentLLMError("refused")
        return reply(request, leaves=request.key.dialogue % 4 == 1)


@settings(max_examples=40)
@given(
    failing=st.sets(st.integers(0, 14), max_size=8),
    target=st.integers(1, 10),
    concurrency=st.integers(1, 7),
    stop=st.one_of(st.none(), st.floats(0.1, 20)),
    seed=st.integers(0, 20),
)
def test_retried_failures_give_the_data_set_of_a_run_without_them(
    failing: set[int], target: int, concurrency: int, stop: float | None, seed: int
) -> None:
    draw = random.Random(seed)
    with TemporaryDirectory() as folder:
        outage = Outage(failing)
        run = Run(Path(folder), outage, latency=lambda: draw.choice([0.0, 0.5, 3.0]))
        run_virtual(run.play(target, concurrency=concurrency))
        failed = {
            line["index"] for line in read_all(run.folder / "rejected.jsonl") if line["stage"] == "dialogue"
        }
        assert run.progress.failed == len(failed)
        outage.dialogues = set()
        sent = run.provider.sent
        run_virtual(run.play(target, concurrency=concurrency, retry_failed=True, stop_after=stop))
        # A retry that is stopped goes on without being asked for again.
        assert run_virtual(run.play(target, concurrency=concurrency)) == "target_met"
        good = [index for index in range(100) if index % 4 != 1]
        assert sorted(run.accepted()) == good[:target]
        assert run.progress.accepted == target
        assert run.progress.failed == 0
        # Planner, user: the two calls before the failure are not paid again.
        assert run.provider.sent - sent <= 4 * len(failed)


def test_dialogues_that_the_checks_rejected_are_not_tried_again(tmp_path: Path) -> None:
    run = Run(tmp_path, lambda request: reply(request, leaves=request.key.dialogue < 2))
    run_virtual(run.play(3))
    sent = run.provider.sent
    assert run_virtual(run.play(3, retry_failed=True)) == "target_met"
    assert run.provider.sent == sent
    assert run.thrown_out() == [0, 1]
