from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolflow.catalog.schema import compile_schema
from toolflow.llm.providers.rehearsal.kinds import kind_of
from toolflow.llm.providers.rehearsal.patterns import from_pattern
from toolflow.llm.providers.rehearsal.scene import Scene
from toolflow.llm.providers.rehearsal.schema_values import write_value
from toolflow.llm.providers.rehearsal.schemas import examples_in, like
from toolflow.llm.providers.rehearsal.site import Site


def scene(seed: int = 0) -> Scene:
    return Scene(random.Random(seed))


NAMES = st.sampled_from(("city", "price", "id", "start_time", "email", "count", "note", "status", "x"))
STRINGS = st.one_of(
    st.just({"type": "string"}),
    st.builds(
        lambda low, extra: {"type": "string", "minLength": low, "maxLength": low + extra},
        st.integers(0, 12),
        st.integers(0, 9),
    ),
    st.sampled_from(
        [
            {"type": "string", "pattern": text}
            for text in ("^[A-Z]{3}$", r"^\d{2,4}-[a-f]+$", "^(ab|cd)?x*$", "^[^0-9]{2}")
        ]
    ),
    st.sampled_from(
        [{"type": "string", "format": name} for name in ("date", "date-time", "email", "uri", "uuid", "time")]
    ),
    st.builds(
        lambda options: {"enum": options},
        st.lists(st.text(max_size=5) | st.integers(), min_size=1, max_size=4),
    ),
)
NUMBERS = st.one_of(
    st.builds(
        lambda kind, low, span: {"type": kind, "minimum": low, "maximum": low + span},
        st.sampled_from(("integer", "number")),
        st.integers(-500, 500),
        st.integers(0, 50),
    ),
    st.builds(
        lambda low, step: {"type": "integer", "minimum": low, "multipleOf": step},
        st.integers(-50, 500),
        st.integers(1, 12),
    ),
    st.builds(lambda low: {"type": "number", "exclusiveMinimum": low}, st.integers(-50, 50)),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {}, {"const": 7}]),
)


def containers(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    objects = st.dictionaries(NAMES, inner, max_size=4).flatmap(
        lambda properties: st.lists(st.sampled_from(sorted(properties) or [""]), unique=True).map(
            lambda required: {
                "type": "object",
                "properties": properties,
                "required": [name for name in required if name in properties],
            }
        )
    )
    arrays = st.builds(
        lambda items, low, extra: {"type": "array", "items": items, "minItems": low, "maxItems": low + extra},
        inner,
        st.integers(0, 3),
        st.integers(0, 3),
    )
    choices = st.builds(
        lambda word, options: {word: options},
        st.sampled_from(("anyOf", "allOf")),
        st.lists(inner, min_size=1, max_size=1),
    )
    return st.one_of(objects, arrays, choices)


@settings(max_examples=400, deadline=None)
@given(st.recursive(STRINGS | NUMBERS, containers, max_leaves=8), st.integers(0, 1000))
def test_what_is_written_is_valid(schema: dict[str, Any], seed: int) -> None:
    value = write_value(schema, Site(schema, scene(seed), name="item"))
    assert compile_schema(schema).problems(value) == []


def test_a_cyclic_schema_ends() -> None:
    schema: dict[str, Any] = {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                },
                "required": ["name"],
            }
        },
    }
    for seed in range(20):
        value = write_value(schema, Site(schema, scene(seed)))
        assert compile_schema(schema).problems(value) == []


def test_a_place_agrees_with_itself() -> None:
    schema = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("city", "country", "country_code", "timezone")},
        "required": ["city", "country", "country_code", "timezone"],
    }
    drawn = scene(3)
    drawn.settle("city", "Tokyo")
    value = write_value(schema, Site(schema, drawn))
    assert value == {"city": "Tokyo", "country": "Japan", "country_code": "JP", "timezone": "Asia/Tokyo"}


@pytest.mark.parametrize(
    ("name", "holder", "kind"),
    [
        ("departure_city", "", "city_from"),
        ("destinationAirport", "", "airport_to"),
        ("name", "hotels", "hotel"),
        ("title", "books", "book"),
        ("checkOutDate", "", "date_end"),
        ("guest_count", "", "count"),
        ("max_price_per_night", "", "max_price"),
        ("price_per_night", "", "night_price"),
        ("recipient_email", "", "email"),
        ("booking_id", "", "id"),
        ("zzz", "", "text"),
    ],
)
def test_kinds_are_told_from_names(name: str, holder: str, kind: str) -> None:
    assert kind_of(name, holder) == kind


def test_examples_in_prose() -> None:
    assert examples_in("Identifier of a flight, such as FL48213.") == ("FL48213",)
    assert examples_in("The method (e.g., spectroscopy, microscopy)") == ("spectroscopy", "microscopy")
    assert examples_in("The amount of money") == ()


def test_codes_keep_the_shape_of_their_example() -> None:
    assert re.fullmatch(r"HT[1-9]\d{3}-DBL", like("HT5520-DBL", random.Random(1)))


@given(st.integers(0, 500))
def test_text_for_patterns(seed: int) -> None:
    for pattern in (
        r"^[A-Z]{2}\d{3,5}$",
        "^(yes|no)$",
        r"^\+?[0-9]{6,}$",
        "^([01][0-9]|2[0-3]):[0-5][0-9]$",
        "a.c",
    ):
        text = from_pattern(pattern, random.Random(seed))
        assert text is not None
        assert re.search(pattern, text)


def test_a_pattern_that_is_not_understood_gives_nothing() -> None:
    assert from_pattern("(?=x)y", random.Random(0)) is None
    assert from_pattern("[unclosed", random.Random(0)) is None


def test_the_fewest_of_an_object_that_requires_nothing_are_all() -> None:
    place = {"type": "object", "properties": {"city": {"type": "string"}, "stars": {"type": "integer"}}}
    some = place | {"required": ["stars"]}
    schema = {"type": "object", "properties": {"place": place, "some": some}, "required": ["place", "some"]}
    value = write_value(schema, Site(schema, scene(), fewest=True))
    assert [*value["place"]] == ["city", "stars"]
    assert [*value["some"]] == ["stars"]
