"""What the names and texts of tools tell of what they do and give."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.graph.word_encoder import TEXT, make_tool
from toolflow.catalog.tool import Schema, Tool
from toolflow.graph.linking.fields import return_fields
from toolflow.graph.linking.telling import changes, deeds_of, gives_nothing, result_text, variants


def same_deed(*names: str) -> list[tuple[str, str]]:
    deeds = deeds_of([make_tool(name) for name in names])
    matrix = variants(deeds, range(len(names)))
    for row in range(len(names)):  # some producers at a time, it is the same
        assert (variants(deeds, range(row, row + 1)) == matrix[row]).all()
    return [(names[row], names[column]) for row, column in np.argwhere(matrix)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("find_user_by_name", "find_user_by_email"),
        ("Buses_1_FindBus", "Buses_2_FindBus"),
        ("getQuote", "getQuote_v2"),
        ("Image Search", "Image Search (by Image)"),
    ],
)
def test_tools_that_do_the_same_in_two_ways_are_variants(one: str, other: str) -> None:
    assert same_deed(one, other) == [(one, other), (other, one)]


@pytest.mark.parametrize("other", ["find_users_by_name", "get_user", "by_name", "list_user_by_name"])
def test_other_deeds_are_no_variants(other: str) -> None:
    assert not same_deed("find_user_by_name", other)


def test_what_is_found_by_id_may_have_the_id_from_its_variant() -> None:
    assert same_deed("get_user_by_name", "get_user_by_id") == [("get_user_by_id", "get_user_by_name")]


def test_one_word_is_no_deed() -> None:
    assert not same_deed("text_to_image", "text_to_speech")


@pytest.mark.parametrize(
    ("gives", "nothing"),
    [
        ({"success": {"type": "boolean"}, "message": TEXT}, True),
        ({"cancel_status": TEXT}, True),
        ({"is_open": {"type": "boolean"}}, True),
        ({"status": TEXT, "order_number": TEXT}, False),
        (None, False),
    ],
)
def test_a_result_that_only_tells_how_it_went_gives_nothing(gives: Schema | None, nothing: bool) -> None:
    tool = make_tool("act", None, gives)
    assert gives_nothing(tool, return_fields(tool)) is nothing


@pytest.mark.parametrize(
    ("returns", "nothing"), [("boolean", True), ("null", True), ("string", False), ("object", False)]
)
def test_a_result_without_fields_may_be_anything_but_a_truth_value(returns: str, nothing: bool) -> None:
    tool = Tool("act", "", {"type": "object", "properties": {}}, {"type": returns})
    assert gives_nothing(tool, ()) is nothing


def test_a_description_that_begins_with_returns_is_not_of_giving_back() -> None:
    assert not changes(make_tool("timeline", description="Returns the posts of a user."))
    assert changes(make_tool("return_order"))
    assert changes(make_tool("order", description="Cancels an order."))


def test_the_result_is_what_the_description_says_after_its_verb() -> None:
    assert result_text(make_tool("find", description="Returns the seat. Be quick.")) == " the seat"
    assert result_text(make_tool("sit_down", description="Do so.")) == "sit down: Do so."
