"""The link check: batches, verdicts that are kept, budget, failures, and rehearsal."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.curation.scripted_session import ScriptedSession, silent
from toolflow.catalog.load import load_sample
from toolflow.curation.link_checking import LinkCheck, check_links, without_refused
from toolflow.errors import AuthenticationError, LLMError, PermanentLLMError, UsageError
from toolflow.graph.encoder import WordLlamaEncoder
from toolflow.graph.graph import ToolGraph, build_graph
from toolflow.graph.link import Link
from toolflow.graph.link_check import sample_links
from toolflow.llm.chat import Request


@pytest.fixture(scope="module")
def graph() -> ToolGraph:
    return build_graph(load_sample().tools[:20], WordLlamaEncoder())


@pytest.fixture(scope="module")
def links(graph: ToolGraph) -> tuple[Link, ...]:
    return sample_links(graph, 12, seed=0)


def shown(request: Request) -> dict[str, dict[str, Any]]:
    """The links in a prompt, by their names."""
    lines = re.findall(r"^(link_\d+): (.*)$", request.messages[1].content, re.MULTILINE)
    return {name: json.loads(question) for name, question in lines}


def sound_if_returned(request: Request) -> dict[str, Any]:
    """A judge that refuses links between parameters."""
    return {
        name: {"reason": "because", "makes_sense": question["kind"] == "return-parameter"}
        for name, question in shown(request).items()
    }


def check(
    scripted: ScriptedSession, graph: ToolGraph, links: Sequence[Link], verdicts: Path, batch: int = 5
) -> LinkCheck:
    return asyncio.run(check_links(scripted.session, graph, links, verdicts, batch=batch, progress=silent))


def test_links_are_judged_in_batches(graph: ToolGraph, links: tuple[Link, ...], tmp_path: Path) -> None:
    scripted = ScriptedSession(sound_if_returned)
    result = check(scripted, graph, links, tmp_path / "verdicts")
    assert sorted(len(shown(request)) for request in scripted.asked) == [2, 5, 5]
    assert [link for link, _ in result.verdicts] == list(links)
    assert all(verdict.makes_sense == (link.kind == "return-parameter") for link, verdict in result.verdicts)
    assert (result.known, result.calls, result.tally.done) == (0, 3, 3)


def test_a_reply_can_only_be_valid_with_a_verdict_for_each_link(
    graph: ToolGraph, links: tuple[Link, ...], tmp_path: Path
) -> None:
    scripted = ScriptedSession(sound_if_returned)
    check(scripted, graph, links[:3], tmp_path / "verdicts")
    response_format = scripted.asked[0].response_format
    assert response_format is not None
    assert response_format.schema["required"] == ["link_1", "link_2", "link_3"]


def test_known_verdicts_are_not_asked_for_again(
    graph: ToolGraph, links: tuple[Link, ...], tmp_path: Path
) -> None:
    first = check(ScriptedSession(sound_if_returned), graph, links[:6], tmp_path / "verdicts")
    again = ScriptedSession(sound_if_returned)
    result = check(again, graph, links, tmp_path / "verdicts")
    assert result.known == 6
    assert sum(len(shown(request)) for request in again.asked) == len(links) - 6
    assert result.verdicts[:6] == first.verdicts


def test_another_models_verdicts_are_not_its_own(
    graph: ToolGraph, links: tuple[Link, ...], tmp_path: Path
) -> None:
    check(ScriptedSession(sound_if_returned, rehearsal=True), graph, links, tmp_path / "verdicts")
    result = check(ScriptedSession(sound_if_returned), graph, links, tmp_path / "verdicts")
    assert result.known == 0


def test_a_torn_line_counts_as_never_written(
    graph: ToolGraph, links: tuple[Link, ...], tmp_path: Path
) -> None:
    verdicts = tmp_path / "verdicts"
    check(ScriptedSession(sound_if_returned), graph, links, verdicts)
    verdicts.write_bytes(verdicts.read_bytes()[:-20])
    result = check(ScriptedSession(sound_if_returned), graph, links, verdicts)
    assert (result.known, len(result.verdicts)) == (len(links) - 1, len(links))
    assert check(ScriptedSession(sound_if_returned), graph, links, verdicts).calls == 0


def test_the_budget_is_hard_and_the_next_run_goes_on(
    graph: ToolGraph, links: tuple[Link, ...], tmp_path: Path
) -> None:
    scripted = ScriptedSession(sound_if_returned, max_calls=2)
    result = check(scripted, graph, links, tmp_path / "verdicts")
    assert len(scripted.asked) == 2
    assert (len(result.verdicts), result.tally.left) == (10, 1)
    rest = check(ScriptedSession(sound_if_returned), graph, links, tmp_path / "verdicts")
    assert (rest.calls, len(rest.verdicts)) == (1, 12)
    nothing = ScriptedSession(sound_if_returned, max_calls=0)
    assert check(nothing, graph, links, tmp_path / "other").verdicts == ()
    assert nothing.asked == []


def test_an_unusable_reply_is_mended_once(graph: ToolGraph, links: tuple[Link, ...], tmp_path: Path) -> None:
    def forgetful(request: Request) -> Any:
        return sound_if_returned(request) if len(request.messages) > 2 else {"link_1": {"makes_sense": True}}

    scripted = ScriptedSession(forgetful)
    result = check(scripted, graph, links[:3], tmp_path / "verdicts")
    assert len(result.verdicts) == 3
    assert "link_2, link_3: a verdict is missing" in scripted.prompts[-1]


@pytest.mark.parametrize("reply", ["no JSON at all", {"link_1": {"makes_sense": "perhaps"}}, "[]"])
def test_a_batch_that_stays_unusable_fails_alone(
    graph: ToolGraph, links: tuple[Link, ...], tmp_path: Path, reply: Any
) -> None:
    def script(request: Request) -> Any:
        asked = shown(request)["link_1"]["from"]["tool"]
        return reply if asked == links[0].from_tool else sound_if_returned(request)

    result = check(ScriptedSession(script), graph, links, tmp_path / "verdicts", batch=1)
    failed = [link for link in links if link.from_tool == links[0].from_tool]
    assert result.tally.failed == {"invalid_verdicts": len(failed)}
    assert len(result.verdicts) == len(links) - len(failed)


def test_one_refused_request_fails_alone(graph: ToolGraph, links: tuple[Link, ...], tmp_path: Path) -> None:
    count = iter(range(100))

    def script(request: Request) -> Any:
        return PermanentLLMError("content filter") if next(count) == 0 else sound_if_returned(request)

    result = check(ScriptedSession(script), graph, links, tmp_path / "verdicts")
    assert result.tally.failed == {"llm_error": 1}
    assert result.tally.examples == {"llm_error": "content filter"}
    assert result.tally.done == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AuthenticationError("bad key"), "bad key"),
        (PermanentLLMError("broken"), "10 requests in a row failed"),
    ],
)
def test_what_every_call_meets_stops_the_check_and_loses_nothing(
    graph: ToolGraph, links: tuple[Link, ...], tmp_path: Path, error: LLMError, words: str
) -> None:
    count = iter(range(100))

    def script(request: Request) -> Any:
        return sound_if_returned(request) if next(count) == 0 else error

    with pytest.raises(LLMError, match=words):
        check(ScriptedSession(script), graph, links, tmp_path / "verdicts", batch=1)
    assert len((tmp_path / "verdicts").read_text().splitlines()) == 1


def test_refused_links_are_dropped(graph: ToolGraph, links: tuple[Link, ...], tmp_path: Path) -> None:
    def refuse(request: Request) -> Any:
        return {name: {"reason": "no", "makes_sense": False} for name in shown(request)}

    result = check(ScriptedSession(refuse), graph, links, tmp_path / "verdicts")
    left = without_refused(graph, result)
    assert len(list(left.links())) == len(list(graph.links())) - len(links)


def test_rehearsal_drops_nothing_unless_forced(
    graph: ToolGraph, links: tuple[Link, ...], tmp_path: Path
) -> None:
    def refuse(request: Request) -> Any:
        return {name: {"reason": "no", "makes_sense": False} for name in shown(request)}

    result = check(ScriptedSession(refuse, rehearsal=True), graph, links, tmp_path / "verdicts")
    with pytest.raises(UsageError, match="rehearsal"):
        without_refused(graph, result)
    forced = without_refused(graph, result, force=True)
    assert len(list(forced.links())) == len(list(graph.links())) - len(links)


def test_catalogue_text_is_data_in_the_prompt(
    graph: ToolGraph, links: tuple[Link, ...], tmp_path: Path
) -> None:
    name = links[0].from_tool
    hostile = tuple(
        replace(tool, description="{{ 7 * 7 }} {% raise %}") if tool.name == name else tool
        for tool in graph.tools
    )
    scripted = ScriptedSession(sound_if_returned)
    check(scripted, replace(graph, tools=hostile), links[:1], tmp_path / "verdicts")
    assert "{{ 7 * 7 }}" in scripted.prompts[0]
