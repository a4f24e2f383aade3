"""Whatever imports is a valid JSON Schema 2020-12 of type object and survives being written and read."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolflow.catalog.entry import EntryError, Format
from toolflow.catalog.formats import FORMATS
from toolflow.catalog.load import load_catalogue
from toolflow.catalog.native_schema import PYTHON_WORDS, to_json_schema
from toolflow.catalog.openapi_schema import SchemaReader
from toolflow.catalog.record import Record
from toolflow.catalog.schema import compile_schema
from toolflow.catalog.source import Source
from toolflow.catalog.tool import Tool
from toolflow.catalog.validate import tool_from
from toolflow.catalog.write import write_canonical

NAMES = st.sampled_from(["id", "name", "items", "type", "$ref", "ä b", "x/y", "x~y"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.text(max_size=4),
    st.sampled_from(["string", "[\\w-\\.]", "(", "object"]),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
REFERENCES = st.sampled_from([f"#/components/schemas/{name}" for name in "ABC"])
TYPES = st.sampled_from(
    ["string", "integer", "object", "array", "file", "any", "null", ["string", "null"], 7]
)
KEYWORDS = [
    *(
        "description",
        "format",
        "enum",
        "default",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
    ),
    *(
        "pattern",
        "minLength",
        "maxItems",
        "uniqueItems",
        "multipleOf",
        "required",
        "nullable",
        "readOnly",
        "const",
    ),
    *("items", "properties", "allOf", "oneOf", "additionalProperties", "example", "xml", "type"),
]


def _with_parts(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES,
            "$ref": REFERENCES,
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "required": st.lists(NAMES, max_size=3),
            "items": inner,
            "allOf": st.lists(inner, max_size=2),
            "oneOf": st.lists(inner, max_size=2),
            "additionalProperties": inner | st.booleans(),
            "nullable": st.booleans(),
            "enum": st.lists(SCALARS, max_size=3),
            "pattern": st.sampled_from(["a+", "[\\w-\\.]", "("]),
            "readOnly": st.booleans(),
        },
    )


DAMAGED = st.dictionaries(st.sampled_from(KEYWORDS), ANYTHING, max_size=4)
SCHEMAS = st.recursive(DAMAGED | st.fixed_dictionaries({"$ref": REFERENCES}), _with_parts, max_leaves=8)
COMPONENTS = st.fixed_dictionaries(dict.fromkeys("ABC", SCHEMAS))


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    parameter = st.fixed_dictionaries(
        {"name": NAMES, "in": st.sampled_from(["path", "query", "header", "cookie", "formData", "body"])},
        optional={"schema": SCHEMAS, "required": st.booleans(), "description": ANYTHING, "type": TYPES},
    )
    media = st.dictionaries(
        st.sampled_from(["application/json", "text/plain"]),
        st.fixed_dictionaries({"schema": SCHEMAS}),
        max_size=2,
    )
    operation = st.fixed_dictionaries(
        {},
        optional={
            "operationId": ANYTHING,
            "summary": ANYTHING,
            "parameters": st.lists(parameter, max_size=3),
            "requestBody": st.fixed_dictionaries({"content": media}, optional={"required": st.booleans()}),
            "responses": st.dictionaries(
                st.sampled_from(["200", "201", "default", "404"]),
                st.fixed_dictionaries({"content": media}),
                max_size=2,
            ),
        },
    )
    methods = st.dictionaries(st.sampled_from(["get", "post", "head"]), operation, max_size=2)
    paths = draw(st.dictionaries(st.sampled_from(["/a", "/a/{id}", "/b"]), methods, max_size=3))
    paths["/good"] = {"get": {"operationId": "good"}}
    return {"openapi": "3.0.0", "paths": paths, "components": {"schemas": draw(COMPONENTS)}}


def check(tool: Tool) -> None:
    assert tool.parameters["type"] == "object"
    compile_schema(tool.parameters)
    if tool.returns is not None:
        compile_schema(tool.returns)
    assert set(tool.required) <= set(tool.properties)


def check_round_trip(tools: tuple[Tool, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tools.jsonl"
        write_canonical(tools, path)
        assert load_catalogue([path]).catalogue.tools == tools


@given(documents())
def test_any_openapi_document(document: dict[str, Any]) -> None:
    source = Source("any.json", content=json.dumps(document).encode())
    report = load_catalogue([source], skip_invalid=True)
    assert any(tool.source_id == "any#GET /good" for tool in report.catalogue)
    for tool in report.catalogue:
        check(tool)
    check_round_trip(report.catalogue.tools)


@given(SCHEMAS, COMPONENTS)
def test_a_schema_that_is_read_is_valid_and_small(schema: Any, components: dict[str, Any]) -> None:
    reader = SchemaReader({"components": {"schemas": components}})
    try:
        read = reader.read(schema)
    except EntryError:
        return  # only references to each other remain
    compile_schema(read)
    assert '"$ref":' not in json.dumps(_keywords(read))
    assert len(json.dumps(read)) < 100_000


def _keywords(schema: Any) -> Any:
    """The schema with its fields under numbers: a field may be named ``$ref``."""
    if isinstance(schema, list):
        return [_keywords(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: [_keywords(each) for each in value.values()]
        if key == "properties" and isinstance(value, dict)
        else None
        if key in {"enum", "default", "const"}
        else _keywords(value)
        for key, value in schema.items()
    }


@given(st.recursive(DAMAGED, _with_parts, max_leaves=6))
def test_native_words_leave_no_word_that_is_no_type(schema: dict[str, Any]) -> None:
    translated = to_json_schema(schema, PYTHON_WORDS)
    assert to_json_schema(translated, PYTHON_WORDS) == translated


FIELD = {"name": "city", "type": "STRING", "description": "Where."}
PROPERTIES = {"type": "dict", "properties": {"city": {"type": "str"}}, "required": ["city"]}
FUNCTION = {"name": "find", "description": "Finds.", "parameters": PROPERTIES, "response": PROPERTIES}
SERVICE = {"name": "S", "api_list": [{"name": "a", "required_parameters": [FIELD], "return_data": [FIELD]}]}
SLOT = {"name": "city", "description": "", "is_categorical": True, "possible_values": ["1", "2"]}
INTENT = {"name": "I", "required_slots": ["city"], "optional_slots": {"city": "1"}, "result_slots": ["city"]}
PATHS = {"/a": {"parameters": [], "get": {"parameters": [{"name": "a", "in": "query", "schema": {}}]}}}
LISTED = {"tools": [{"name": "a", "inputSchema": {"type": "object"}, "outputSchema": {"type": "object"}}]}
WHOLE: dict[str, list[dict[str, Any]]] = {
    "acebench": [{"id": "normal_atom_bool_0", "function": [FUNCTION]}],
    "bfcl": [{"id": "simple_0", "function": [FUNCTION]}, FUNCTION],
    "canonical": [{"name": "a", "parameters": {"type": "object"}, "returns": {}, "source_id": "1"}],
    "mcp": [LISTED, {"jsonrpc": "2.0", "result": LISTED}, {"name": "p", "tools": {"server": LISTED}}],
    "metatool": [{"name_for_model": "a", "description_for_model": "b"}],
    "openai": [{"tools": [{"type": "function", "function": {"name": "a", "parameters": {}}}]}],
    "openapi": [{"openapi": "3.0.0", "info": {"title": "T"}, "paths": PATHS}],
    "rapidapi": [
        {"tool_name": "T", "api_list": [{"name": "a", "required_parameters": [FIELD], "schema": {}}]}
    ],
    "seal-tools": [{"api_name": "a", "field": "f", "parameters": {"b": {"type": "str"}}, "required": ["b"]}],
    "sgd": [{"service_name": "S_1", "slots": [SLOT], "intents": [INTENT]}],
    "t-eval": [SERVICE],
    "taskbench": [{"nodes": [{"id": "a", "parameters": [FIELD]}, {"id": "b", "input-type": ["text"]}]}],
    "toolalpaca": [{"Name": "A", "Category": "c", "Documentation": {"openapi": "3.0.0", "paths": PATHS}}],
}


def _damaged(value: Any, draw: st.DrawFn) -> Any:
    """The value with one part of it, anywhere inside, replaced."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        return value | {key: _damaged(value[key], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        return [_damaged(value[0], draw), *value[1:]]
    return draw(ANYTHING)


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
@given(data=st.data())
def test_a_damaged_record_is_refused_and_nothing_worse(known: Format, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(WHOLE[known.name]))
    assert known.recognises(whole)
    value = data.draw(st.composite(lambda draw: _damaged(whole, draw))())
    if not isinstance(value, dict):
        return
    record = Record(Source("any.json", content=b""), 1, json.dumps(value).encode(), value)
    with contextlib.suppress(EntryError):
        for entry in known.entries(record):
            with contextlib.suppress(EntryError):
                check(tool_from(entry.build()))


NATIVE = [
    *("acebench", "bfcl", "livemcpbench", "metatool", "openapi", "rapidapi", "restbench-tmdb", "sgd"),
    *("seal-tools/tool.sample.jsonl", "t-eval", "taskbench", "tau-bench", "toolalpaca", "tooleyes"),
]


@pytest.mark.parametrize("name", NATIVE)
def test_native_samples(shared_data: Path, name: str) -> None:
    report = load_catalogue([shared_data / "tools" / "native" / name])
    assert report.ignored == ()
    for tool in report.catalogue:
        check(tool)
    check_round_trip(report.catalogue.tools)
