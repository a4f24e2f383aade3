from __future__ import annotations

from typing import Any

import pytest

from toolflow.catalog.results import clean_schema, schema_of_example


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (True, {"type": "boolean"}),
        (3, {"type": "integer"}),
        (3.5, {"type": "number"}),
        ("x", {"type": "string"}),
        (None, {}),
        ([], {"type": "array"}),
        ([None], {"type": "array"}),
        ([1, "x"], {"type": "array", "items": {"type": "integer"}}),
        ({}, {"type": "object"}),
        (
            {"a": 1, "b": None, "c": [{"d": "x"}]},
            {
                "type": "object",
                "properties": {
                    "a": {"type": "integer"},
                    "b": {},
                    "c": {
                        "type": "array",
                        "items": {"type": "object", "properties": {"d": {"type": "string"}}},
                    },
                },
            },
        ),
    ],
)
def test_an_example_gives_its_types(value: Any, schema: dict[str, Any]) -> None:
    assert schema_of_example(value) == schema


def test_an_example_is_followed_five_levels_deep() -> None:
    value: Any = 1
    for _ in range(50):
        value = {"x": value}
    schema = schema_of_example(value)
    for _ in range(4):
        schema = schema["properties"]["x"]
    assert schema == {"type": "object"}


def test_an_example_gives_no_value_away() -> None:
    assert "secret" not in str(schema_of_example({"token": "secret", "all": ["secret"]}))


@pytest.mark.parametrize(
    ("schema", "clean"),
    [
        ("", {}),
        (None, {}),
        ({"type": "strin"}, {}),
        ({"type": ["object", "null"]}, {"type": ["object", "null"]}),
        ({"type": ["object", "nil"]}, {}),
        ({"type": []}, {}),
        (
            {"type": "string", "description": " ", "title": "T", "minLength": "x", "default": "secret"},
            {"type": "string"},
        ),
        (
            {"type": "string", "format": "uri", "enum": ["a"]},
            {"type": "string", "format": "uri", "enum": ["a"]},
        ),
        ({"type": "string", "format": 3, "enum": {"a": 1}}, {"type": "string"}),
        ({"type": "string", "description": "d" * 500}, {"type": "string", "description": "d" * 160}),
        (
            {"type": "object", "properties": {"a": {"type": "null"}, "b": 3}, "required": ["b", "gone"]},
            {"type": "object", "properties": {"a": {"type": "null"}, "b": {}}, "required": ["b"]},
        ),
        ({"type": "object", "properties": [], "required": True}, {"type": "object"}),
    ],
)
def test_what_can_be_relied_on_in_a_schema(schema: Any, clean: dict[str, Any]) -> None:
    assert clean_schema(schema) == clean
