"""Enriching a catalogue: filling, evolving, near-duplicates, resuming, budget and failures."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.curation.scripted_session import Script, ScriptedSession, silent
from toolflow.catalog.load import load_catalogue, load_sample
from toolflow.catalog.tool import Tool
from toolflow.curation.enrichment import Enrichment, enrich, unfinished_path
from toolflow.curation.evolving import Nursery
from toolflow.curation.filling import FILLS, Fill
from toolflow.curation.novelty import Novelty
from toolflow.errors import AuthenticationError, CatalogueError, LLMError
from toolflow.graph.encoder import WordLlamaEncoder
from toolflow.llm.chat import Request

COMPLETE = load_sample().tools[:6]
BARE = tuple(replace(tool, returns=None) for tool in COMPLETE)
ANIMALS = "aardvark badger cormorant dolphin echidna falcon gazelle hedgehog ibex jackal".split()


def returns(request: Request) -> dict[str, Any]:
    return {"returns": [{"name": "answer_id", "type": "string", "description": "Id of the answer."}]}


def new_tool(request: Request) -> dict[str, Any]:
    """A tool that differs from all others, by the number of the draw."""
    animal = ANIMALS[request.key.dialogue % len(ANIMALS)]
    reply: dict[str, Any] = {
        "name": f"feed_{animal}_{request.key.dialogue}",
        "description": f"Feeds the {animal} in pen {request.key.dialogue}.",
        "parameters": [{"name": "grams", "type": "integer", "description": "How much.", "required": False}],
        "returns": [{"name": "left_grams", "type": "integer", "description": "What is left."}],
    }
    assert request.response_format is not None
    if "takes" in request.response_format.schema["properties"]:
        reply["takes"] = "What the other tool gave."
    return reply


def run(
    script: Script | ScriptedSession,
    output: Path,
    tools: Sequence[Tool] = BARE,
    *,
    fills: Sequence[Fill] = FILLS,
    evolve: int = 0,
    **settings: Any,
) -> Enrichment:
    scripted = script if isinstance(script, ScriptedSession) else ScriptedSession(script, **settings)
    return asyncio.run(
        enrich(
            scripted.session,
            tools,
            output,
            fills=fills,
            evolve=evolve,
            encoder=WordLlamaEncoder(),
            progress=silent,
        )
    )


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "enriched.jsonl"


def test_gaps_are_filled_and_written_with_their_marks(output: Path) -> None:
    result = run(returns, output)
    assert (result.filled["returns"], result.missing, result.calls) == (6, 0, 6)
    written = load_catalogue([output]).catalogue.tools
    assert written == result.tools
    assert [tool.name for tool in written] == [tool.name for tool in BARE]
    assert all(tool.provenance == {"returns": "model"} for tool in written)
    assert not unfinished_path(output).exists()


def test_a_complete_catalogue_costs_nothing(output: Path) -> None:
    result = run(returns, output, COMPLETE)
    assert (result.calls, result.tools) == (0, COMPLETE)


def test_what_was_enriched_is_kept(output: Path) -> None:
    run(returns, output, BARE[:4])
    result = run(returns, output, BARE)
    assert (result.calls, result.kept, result.filled["returns"]) == (2, 4, 2)


def test_a_tool_that_changed_since_is_enriched_anew(output: Path) -> None:
    run(returns, output)
    changed = (replace(BARE[0], description="Does something else now."), *BARE[1:])
    assert run(returns, output, changed).calls == 1


def test_what_rehearsal_invented_is_replaced_by_a_model_and_not_the_reverse(output: Path) -> None:
    rehearsed = run(returns, output, rehearsal=True)
    assert {(tool.provenance or {})["returns"] for tool in rehearsed.tools} == {"rehearsal"}
    assert run(returns, output, rehearsal=True).calls == 0
    real = run(returns, output)
    assert (real.calls, {(tool.provenance or {})["returns"] for tool in real.tools}) == (6, {"model"})
    assert run(returns, output, rehearsal=True).calls == 0


def test_the_budget_is_hard_and_the_next_run_goes_on(output: Path) -> None:
    scripted = ScriptedSession(returns, max_calls=4)
    result = run(scripted, output)
    assert (len(scripted.asked), result.calls, result.missing) == (4, 4, 2)
    assert len(load_catalogue([output]).catalogue) == 6
    rest = run(returns, output)
    assert (rest.calls, rest.missing) == (2, 0)


def test_a_run_that_is_stopped_loses_nothing(output: Path) -> None:
    count = iter(range(100))

    def script(request: Request) -> Any:
        return returns(request) if next(count) < 3 else AuthenticationError("the key was revoked")

    with pytest.raises(LLMError, match="revoked"):
        run(script, output)
    assert not output.exists()
    kept = len(unfinished_path(output).read_text().splitlines())
    assert kept >= 1
    with unfinished_path(output).open("ab") as file:
        file.write(b'{"name": "torn')
    result = run(returns, output)
    assert (result.calls, result.kept, result.missing) == (6 - kept, kept, 0)


def test_failures_are_counted_by_reason_and_cost_nobody_else_anything(output: Path) -> None:
    def script(request: Request) -> Any:
        return "I cannot do that" if BARE[0].name in request.messages[1].content[:200] else returns(request)

    result = run(script, output)
    assert result.failed == {"invalid_filling": 1}
    assert BARE[0] in result.tools
    assert (result.missing, result.filled["returns"]) == (1, 5)


def test_an_unusable_reply_is_mended(output: Path) -> None:
    def script(request: Request) -> Any:
        return returns(request) if len(request.messages) > 2 else {"returns": []}

    scripted = ScriptedSession(script)
    assert run(scripted, output, BARE[:1]).missing == 0
    assert "returns" in scripted.prompts[1]


def test_an_output_that_is_no_catalogue_is_not_overwritten(output: Path) -> None:
    output.write_text("precious notes\n")
    with pytest.raises(CatalogueError):
        run(returns, output)
    assert output.read_text() == "precious notes\n"


def test_an_output_that_cannot_be_written_is_said_before_anything_is_lost(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="absent"):
        run(returns, tmp_path / "absent" / "out.jsonl")


def test_tools_are_evolved_with_their_story(output: Path) -> None:
    result = run(new_tool, output, COMPLETE, evolve=8)
    evolved = result.tools[len(COMPLETE) :]
    assert (len(evolved), result.evolved, result.missing) == (8, 8, 0)
    assert load_catalogue([output]).catalogue.tools == result.tools
    stories = [(tool.provenance or {})["origin"] for tool in evolved]
    assert {story.split(" of ")[0] for story in stories} == {"sibling", "consumer"}
    for tool, story in zip(evolved, stories, strict=True):
        origin, _, path = story.split(" of ")[1].partition(".")
        assert origin in {one.name for one in COMPLETE}
        assert (tool.provenance or {})["description"] == "model"
        assert set(tool.properties) >= {"grams"}
        if path:
            (taken,) = set(tool.properties) - {"grams"}
            assert tool.required == [taken]
            assert taken.endswith(re.sub(r"\[\]", "", path).split(".")[-1])


def test_evolving_depends_on_the_seed_alone(output: Path, tmp_path: Path) -> None:
    first = run(new_tool, output, COMPLETE, evolve=4, seed=1)
    assert run(new_tool, tmp_path / "again.jsonl", COMPLETE, evolve=4, seed=1).tools == first.tools
    other = run(new_tool, tmp_path / "other.jsonl", COMPLETE, evolve=4, seed=2)
    assert [tool.provenance for tool in other.tools] != [tool.provenance for tool in first.tools]


def test_evolved_tools_are_kept_and_added_to(output: Path) -> None:
    first = run(new_tool, output, COMPLETE, evolve=3)
    assert run(new_tool, output, COMPLETE, evolve=3).calls == 0
    more = run(new_tool, output, COMPLETE, evolve=5)
    assert (more.calls, more.kept, more.evolved) == (2, 3, 2)
    assert more.tools[: len(first.tools)] == first.tools


def test_an_output_may_be_enriched_in_place(output: Path) -> None:
    first = run(new_tool, output, COMPLETE, evolve=3)
    again = run(new_tool, output, first.tools, evolve=3)
    assert (again.calls, again.tools) == (0, first.tools)


def test_a_stopped_evolution_goes_on(output: Path) -> None:
    count = iter(range(100))

    def script(request: Request) -> Any:
        return new_tool(request) if next(count) < 2 else AuthenticationError("the key was revoked")

    with pytest.raises(LLMError, match="revoked"):
        run(script, output, COMPLETE, evolve=5)
    kept = len(unfinished_path(output).read_text().splitlines())
    assert kept >= 1
    result = run(new_tool, output, COMPLETE, evolve=5)
    assert (result.calls, result.evolved) == (5 - kept, 5)


def test_near_duplicates_are_refused_and_counted(output: Path) -> None:
    def copy(request: Request) -> Any:
        twin = {"name": COMPLETE[0].name.replace("_", "__"), "description": "Does something else entirely."}
        paraphrase = {"name": f"{COMPLETE[1].name}_now", "description": COMPLETE[1].description}
        return new_tool(request) | (twin if request.key.dialogue % 2 else paraphrase)

    result = run(copy, output, COMPLETE, evolve=2)
    assert result.tools == COMPLETE
    assert result.failed == {"near_duplicate": 6}
    assert (result.missing, result.calls) == (2, 6)


def test_two_new_tools_that_repeat_each_other_are_one(output: Path) -> None:
    def same(request: Request) -> Any:
        return new_tool(request) | {"name": "feed_walrus", "description": "Feeds the walrus."}

    result = run(same, output, COMPLETE, evolve=2)
    assert (result.evolved, result.missing) == (1, 1)
    assert result.failed["near_duplicate"] == result.calls - 1


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Feed The Walrus"},
        {"name": "x"},
        {"description": ""},
        {"returns": []},
        {"parameters": [{"name": "a b", "type": "string", "description": "Some.", "required": True}]},
        {"parameters": [{"name": f"p{n}", "type": "string", "description": "Some."} for n in range(13)]},
    ],
)
def test_implausible_tools_are_refused(output: Path, change: dict[str, Any]) -> None:
    result = run(lambda request: new_tool(request) | change, output, COMPLETE, evolve=1)
    assert (result.evolved, result.missing) == (0, 1)
    assert result.failed == {"invalid_tool": 3}


def test_an_orphan_is_a_result_that_no_parameter_is_like() -> None:
    giver = Tool(
        "scan_badge",
        "Scans a badge.",
        {"type": "object", "properties": {"door": {"type": "string", "description": "Name of the door."}}},
        {
            "type": "object",
            "properties": {
                "door": {"type": "string", "description": "Name of the door."},
                "seismic_reading": {"type": "integer", "description": "Trembling of the earth."},
                "alarms": {"type": "array", "items": {"type": "string"}},
            },
        },
    )
    nursery = Nursery([giver], WordLlamaEncoder(), seed=0)
    assert [field.path for field in nursery.orphans(giver)] == ["seismic_reading"]
    consumer = next(one for one in map(nursery.draw, range(50)) if one.kind == "consumer")
    assert (consumer.parameter, consumer.type) == ("seismic_reading", "integer")


def test_novelty_is_judged_by_name_and_by_meaning() -> None:
    novelty = Novelty(COMPLETE, WordLlamaEncoder())
    first = COMPLETE[0]
    assert novelty.twin_of(replace(first, name=first.name.title(), description="Else.")) == first.name
    assert novelty.twin_of(replace(first, name=f"{first.name}_quickly")) == first.name
    fresh = Tool("shear_alpaca", "Shears an alpaca and weighs the wool.", {"type": "object"})
    assert novelty.twin_of(fresh) is None
    novelty.add(fresh)
    assert novelty.twin_of(fresh) == "shear_alpaca"
    assert Novelty([], WordLlamaEncoder()).twin_of(fresh) is None


def test_prompts_show_the_tool_and_what_is_missing(output: Path) -> None:
    scripted = ScriptedSession(returns)
    run(scripted, output, BARE[:1])
    assert BARE[0].name in scripted.prompts[0]
    assert "returns" in scripted.prompts[0]
    told = re.search(r"<tool>\n(.*)\n</tool>", scripted.prompts[0])
    assert told is not None
    assert json.loads(told[1])["parameters"] == BARE[0].parameters
