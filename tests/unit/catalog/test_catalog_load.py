from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.catalog.catalogue_files import write_document, write_lines
from toolflow.catalog.catalogue import Catalogue
from toolflow.catalog.load import load_catalogue, load_sample
from toolflow.catalog.tool import Tool
from toolflow.errors import CatalogueError

EMPTY = {"type": "object", "properties": {}}


def line(name: Any = "ping", source_id: str | None = None, **fields: Any) -> dict[str, Any]:
    identifier = {} if source_id is None else {"source_id": source_id}
    return {
        "name": name,
        "description": "Pings.",
        "parameters": EMPTY,
        "returns": None,
        **identifier,
        **fields,
    }


BAD = line("bad", parameters={"type": "object", "properties": {"city": {"type": "strin"}}})


def test_a_refusal_names_file_line_tool_and_field(tmp_path: Path) -> None:
    path = write_lines(tmp_path, line("a"), line("b"), BAD)
    with pytest.raises(CatalogueError) as caught:
        load_catalogue([path])
    expected = f"{path}:3: tool 'bad', field parameters.properties.city.type: is not a JSON Schema type"
    assert caught.value.message.startswith(expected)
    assert caught.value.hint is not None
    assert "--skip-invalid" in caught.value.hint


def test_refused_entries_can_be_skipped(tmp_path: Path) -> None:
    path = write_lines(tmp_path, BAD, line("a"), 5, line(""), line("b"))
    path.write_text(f"{path.read_text()}{{broken\n", encoding="utf-8")
    report = load_catalogue([path], skip_invalid=True)
    assert [tool.name for tool in report.catalogue] == ["a", "b"]
    assert report.formats == {"canonical": 2}
    assert [(refusal.place.line, refusal.tool, refusal.field) for refusal in report.skipped] == [
        (1, "bad", "parameters.properties.city.type"),
        (3, None, None),
        (4, None, "name"),
        (6, None, None),
    ]
    assert all(refusal.place.file == str(path) and refusal.message for refusal in report.skipped)


def test_nothing_but_refusals(tmp_path: Path) -> None:
    path = write_lines(tmp_path, BAD, BAD)
    with pytest.raises(CatalogueError, match=r"none of the 2 entries is a tool; the first: .*tools.jsonl:1"):
        load_catalogue([path], skip_invalid=True)
    report = load_catalogue([path], skip_invalid=True, allow_empty=True)
    assert (len(report.catalogue), len(report.skipped)) == (0, 2)


def test_an_error_text_cannot_steer_the_terminal(tmp_path: Path) -> None:
    hostile = "\x1b[2J\x9b\u202e"
    path = write_lines(
        tmp_path, line(f"bad{hostile}", parameters={"type": "object", "properties": {hostile: {"type": 5}}})
    )
    with pytest.raises(CatalogueError) as caught:
        load_catalogue([path])
    assert caught.value.message.isprintable()


def test_a_duplicate_without_source_id_names_both_places(tmp_path: Path) -> None:
    first = write_lines(tmp_path, line("a"), line("b", "1"), name="first.jsonl")
    second = write_lines(tmp_path, line("c"), line("a"), line("b"), name="second.jsonl")
    with pytest.raises(CatalogueError) as caught:
        load_catalogue([first, second])
    assert caught.value.message == (
        f"{second}:2: tool 'a', field name: duplicate name without a source_id, first at {first}:1"
    )
    report = load_catalogue([first, second], skip_invalid=True)
    assert [tool.name for tool in report.catalogue] == ["a", "b", "c"]
    assert [refusal.tool for refusal in report.skipped] == ["a", "b"]
    assert f"first at {first}:2" in str(report.skipped[1])


def test_an_equal_entry_with_source_id_is_a_repeat(tmp_path: Path) -> None:
    path = write_lines(tmp_path, line("a", "1"), line("a", "1"), line("a", "1", category="another"))
    report = load_catalogue([path, path])
    assert len(report.catalogue) == 1
    assert (report.repeats, report.renamed) == (5, {})


def test_another_tool_of_the_same_name_is_numbered(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path,
        line("a", "1"),
        line("a", "2"),
        line("a", "1"),
        line("a", "1", description="Different."),
        line("a", "2"),
        line("a_2"),
        line("a", "9"),
    )
    report = load_catalogue([path])
    assert [(tool.name, tool.source_id) for tool in report.catalogue] == [
        ("a", "1"),
        ("a_3", "2"),  # a_2 is the name of a tool further down
        ("a_4", "1"),
        ("a_2", None),
        ("a_5", "9"),
    ]
    assert report.repeats == 2
    assert report.renamed == {"a_3": "a", "a_4": "a", "a_5": "a"}
    assert load_catalogue([path]).catalogue == report.catalogue


def test_values_that_only_python_takes_for_equal_make_different_tools(tmp_path: Path) -> None:
    def with_default(default: Any) -> dict[str, Any]:
        return line("a", "1", parameters={"type": "object", "properties": {"x": {"default": default}}})

    assert len(load_catalogue([write_lines(tmp_path, with_default(1), with_default(True))]).catalogue) == 2


def test_reading_stops_at_the_limit(tmp_path: Path) -> None:
    path = write_lines(tmp_path, line("a", "1"), line("a", "1"), line("b"), BAD)
    report = load_catalogue([path, "not-reached.jsonl"], limit=2)
    assert [tool.name for tool in report.catalogue] == ["a", "b"]
    assert report.files == (str(path),)
    with pytest.raises(CatalogueError):
        load_catalogue([path], limit=3)


def test_the_limit_holds_inside_a_record(tmp_path: Path) -> None:
    path = write_document(tmp_path, {"tools": [line("a"), line("b"), line("c")]})
    assert [tool.name for tool in load_catalogue([path], limit=2).catalogue] == ["a", "b"]


def test_formats_may_be_mixed(tmp_path: Path) -> None:
    paths: list[Path | str] = [
        write_lines(tmp_path, line("a")),
        write_document(tmp_path, [{"name": "b", "parameters": {}}]),
    ]
    report = load_catalogue(paths)
    assert report.formats == {"canonical": 1, "openai": 1}
    assert report.files == tuple(map(str, paths))


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    deep = '{"items": ' * 700 + "{}" + "}" * 700
    path = tmp_path / "deep.jsonl"
    path.write_text(f'{{"name": "deep", "parameters": {{"type": "dict", "properties": {{"x": {deep}}}}}}}\n')
    report = load_catalogue([path], skip_invalid=True, allow_empty=True)
    assert len(report.skipped) == 1


def test_a_catalogue_finds_tools_by_name() -> None:
    tools = (Tool("get_weather", "", EMPTY), Tool("get_time", "", EMPTY))
    catalogue = Catalogue(tools)
    assert (tuple(catalogue), len(catalogue)) == (tools, 2)
    assert catalogue["get_time"] is tools[1]
    assert "get_time" in catalogue
    assert "get_place" not in catalogue
    assert catalogue.get("get_place") is None
    with pytest.raises(CatalogueError, match="no tool named 'get_wether'") as caught:
        catalogue["get_wether"]
    assert caught.value.hint is not None
    assert "get_weather" in caught.value.hint


def test_a_catalogue_holds_a_name_once() -> None:
    with pytest.raises(CatalogueError, match="'b'"):
        Catalogue((Tool("a", "", EMPTY), Tool("b", "", EMPTY), Tool("b", "x", EMPTY)))


def test_the_hash_stands_for_content_and_order() -> None:
    def schema(*names: str) -> dict[str, Any]:
        return {"type": "object", "properties": {name: {} for name in names}}

    def hash_of(*tools: Tool) -> str:
        return Catalogue(tools).content_hash

    a, b = Tool("a", "", schema("x", "y")), Tool("b", "", EMPTY)
    assert hash_of(a, b) == hash_of(Tool("a", "", schema("x", "y")), b)
    hashes = {
        hash_of(a, b),
        hash_of(b, a),
        hash_of(a),
        hash_of(),
        hash_of(Tool("a", "", schema("y", "x")), b),
        hash_of(Tool("a", "", schema("x", "y"), returns={}), b),
        hash_of(Tool("a", "", schema("x", "y"), source_id="1"), b),
    }
    assert len(hashes) == 7
    assert all(len(each) == 64 for each in hashes)


def test_the_sample_catalogue_is_ready_for_use() -> None:
    sample = load_sample()
    assert len(sample) > 0
    assert all(tool.description for tool in sample)
    assert all(tool.function_name == tool.name for tool in sample)
