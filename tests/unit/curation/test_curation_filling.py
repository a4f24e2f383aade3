"""Which gaps a tool has, what may fill them, and what an earlier filling is worth."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from toolflow.agents.voice import UnusableReply
from toolflow.catalog.schema import compile_schema
from toolflow.catalog.tool import Tool
from toolflow.curation.filling import (
    FILLS,
    Gaps,
    fill_in,
    filled_before,
    filling_format,
    gaps_of,
    read_filling,
)

BARE = Tool(
    "get_pet",
    "",
    {
        "type": "object",
        "properties": {
            "pet_id": {"type": "integer"},
            "verbose": {"type": "boolean", "description": "Tell more."},
            "anything": True,
        },
        "required": ["pet_id"],
    },
)
GAPS = Gaps(description=True, parameters=("pet_id",), returns=True)
REPLY: dict[str, Any] = {
    "description": "Gives one pet by its id.",
    "parameters": {"pet_id": "Id of the pet."},
    "returns": [
        {"name": "pet_id", "type": "integer", "description": "Its id."},
        {"name": "tags", "type": "array", "description": "Its tags."},
        {
            "name": "visits",
            "type": "array",
            "description": "Visits to the vet.",
            "fields": [{"name": "visit_date", "type": "string", "description": "ISO date."}],
        },
        {
            "name": "owner",
            "type": "object",
            "description": "Who owns it.",
            "fields": [{"name": "owner_id", "type": "string", "description": "Id of the owner."}],
        },
    ],
}


def filled(reply: dict[str, Any] = REPLY) -> Tool:
    return fill_in(BARE, read_filling(json.dumps(reply), BARE, GAPS), "model")


def test_gaps_are_what_is_missing_of_what_is_wanted() -> None:
    assert gaps_of(BARE, FILLS) == GAPS
    assert gaps_of(BARE, ["returns"]) == Gaps(description=False, parameters=(), returns=True)
    assert gaps_of(replace(BARE, returns={}), ["returns"]).returns
    assert not gaps_of(BARE, [])
    assert not gaps_of(filled(), FILLS)


def test_a_filling_fills_the_gaps_and_marks_them() -> None:
    tool = filled()
    assert tool.description == REPLY["description"]
    assert tool.properties == {
        "pet_id": {"type": "integer", "description": "Id of the pet."},
        "verbose": BARE.properties["verbose"],
        "anything": True,
    }
    assert tool.provenance == {"description": "model", "parameters.pet_id": "model", "returns": "model"}
    assert BARE.properties["pet_id"] == {"type": "integer"}


def test_invented_returns_are_a_schema_that_fits_such_results() -> None:
    tool = filled()
    result = {
        "pet_id": 7,
        "tags": ["old"],
        "visits": [{"visit_date": "2024-01-01"}],
        "owner": {"owner_id": "o1"},
    }
    assert tool.result_problems(result) == []
    assert tool.result_problems(result | {"owner": {}})
    assert tool.result_problems(result | {"tags": [1]})


def test_the_format_asks_for_the_gaps_alone() -> None:
    everything = compile_schema(filling_format(GAPS).schema)
    assert everything.problems(REPLY) == []
    only_returns = filling_format(Gaps(description=False, parameters=(), returns=True)).schema
    assert list(only_returns["properties"]) == ["returns"]


def changed(**changes: Any) -> dict[str, Any]:
    return REPLY | changes


def field(**changes: Any) -> dict[str, Any]:
    return {"name": "pet_id", "type": "integer", "description": "Its id."} | changes


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ({}, "description: is missing.*parameters.pet_id: is missing.*returns: is missing"),
        (changed(description="  "), "description"),
        (changed(description="x" * 401), "description"),
        (changed(description="Get pet"), "only repeats the tool's name"),
        (changed(description="Gives \x1b[31m one pet."), "control characters"),
        (changed(returns=[]), "returns"),
        (changed(returns=[field(name=f"f{number}") for number in range(13)]), "returns"),
        (changed(returns=[field(name="pet id")]), "returns.0.name"),
        (changed(returns=[field(name="")]), "returns.0.name"),
        (changed(returns=[field(type="date")]), "returns.0.type"),
        (changed(returns=[field(type="object")]), "must tell its fields"),
        (changed(returns=[field(fields=[field()])]), "it has no fields"),
        (changed(returns={"type": "object"}), "returns"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(reply: dict[str, Any], words: str) -> None:
    with pytest.raises(UnusableReply, match=words):
        read_filling(json.dumps(reply), BARE, GAPS)


def test_a_field_that_is_listed_again_counts_once() -> None:
    twice = [field(), field(description="Again."), field(name="petId"), field(name="age")]
    tool = filled(changed(returns=twice))
    assert tool.returns is not None
    assert {name: one["description"] for name, one in tool.returns["properties"].items()} == {
        "pet_id": "Its id.",
        "age": "Its id.",
    }
    assert tool.returns["required"] == ["pet_id", "age"]


def test_what_was_not_asked_for_is_left_out() -> None:
    gaps = Gaps(description=False, parameters=(), returns=True)
    tool = fill_in(BARE, read_filling(json.dumps(REPLY), BARE, gaps), "model")
    assert (tool.description, tool.properties) == (BARE.description, BARE.properties)
    assert tool.provenance == {"returns": "model"}


def test_an_earlier_filling_is_taken_over() -> None:
    assert filled_before(BARE, filled(), ["model"]) == filled()
    half = fill_in(BARE, read_filling(json.dumps(REPLY), BARE, replace(GAPS, returns=False)), "model")
    assert filled_before(BARE, half, ["model"]) == half


@pytest.mark.parametrize(
    "now",
    [
        replace(BARE, description="What the catalogue says now."),
        replace(BARE, parameters={"type": "object", "properties": {"pet_id": {"type": "string"}}}),
        replace(BARE, returns={"type": "string"}),
        replace(BARE, category="pets"),
    ],
)
def test_an_earlier_filling_of_what_has_changed_is_not(now: Tool) -> None:
    assert filled_before(now, filled(), ["model"]) is None


def test_an_earlier_filling_by_somebody_else_is_not() -> None:
    assert filled_before(BARE, filled(), ["rehearsal"]) is None
    assert filled_before(BARE, BARE, ["model"]) is None
