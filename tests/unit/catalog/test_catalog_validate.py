from __future__ import annotations

from typing import Any

import pytest

from toolflow.catalog.entry import EntryError
from toolflow.catalog.validate import tool_from

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def test_all_fields_are_kept() -> None:
    fields = {
        "name": "get_weather",
        "description": "Weather of a city.",
        "category": "Weather",
        "parameters": CITY,
        "returns": {"type": "object"},
        "source": "mine",
        "source_id": "1",
    }
    assert tool_from(fields).to_canonical() == fields


@pytest.mark.parametrize("parameters", [None, {}])
@pytest.mark.parametrize("description", [None, ""])
def test_what_may_be_missing(parameters: Any, description: Any) -> None:
    tool = tool_from({"name": "ping", "description": description, "parameters": parameters})
    assert tool == tool_from({"name": "ping"})
    assert tool.description == ""
    assert tool.parameters == {"type": "object", "properties": {}}
    assert tool.returns is None


def test_parameters_without_a_type_are_an_object_if_they_have_properties() -> None:
    tool = tool_from({"name": "a", "parameters": {"properties": {"x": {}}}})
    assert tool.parameters == {"type": "object", "properties": {"x": {}}}


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"name": None}, "name", "non-empty string"),
        ({"name": "  "}, "name", "non-empty string"),
        ({"name": 5}, "name", "non-empty string"),
        ({"description": ["x"]}, "description", "must be a string"),
        ({"category": 3}, "category", "must be a string"),
        ({"source_id": 3}, "source_id", "must be a string"),
        ({"parameters": []}, "parameters", "JSON Schema"),
        ({"parameters": "none"}, "parameters", "JSON Schema"),
        ({"parameters": {"description": "nothing else"}}, "parameters.type", "must be 'object'"),
        ({"parameters": {"type": "string"}}, "parameters.type", "must be 'object'"),
        ({"parameters": {"type": "object", "properties": []}}, "parameters.properties", "object"),
        (
            {"parameters": {"type": "object", "properties": {"city": {"type": "strin"}}}},
            "parameters.properties.city.type",
            "not a JSON Schema type",
        ),
        (
            {"parameters": {"type": "object", "properties": {"city": "text"}}},
            "parameters.properties.city",
            "not a valid JSON Schema",
        ),
        (
            {"parameters": {"type": "object", "properties": {"city": {"pattern": "["}}}},
            "parameters.properties.city.pattern",
            "regex",
        ),
        ({"parameters": {**CITY, "required": ["town"]}}, "parameters.required", "'town' is required"),
        ({"parameters": {"type": "object", "required": ["town"]}}, "parameters.required", "'town'"),
        ({"parameters": {**CITY, "required": "city"}}, "parameters.required", "not a valid JSON Schema"),
        ({"returns": "a number"}, "returns", "JSON Schema or null"),
        ({"returns": {"type": "float"}}, "returns.type", "not a JSON Schema type"),
        ({"returns": {"$ref": "#/$defs/gone"}}, "returns", "gone"),
        ({"returns": {"$ref": "http://127.0.0.1:1/schema"}}, "returns", "127.0.0.1"),
        ({"returns": {"$ref": "other.json"}}, "returns", "other.json"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(EntryError, match=message) as caught:
        tool_from({"name": "get_weather", "parameters": CITY} | change)
    assert caught.value.field == field
    assert caught.value.tool == (None if field == "name" else "get_weather")


@pytest.mark.parametrize("fields", [None, [], "get_weather", 3])
def test_a_tool_is_an_object(fields: Any) -> None:
    with pytest.raises(EntryError, match="must be a JSON object"):
        tool_from(fields)


def test_a_cyclic_reference_is_fine() -> None:
    tree = {
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/node"}},
        "required": ["root"],
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
            }
        },
    }
    tool = tool_from({"name": "plant", "parameters": tree, "returns": tree})
    assert tool.argument_problems({"root": {"children": [{"children": []}]}}) == []
    assert tool.argument_problems({"root": {"children": [{"children": 3}]}}) != []
    assert tool.result_problems({"root": {}}) == []


def test_references_that_only_lead_to_each_other_end() -> None:
    circle = {
        "type": "object",
        "$ref": "#/$defs/a",
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
    }
    tool = tool_from({"name": "circle", "parameters": circle, "returns": {"$ref": "#"}})
    assert tool.argument_problems({}) == []
    assert tool.result_problems({}) == []
