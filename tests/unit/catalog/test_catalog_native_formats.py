"""The native shapes of published catalogues, in small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.catalog.catalogue_files import write_document, write_lines
from toolflow.catalog.load import load_catalogue
from toolflow.catalog.tool import Tool
from toolflow.errors import CatalogueError

TEXT = {"type": "string", "x-native-type": "str"}


def the_tool(folder: Path, value: Any, name: str = "tools.json") -> Tool:
    (tool,) = load_catalogue([write_document(folder, value, name)]).catalogue.tools
    return tool


def obj(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties} | ({"required": list(required)} if required else {})


def test_seal_tools(tmp_path: Path) -> None:
    row = {
        "api_name": "getGolfScore",
        "api_description": "Score of a game.",
        "field": "Sports/Golf",
        "parameters": {"player": {"type": "str", "description": "Who."}, "hole": {"type": "int"}},
        "required": ["player"],
        "responses": {"score": {"type": "float"}},
    }
    assert the_tool(tmp_path, row) == Tool(
        "getGolfScore",
        "Score of a game.",
        obj(
            {"player": TEXT | {"description": "Who."}, "hole": {"type": "integer", "x-native-type": "int"}},
            "player",
        ),
        obj({"score": {"type": "number", "x-native-type": "float"}}),
        category="Sports/Golf",
        source="seal-tools",
        source_id="getGolfScore",
    )


def test_seal_tools_lines_are_refused_alone(tmp_path: Path) -> None:
    good = {"api_name": "good", "parameters": {}, "responses": {}}
    path = write_lines(tmp_path, good, {"api_name": "bad", "parameters": ["city"]})
    report = load_catalogue([path], skip_invalid=True)
    assert [tool.name for tool in report.catalogue] == ["good"]
    assert (report.skipped[0].tool, report.skipped[0].field) == ("bad", "parameters")
    assert report.catalogue["good"].returns is None


def test_t_eval(tmp_path: Path) -> None:
    service = {
        "name": "Email",
        "tool_description": "Mail.",
        "api_list": [
            {
                "name": "show",
                "description": "Shows mail.",
                "required_parameters": [{"name": "box", "type": "STRING", "description": "Which."}],
                "optional_parameters": [{"name": "most", "type": "FLOAT"}],
                "return_data": [{"name": "emails", "description": "The mail."}],
            }
        ],
    }
    assert the_tool(tmp_path, [service]) == Tool(
        "Email.show",
        "Shows mail.",
        obj({"box": {"type": "string", "description": "Which."}, "most": {"type": "number"}}, "box"),
        obj({"emails": {"description": "The mail."}}),
        category="Email",
        source="t-eval",
        source_id="Email/show",
    )


def test_taskbench_nodes_with_parameters(tmp_path: Path) -> None:
    node = {"id": "book", "desc": "Books.", "parameters": [{"name": "day", "type": "date", "desc": "When."}]}
    day = {"type": "string", "x-native-type": "date", "description": "When."}
    assert the_tool(tmp_path, {"nodes": [node]}, "dailylife.tool_desc.json") == Tool(
        "book",
        "Books.",
        obj({"day": day}, "day"),
        category="dailylife",
        source="taskbench",
        source_id="dailylife/book",
    )


def test_taskbench_nodes_with_kinds(tmp_path: Path) -> None:
    node = {"id": "Stitch", "desc": "Joins.", "input-type": ["image", "image"], "output-type": ["image"]}
    tool = the_tool(tmp_path, {"nodes": [node], "links": []})
    assert tool.required == ["image", "image_2"]
    assert tool.properties["image_2"] == {
        "type": "string",
        "x-native-type": "image",
        "description": "input of type image",
    }
    assert tool.returns == obj({"image": {"type": "string", "x-native-type": "image"}})


def test_schema_guided_dialogue(tmp_path: Path) -> None:
    service = {
        "service_name": "Hotels_2",
        "description": "Hotels.",
        "slots": [
            {"name": "city", "description": "Where.", "is_categorical": False, "possible_values": ["Oslo"]},
            {"name": "stars", "description": "", "is_categorical": True, "possible_values": ["1", "2"]},
            {"name": "wifi", "description": "", "is_categorical": True, "possible_values": ["True", "False"]},
            {"name": "bed", "description": "", "is_categorical": True, "possible_values": ["twin", "king"]},
        ],
        "intents": [
            {
                "name": "Search",
                "description": "Finds.",
                "required_slots": ["city"],
                "optional_slots": {"stars": "2", "wifi": "False", "bed": "dontcare"},
                "result_slots": ["city", "bed"],
            }
        ],
    }
    tool = the_tool(tmp_path, [service])
    assert (tool.name, tool.category, tool.source_id) == ("Hotels_2_Search", "Hotels", "Hotels_2/Search")
    city = {"type": "string", "description": "Where."}
    bed = {"type": "string", "description": "", "enum": ["twin", "king"]}
    assert tool.parameters == obj(
        {
            "city": city,
            "stars": {"type": "integer", "description": "", "enum": [1, 2], "default": 2},
            "wifi": {"type": "boolean", "description": "", "default": False},
            "bed": bed,
        },
        "city",
    )
    assert tool.returns == obj({"city": city, "bed": bed})


def test_plugin_manifests(tmp_path: Path) -> None:
    manifest = {"name_for_model": "vio", "name_for_human": "Vio", "description_for_model": "Hotels."}
    assert the_tool(tmp_path, [manifest]) == Tool(
        "vio", "Hotels.", obj({}), source="metatool", source_id="vio"
    )


def test_acebench_lists_a_function_again_where_it_is_used(tmp_path: Path) -> None:
    function = {
        "name": "sort",
        "description": "Sorts.",
        "arguments": {"type": "dict", "properties": {"items": {"type": "list"}}, "required": []},
        "results": {"type": "object", "properties": {"items": {"type": "array"}}},
    }
    rows = [{"id": f"normal_atom_list_{index}", "question": "", "function": [function]} for index in range(2)]
    report = load_catalogue([write_lines(tmp_path, *rows, name="data_zh.jsonl")])
    assert report.repeats == 1
    assert report.catalogue.tools == (
        Tool(
            "sort",
            "Sorts.",
            {
                "type": "object",
                "x-native-type": "dict",
                "properties": {"items": {"type": "array", "x-native-type": "list"}},
            },
            {"type": "object", "properties": {"items": {"type": "array"}}},
            category="normal_atom_list",
            source="acebench-zh",
            source_id="normal_atom_list_0/sort",
        ),
    )


def test_toolalpaca_holds_openapi_in_a_string(tmp_path: Path) -> None:
    documentation = {"openapi": "3.0.0", "paths": {"/random": {"get": {"operationId": "random"}}}}
    service = {"Name": "Axolotl", "Category": "Animals", "Documentation": json.dumps(documentation)}
    tool = the_tool(tmp_path, [service])
    assert (tool.name, tool.category, tool.source) == ("random", "Animals", "toolalpaca")
    assert tool.source_id == "Axolotl#GET /random"


def test_files_of_a_folder_list_shared_tools_again(tmp_path: Path) -> None:
    def function(description: str) -> dict[str, Any]:
        return {"name": "finish", "description": description, "parameters": obj({})}

    write_document(tmp_path, [function("Ends.")], "Advice/slip.json")
    write_document(tmp_path, [function("Ends.")], "Animal/cat.json")
    write_document(tmp_path, [function("Ends it all.")], "Art/museum.json")
    report = load_catalogue([tmp_path])
    assert report.repeats == 1
    assert [(tool.name, tool.source_id) for tool in report.catalogue] == [
        ("finish", "Advice/slip/finish"),
        ("finish_2", "Art/museum/finish"),
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"Name": "A", "Documentation": "{"}, "field Documentation: not valid JSON"),
        ({"Name": "A", "Documentation": None}, "must be an OpenAPI document"),
        ({"nodes": [{"id": "a", "input-type": "text"}]}, "field input-type: must be a list of words"),
        ({"nodes": [{"id": "a", "parameters": [{}]}]}, "tool 'a', field parameters"),
        (
            {"name": "S", "api_list": [{"name": "a", "return_data": {"b": 1}}]},
            "tool 'S.a', field return_data",
        ),
        (
            {"service_name": "S", "slots": [], "intents": [{"name": "A", "required_slots": ["city"]}]},
            "names the slot 'city'",
        ),
        (
            {"service_name": "S", "slots": [], "intents": [{"name": "A", "result_slots": True}]},
            "tool 'S_A', field result_slots: must name slots",
        ),
        ({"name_for_model": "", "description_for_model": ""}, "must be a non-empty string"),
        ({"id": "normal_atom_bool_0", "function": ["sort"]}, "a function must be a JSON object"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        load_catalogue([write_document(tmp_path, value)])
    assert message in caught.value.message
