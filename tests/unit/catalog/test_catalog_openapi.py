from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.catalog.catalogue_files import write_document
from toolflow.catalog.load import LoadReport, load_catalogue
from toolflow.catalog.tool import Tool
from toolflow.errors import CatalogueError

NODE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "next": {"$ref": "#/components/schemas/Node"}},
}


def document(paths: Any, **parts: Any) -> dict[str, Any]:
    return {"openapi": "3.0.3", "info": {"title": "Pets", "version": "1"}, "paths": paths} | parts


def load(folder: Path, value: Any) -> LoadReport:
    return load_catalogue([write_document(folder, value, "pets.json")])


def the_tool(folder: Path, operation: Any, *, path: str = "/pets", method: str = "get", **parts: Any) -> Tool:
    return load(folder, document({path: {method: operation}}, **parts)).catalogue.tools[0]


def returned(schema: Any) -> dict[str, Any]:
    return {"responses": {"200": {"description": "", "content": {"application/json": {"schema": schema}}}}}


def posted(schema: Any, kind: str = "application/json", **parts: Any) -> dict[str, Any]:
    return {"requestBody": {"content": {kind: {"schema": schema}}} | parts, "responses": {}}


def test_an_operation_becomes_a_tool(tmp_path: Path) -> None:
    shared = [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}},
        {"name": "lang", "in": "query", "schema": {"type": "string"}},
    ]
    operation = {
        "operationId": "updatePet",
        "summary": "Update a pet.",
        "description": "Only <b>given</b> fields&nbsp;change.",
        "parameters": [
            {"name": "lang", "in": "query", "description": "Of names.", "schema": {"type": "string"}},
            {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
            {"name": "Authorization", "in": "header", "required": True, "schema": {"type": "string"}},
            {"name": "session", "in": "cookie", "schema": {"type": "string"}},
        ],
        **posted(
            {
                "type": "object",
                "required": ["name", "id"],
                "properties": {
                    "name": {"type": "string", "example": "Rex"},
                    "id": {"type": "integer"},
                    "created": {"type": "string", "readOnly": True},
                },
            }
        ),
        **returned({"type": "object", "properties": {"id": {"type": "integer", "format": "int64"}}}),
    }
    report = load(tmp_path, document({"/pets/{id}": {"parameters": shared, "patch": operation}}))
    assert report.catalogue.tools == (
        Tool(
            name="updatePet",
            description="Update a pet. Only given fields change.",
            parameters={
                "type": "object",
                "properties": {
                    "id": {"type": "integer", "x-in": "path"},
                    "lang": {"type": "string", "description": "Of names.", "x-in": "query"},
                    "X-Trace": {"type": "string", "x-in": "header"},
                    "name": {"type": "string", "x-in": "body"},
                },
                "required": ["id", "name"],
            },
            returns={"type": "object", "properties": {"id": {"type": "integer", "format": "int64"}}},
            category="Pets",
            source="openapi",
            source_id="Pets#PATCH /pets/{id}",
        ),
    )
    assert report.formats == {"openapi": 1}


def test_swagger_2(tmp_path: Path) -> None:
    swagger = {
        "swagger": "2.0",
        "paths": {
            "/pets": {
                "get": {
                    "parameters": [
                        {"name": "tags", "in": "query", "type": "array", "items": {"type": "string"}},
                        {"$ref": "#/parameters/limit"},
                    ],
                    "responses": {
                        "default": {"schema": {"type": "array", "items": {"$ref": "#/definitions/Pet"}}}
                    },
                },
                "post": {
                    "operationId": "addPet",
                    "parameters": [{"name": "pet", "in": "body", "schema": {"$ref": "#/definitions/Pet"}}],
                    "responses": {"201": {"examples": {"application/json": {"id": 7}}}},
                },
            },
            "/photo": {
                "post": {
                    "operationId": "addPhoto",
                    "parameters": [{"name": "photo", "in": "formData", "type": "file", "required": True}],
                }
            },
        },
        "parameters": {"limit": {"name": "limit", "in": "query", "type": "integer", "maximum": 50}},
        "definitions": {"Pet": {"type": "object", "properties": {"name": {"type": "string"}}}},
    }
    tools = load(tmp_path, swagger).catalogue
    pet = {"type": "object", "properties": {"name": {"type": "string"}}}
    assert tools["get_pets"].parameters["properties"] == {
        "tags": {"type": "array", "items": {"type": "string"}, "x-in": "query"},
        "limit": {"type": "integer", "maximum": 50, "x-in": "query"},
    }
    assert tools["get_pets"].returns == {"type": "array", "items": pet}
    assert tools["addPet"].properties == {"name": {"type": "string", "x-in": "body"}}
    assert tools["addPet"].returns == {"type": "object", "properties": {"id": {"type": "integer"}}}
    assert tools["addPhoto"].parameters == {
        "type": "object",
        "properties": {"photo": {"type": "string", "format": "binary", "x-in": "body"}},
        "required": ["photo"],
    }


def test_a_cycle_becomes_an_open_object(tmp_path: Path) -> None:
    tool = the_tool(
        tmp_path,
        returned({"$ref": "#/components/schemas/Node"}),
        components={"schemas": {"Node": NODE}},
    )
    assert tool.returns == {
        "type": "object",
        "properties": {"name": {"type": "string"}, "next": {"type": "object"}},
    }


@pytest.mark.parametrize(
    "schema", [{"$ref": "#/components/schemas/A"}, {"allOf": [{"$ref": "#/components/schemas/A"}]}]
)
def test_references_that_only_lead_to_each_other_end(tmp_path: Path, schema: Any) -> None:
    loop = {
        "A": {"allOf": [{"$ref": "#/components/schemas/B"}]},
        "B": {"allOf": [{"$ref": "#/components/schemas/A"}]},
    }
    assert the_tool(tmp_path, returned(schema), components={"schemas": loop}).returns is None


def test_a_pure_loop_of_references_is_refused(tmp_path: Path) -> None:
    loop = {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}
    with pytest.raises(CatalogueError, match="without end"):
        the_tool(tmp_path, returned({"$ref": "#/components/schemas/A"}), components={"schemas": loop})


def test_schemas_that_multiply_stay_small(tmp_path: Path) -> None:
    # Each of 30 schemas refers to all of the others: written out, they would never end.
    schemas = {
        f"S{index}": {
            "type": "object",
            "properties": {f"p{other}": {"$ref": f"#/components/schemas/S{other}"} for other in range(30)},
        }
        for index in range(30)
    }
    tool = the_tool(tmp_path, returned({"$ref": "#/components/schemas/S0"}), components={"schemas": schemas})
    assert tool.returns is not None
    assert set(tool.returns["properties"]) == {f"p{index}" for index in range(30)}
    assert len(json.dumps(tool.returns)) < 20_000


def test_a_wide_schema_keeps_its_fields(tmp_path: Path) -> None:
    wide = {"type": "object", "properties": {f"f{index}": {"type": "string"} for index in range(1_000)}}
    assert len(the_tool(tmp_path, posted(wide), method="post").properties) == 1_000


def test_all_of_is_merged(tmp_path: Path) -> None:
    base = {"type": "object", "properties": {"id": {"type": "integer"}}}
    schema = {
        "allOf": [
            {"$ref": "#/components/schemas/Base"},
            {"properties": {"name": {"type": "string"}}, "required": ["name", "id", "unknown"]},
        ],
        "description": "A pet.",
    }
    tool = the_tool(tmp_path, returned(schema), components={"schemas": {"Base": base}})
    assert tool.returns == {
        "type": "object",
        "description": "A pet.",
        "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
        "required": ["id", "name"],
    }


def test_choices_are_kept_and_null_is_a_type(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {
            "owner": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
            "kind": {"type": "string", "nullable": True, "enum": ["cat", "dog"]},
            "mother": {"$ref": "#/components/schemas/Base", "nullable": True},
            "father": {"type": ["string", "null"]},
        },
    }
    base = {"type": "object", "properties": {"id": {"type": "integer"}}}
    tool = the_tool(tmp_path, posted(schema), method="post", components={"schemas": {"Base": base}})
    assert tool.properties["owner"]["oneOf"] == [{"type": "string"}, {"type": "integer"}]
    assert tool.argument_problems({"kind": None, "mother": None, "father": None}) == []
    assert tool.argument_problems({"kind": "cow"}) != []


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data", "application/vnd.x+json"]
)
def test_forms_and_other_json_are_bodies(tmp_path: Path, kind: str) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    assert list(the_tool(tmp_path, posted(schema, kind), method="post").properties) == ["name"]


def test_a_body_without_fields_is_one_parameter(tmp_path: Path) -> None:
    schema = {"type": "array", "items": {"type": "integer"}}
    tool = the_tool(tmp_path, posted(schema, required=True, description="Ids."), method="post")
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "body": {"type": "array", "items": {"type": "integer"}, "description": "Ids.", "x-in": "body"}
        },
        "required": ["body"],
    }


@pytest.mark.parametrize(
    ("responses", "expected"),
    [
        ({"404": {"content": {"application/json": {"schema": {"type": "string"}}}}}, None),
        ({"2XX": {"content": {"application/json": {"schema": {"type": "string"}}}}}, {"type": "string"}),
        ({"204": {"description": ""}, "default": {"schema": {"type": "integer"}}}, {"type": "integer"}),
        ({"200": {"content": {"text/plain": {"schema": {"type": "object"}}}}}, None),
        ({"200": {"$ref": "#/components/responses/Ok"}}, {"type": "boolean"}),
        ([], None),
    ],
)
def test_the_answer_is_that_of_success(tmp_path: Path, responses: Any, expected: Any) -> None:
    ok = {"responses": {"Ok": {"content": {"application/json": {"schema": {"type": "boolean"}}}}}}
    assert the_tool(tmp_path, {"responses": responses}, components=ok).returns == expected


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (returned({"$ref": "common.yaml#/Pet"}), "outside the document: bundle its parts"),
        (returned({"$ref": "#/components/schemas/Gone"}), "points nowhere"),
        (returned({"$ref": "#Pet"}), "points nowhere"),
        ({"parameters": {"id": 1}}, "must be a list"),
        ({"parameters": [{"name": "id"}]}, "'name' and 'in'"),
        ([], "must be an object"),
    ],
)
def test_an_operation_that_cannot_be_read_is_refused_alone(
    tmp_path: Path, operation: Any, message: str
) -> None:
    good = {"operationId": "good", "responses": {}}
    path = write_document(tmp_path, document({"/good": {"get": good}, "/bad": {"get": operation}}))
    with pytest.raises(CatalogueError, match=r"get_bad|paths\./bad\.get") as caught:
        load_catalogue([path])
    assert message in caught.value.message
    report = load_catalogue([path], skip_invalid=True)
    assert [tool.name for tool in report.catalogue] == ["good"]
    line = path.read_text().splitlines()[report.skipped[0].place.line - 1]
    assert '"/bad"' in line


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"swagger": "1.2", "info": {}}, "version '1.2' is not read"),
        (document([]), "must be an object"),
    ],
)
def test_documents_that_are_none(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        load(tmp_path, value)


def test_odd_keywords_do_no_harm(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "required": True,
        "properties": {
            "a": {"type": "string", "pattern": "[\\w-\\.]", "minLength": "1", "enum": []},
            "b": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": "many"},
            "c": {"type": "any", "required": True},
            "d": {"type": "array", "items": [{"type": "string"}]},
            "e": "string",
        },
    }
    assert the_tool(tmp_path, posted(schema), method="post").properties == {
        "a": {"type": "string", "x-pattern": "[\\w-\\.]", "x-in": "body"},
        "b": {"type": "number", "minimum": 0, "exclusiveMinimum": 0, "x-in": "body"},
        "c": {"x-native-type": "any", "x-in": "body"},
        "d": {"type": "array", "x-in": "body"},
        "e": {"x-in": "body"},
    }


def test_two_documents_may_use_one_name(tmp_path: Path) -> None:
    for title in ("Cats", "Dogs"):
        operation = {"operationId": "list", "responses": {}}
        value = document({"/": {"get": operation}}) | {"info": {"title": title}}
        write_document(tmp_path, value, f"{title}.json")
    report = load_catalogue([tmp_path])
    assert [(tool.name, tool.category) for tool in report.catalogue] == [("list", "Cats"), ("list_2", "Dogs")]
