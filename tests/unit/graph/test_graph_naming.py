from __future__ import annotations

import pytest

from toolflow.graph.linking.fields import Field
from toolflow.graph.linking.naming import alias, measure_specificity, own_names, rarity, subjects
from toolflow.graph.linking.vocabulary import BOILERPLATE, LOCAL, NAMELESS, PLAIN, WRAPPERS
from toolflow.graph.linking.words import normal_words


def field(name: str, parent: str = "") -> Field:
    return Field(name, normal_words(name), normal_words(parent), "", 1, required=False)


@pytest.mark.parametrize(
    ("name", "parent", "names"),
    [
        ("flight_id", "booking", ["flight id"]),
        ("id", "", ["id"]),
        ("id", "flights", ["flight id"]),
        ("id", "results", ["id"]),
        ("id", "user_id", ["user id"]),
        ("email", "customer", ["customer email", "email"]),
        ("city", "venue", ["city"]),
        ("status", "order", ["order status"]),
    ],
)
def test_a_bare_name_is_read_with_what_it_stands_in(name: str, parent: str, names: list[str]) -> None:
    assert [" ".join(words) for words in own_names(field(name, parent))] == names


@pytest.mark.parametrize(
    ("tool", "about"),
    [
        ("search_hotels", ["hotel"]),
        ("search_hotels_by_city", ["hotel"]),
        ("getMovieReviews", ["review", "movie"]),
        ("get", []),
    ],
)
def test_a_tool_is_about_the_nouns_of_its_name(tool: str, about: list[str]) -> None:
    assert list(subjects(tool)) == about


def test_a_bare_name_means_what_its_tool_is_about_where_the_catalogue_knows_that_name() -> None:
    known = frozenset({("movie", "id"), ("id",)})
    assert alias(("id",), ["review", "movie"], known) == ("movie", "id")
    assert alias(("id",), ["hotel"], known) is None
    assert alias(("movie", "id"), ["movie"], known) is None
    assert alias(("airline",), ["movie"], known | {("movie", "airline")}) is None


def test_rarity_falls_from_one_to_nearly_nothing() -> None:
    values = [rarity(count, 1_000) for count in (1, 2, 10, 100, 1_000)]
    assert values[0] == 1
    assert values == sorted(values, reverse=True)
    assert 0 < values[-1] < 0.01
    assert rarity(1, 1) == 1
    assert rarity(2, 2) > 0.7


def test_a_frequent_name_tells_less_than_a_rare_one() -> None:
    tools = [{("city",), ("flight", "number")} if index == 0 else {("city",)} for index in range(50)]
    names = measure_specificity(tools).names
    assert names[("city",)] < names[("flight", "number")]


def test_ids_and_nameless_names_tell_less_than_other_names_as_frequent() -> None:
    tools = [{("hotel", "id"), ("hotel", "stars"), ("id",), ("name",), ("cuisine",)}] * 5 + [set()] * 95
    names = measure_specificity([frozenset(tool) for tool in tools]).names
    assert names[("hotel", "id")] < names[("hotel", "stars")]
    assert names[("id",)] < names[("name",)] < names[("cuisine",)]


def test_the_words_of_the_lists_are_normal_words() -> None:
    """A list entry that no field's normal words can equal would be dead."""
    singles = NAMELESS | PLAIN | LOCAL | WRAPPERS
    dead = sorted(word for word in singles if normal_words(word) != (word,))
    dead += sorted(" ".join(name) for name in BOILERPLATE if normal_words("_".join(name)) != name)
    assert dead == []
