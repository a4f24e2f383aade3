from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.catalog.catalogue_files import write_document, write_lines
from toolflow.catalog.formats import FORMATS
from toolflow.catalog.load import load_catalogue
from toolflow.catalog.tool import Tool
from toolflow.errors import CatalogueError

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Weather of a city.", "parameters": SCHEMA}


def recognised(record: dict[str, Any]) -> str | None:
    return next((known.name for known in FORMATS if known.recognises(record)), None)


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({**FUNCTION, "returns": None}, "canonical"),
        ({**FUNCTION, "category": "Weather"}, "canonical"),
        ({"name": "ping", "source_id": "1"}, "canonical"),
        (FUNCTION, "openai"),
        ({"type": "function", "function": FUNCTION}, "openai"),
        ({"type": "function", **FUNCTION, "strict": True}, "openai"),
        ({"tools": []}, "openai"),
        ({"id": "1", "messages": [], "tools": []}, "openai"),
        ({"name": "ping", "description": "Pings."}, "openai"),
        ({"description": "nameless", "parameters": {}}, "openai"),
        ({"id": "simple_0", "function": []}, "bfcl"),
        ({"id": "simple_0", "question": [], "function": [FUNCTION]}, "bfcl"),
        ({"name": "ls", "parameters": {"type": "dict"}, "response": {"type": "dict"}}, "bfcl"),
        ({"tool_name": "Fuel", "api_list": []}, "rapidapi"),
        ({"name": "read", "description": "", "inputSchema": {}}, "mcp"),
        ({"name": "read", "description": "", "input_schema": {}}, "mcp"),
        ({"tools": [{"name": "read", "inputSchema": {}}]}, "mcp"),
        ({"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "read", "inputSchema": {}}]}}, "mcp"),
        ({"name": "server", "tools": {"a": {"tools": []}}}, "mcp"),
        ({"openapi": "3.0.0", "info": {}, "paths": {}}, "openapi"),
        ({"swagger": "2.0", "paths": {}}, "openapi"),
        ({"api_name": "getGolfScore", "parameters": {}}, "seal-tools"),
        ({"Name": "Axolotl", "Documentation": "{}"}, "toolalpaca"),
        ({"name": "Email", "api_list": [{"name": "show", "return_data": []}]}, "t-eval"),
        ({"nodes": [{"id": "Text Search", "input-type": ["text"]}]}, "taskbench"),
        ({"service_name": "Banks_1", "slots": [], "intents": []}, "sgd"),
        ({"name_for_model": "vio", "description_for_model": ""}, "metatool"),
        ({"id": "normal_atom_bool_0", "function": []}, "acebench"),
        ({"nodes": [{"id": 1, "label": "a graph"}]}, None),
        ({"nodes": [{"id": 1, "parameters": {"a": "workflow"}}]}, None),
        ({"openapi": "3.0.0"}, None),
        ({"name": "package", "version": "1.0", "description": ""}, None),
        ({}, None),
    ],
)
def test_formats_are_told_by_content(record: dict[str, Any], name: str | None) -> None:
    assert recognised(record) == name


@pytest.mark.parametrize(
    "document",
    [
        [FUNCTION],
        FUNCTION,
        {"tools": [FUNCTION]},
        [{"type": "function", "function": FUNCTION}],
        {"type": "function", "function": FUNCTION},
        {"tools": [{"type": "function", "function": FUNCTION}]},
    ],
)
def test_openai_shapes(tmp_path: Path, document: Any) -> None:
    expected = Tool("get_weather", "Weather of a city.", SCHEMA, source="weather")
    for path in (
        write_document(tmp_path, document, "weather.json"),
        write_lines(tmp_path, document, name="weather.txt"),
    ):
        report = load_catalogue([path])
        assert report.catalogue.tools == (expected,)
        assert report.formats == {"openai": 1}


def test_openai_functions_may_declare_returns(tmp_path: Path) -> None:
    path = write_document(
        tmp_path, [{"type": "function", "function": {**FUNCTION, "returns": {"type": "string"}}}]
    )
    assert load_catalogue([path]).catalogue["get_weather"].returns == {"type": "string"}


def test_tools_of_dialogues_are_read_once(tmp_path: Path) -> None:
    def dialogue(number: int, description: str) -> dict[str, Any]:
        tools = [{"type": "function", "function": {**FUNCTION, "description": description}}]
        return {"id": f"d{number}", "messages": [], "tools": tools}

    report = load_catalogue(
        [write_lines(tmp_path, dialogue(1, "one"), dialogue(2, "one"), dialogue(3, "three"))]
    )
    assert [(tool.name, tool.source_id) for tool in report.catalogue] == [
        ("get_weather", "d1/get_weather"),
        ("get_weather_2", "d3/get_weather"),
    ]
    assert report.repeats == 1


@pytest.mark.parametrize("tool", ["get_weather", {"type": "function", "function": "get_weather"}, None])
def test_an_openai_tool_that_is_no_object_is_refused_with_its_line(tmp_path: Path, tool: Any) -> None:
    path = write_document(tmp_path, {"tools": [FUNCTION, tool]})
    line = len(path.read_text().splitlines()) - 2 - (3 if isinstance(tool, dict) else 0)
    with pytest.raises(CatalogueError, match=rf":{line}: a tool must be a JSON object"):
        load_catalogue([path])


def test_bfcl_question(tmp_path: Path) -> None:
    native = {
        "type": "dict",
        "properties": {
            "ratio": {"type": "float", "description": "A share.", "optional": True},
            "pair": {"type": "tuple", "items": {"type": "integer"}},
            "anything": {"type": "any"},
            "table": {"type": "HashMap"},
            "text": {"type": "String", "default": ""},
            "type": {"type": "dict", "properties": {"properties": {"type": "ArrayList"}}, "required": []},
            "odd": {"type": "Widget", "required": True},
        },
        "required": ["ratio"],
    }
    function = {"name": "math.mix", "description": "Mixes.", "parameters": native}
    path = write_lines(tmp_path, {"id": "live_multiple_3-2-0", "function": [{"name": "a"}, function]})
    report = load_catalogue([path])
    tool = report.catalogue["math.mix"]
    assert report.formats == {"bfcl": 2}
    assert (tool.category, tool.source, tool.source_id) == ("live_multiple", "bfcl", "live_multiple_3-2-0#1")
    assert tool.returns is None
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "ratio": {
                "type": "number",
                "x-native-type": "float",
                "description": "A share.",
                "optional": True,
            },
            "pair": {"type": "array", "x-native-type": "tuple", "items": {"type": "integer"}},
            "anything": {"x-native-type": "any"},
            "table": {"type": "object", "x-native-type": "HashMap"},
            "text": {"type": "string", "x-native-type": "String", "default": ""},
            "type": {
                "type": "object",
                "properties": {"properties": {"type": "array", "x-native-type": "ArrayList"}},
            },
            "odd": {"x-native-type": "Widget"},
        },
        "required": ["ratio"],
    }


def test_bfcl_lists_a_function_again_for_each_question(tmp_path: Path) -> None:
    other = {**FUNCTION, "description": "Another."}
    path = write_lines(
        tmp_path,
        {"id": "simple_0", "function": [FUNCTION]},
        {"id": "simple_1", "function": [FUNCTION, other]},
        {"id": "simple_2", "function": [other]},
    )
    report = load_catalogue([path])
    assert [(tool.name, tool.source_id) for tool in report.catalogue] == [
        ("get_weather", "simple_0#0"),
        ("get_weather_2", "simple_1#1"),
    ]
    assert (report.repeats, report.renamed) == (2, {"get_weather_2": "get_weather"})


def test_bfcl_multi_turn_functions_declare_their_response(tmp_path: Path) -> None:
    response = {
        "type": "dict",
        "properties": {"ranks": {"type": "array", "items": [{"type": "float"}, {"type": "string"}]}},
    }
    line = {"name": "ls", "description": "Lists.", "parameters": {"type": "dict"}, "response": response}
    (tool,) = load_catalogue([write_lines(tmp_path, line, name="files.json")]).catalogue
    assert (tool.category, tool.source_id) == ("multi_turn/files", "files.ls")
    assert tool.parameters == {"type": "object"}
    assert tool.returns == {
        "type": "object",
        "properties": {
            "ranks": {
                "type": "array",
                "prefixItems": [{"type": "number", "x-native-type": "float"}, {"type": "string"}],
            }
        },
    }


def test_bfcl_trouble_is_refused_alone(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path,
        {
            "id": "simple_0",
            "function": ["odd", {"name": "bad", "parameters": {"type": "dict", "properties": 3}}],
        },
        {"id": "simple_1", "function": "gone"},
        {"id": "simple_2", "function": [FUNCTION]},
    )
    report = load_catalogue([path], skip_invalid=True)
    assert [tool.name for tool in report.catalogue] == ["get_weather"]
    assert [(refusal.place.line, refusal.tool, refusal.field) for refusal in report.skipped] == [
        (1, None, None),
        (1, "bad", "parameters.properties"),
        (2, None, "function"),
    ]


def rapidapi(*endpoints: Any) -> dict[str, Any]:
    return {"tool_name": "INDIAN FUEL", "tool_description": "Prices.", "api_list": list(endpoints)}


def endpoint(name: str = "City wise data", **fields: Any) -> dict[str, Any]:
    lists: dict[str, Any] = {"required_parameters": [], "optional_parameters": []}
    return {"name": name, "description": " Fuel \n", "method": "GET", **lists, **fields}


def test_rapidapi_endpoint(tmp_path: Path) -> None:
    required = [
        {"name": "city", "type": "STRING", "description": "", "default": ""},
        {"name": "day", "type": "DATE (YYYY-MM-DD)", "description": " The day ", "default": "2024-01-01"},
        {"name": "city", "type": "NUMBER", "description": "again", "default": "1"},
    ]
    optional = [
        {"name": "kind", "type": "ENUM", "description": "", "default": ""},
        {"name": "limit", "type": "NUMBER", "description": "", "default": 10},
        {"name": "raw", "type": "BOOLEAN", "description": "", "default": False},
        {"name": "body", "type": "OBJECT", "description": "", "default": '{"a": 1}'},
        {"name": "free", "type": None, "description": "", "default": ""},
        {"name": "new", "type": "PHONE", "description": "", "default": ""},
    ]
    path = write_document(
        tmp_path,
        rapidapi(endpoint(required_parameters=required, optional_parameters=optional)),
        "Energy/indian_fuel.json",
    )
    report = load_catalogue([path])
    (tool,) = report.catalogue
    assert report.formats == {"rapidapi": 1}
    assert tool.name == "city_wise_data_for_indian_fuel"
    assert tool.description == "Fuel"
    assert (tool.category, tool.source) == ("Energy", "rapidapi-toolbench")
    assert tool.source_id == "Energy/indian_fuel/City wise data"
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "day": {
                "type": "string",
                "x-native-type": "DATE (YYYY-MM-DD)",
                "description": "The day",
                "default": "2024-01-01",
                "format": "date",
            },
            "kind": {"type": "string", "x-native-type": "ENUM"},
            "limit": {"type": "number", "default": 10},
            "raw": {"type": "boolean", "default": False},
            "body": {"type": "object", "x-native-type": "OBJECT"},
            "free": {},
            "new": {"x-native-type": "PHONE"},
        },
        "required": ["city", "day"],
    }


@pytest.mark.parametrize(
    ("endpoint_name", "product", "name"),
    [
        ("/v1/Cities (all)", "geo", "v1_cities_all_for_geo"),
        ("id", "geo", "is_id_for_geo"),
        ("3D models", "4eat", "get_3d_models_for_4eat"),
        ("x" * 80, "geo", "x" * 56 + "_for_geo"),
    ],
)
def test_rapidapi_names(tmp_path: Path, endpoint_name: str, product: str, name: str) -> None:
    path = write_document(tmp_path, rapidapi(endpoint(endpoint_name)), f"Data/{product}.json")
    assert [tool.name for tool in load_catalogue([path]).catalogue] == [name]


STUB = {name: {"type": "string"} for name in ("get", "parameters", "errors", "results", "response")}
PRICES = {"type": "object", "properties": {"diesel": {"type": "string"}}}


@pytest.mark.parametrize(
    ("given", "returns"),
    [
        ({"schema": PRICES}, PRICES),
        ({"schema": PRICES, "body": {"other": 1}}, PRICES),
        ({"schema": {"type": "array", "items": [PRICES]}}, {"type": "array", "items": PRICES}),
        ({"schema": {"type": "object", "properties": STUB}}, None),
        ({"schema": {"type": "object", "properties": STUB}, "body": {"diesel": "1"}}, PRICES),
        ({"schema": {"type": "string"}, "body": {"diesel": "1"}}, PRICES),
        ({"schema": {"type": "array", "items": {"type": "string"}}}, None),
        ({"schema": {"diesel": {"type": "string"}}}, None),
        ({"schema": "", "body": '{\n "diesel": "1"}'}, PRICES),
        ({"schema": "", "body": '{"diesel": '}, None),
        ({"body": "", "test_endpoint": {"diesel": "1"}}, PRICES),
        ({"body": {"key1": "value", "key2": "value"}}, None),
        ({"body": ["a", "b"]}, None),
        ({"body": []}, None),
        ({}, None),
    ],
)
def test_rapidapi_returns(tmp_path: Path, given: dict[str, Any], returns: Any) -> None:
    (tool,) = load_catalogue([write_document(tmp_path, rapidapi(endpoint(**given)))]).catalogue
    assert tool.returns == returns


def test_rapidapi_trouble_is_refused_alone(tmp_path: Path) -> None:
    product = rapidapi(
        "odd",
        endpoint(name=""),
        endpoint("listless", required_parameters="none"),
        endpoint("nameless", optional_parameters=[{"type": "STRING"}]),
        endpoint("fine"),
    )
    report = load_catalogue([write_document(tmp_path, product)], skip_invalid=True)
    assert [tool.name for tool in report.catalogue] == ["fine_for_tools"]
    assert [(refusal.tool, refusal.field) for refusal in report.skipped] == [
        (None, "api_list"),
        (None, "name"),
        ("listless", "required_parameters"),
        ("nameless", "optional_parameters"),
    ]
    lines = [refusal.place.line for refusal in report.skipped]
    assert lines == sorted(set(lines))
    assert lines[0] == 5
