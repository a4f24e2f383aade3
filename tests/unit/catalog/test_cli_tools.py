from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit import invoking
from tests.unit.catalog.catalogue_files import write_lines
from toolflow.catalog.load import load_catalogue, load_sample
from toolflow.errors import CatalogueError

EMPTY = {"type": "object", "properties": {}}
WEATHER = {
    "name": "get_weather",
    "description": "Weather [bold]now[/bold]\x1b[2J.",
    "category": "Weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "day": {"type": "string"}},
        "required": ["city"],
    },
    "returns": {"type": "object"},
}
ODD = {"name": "files.list", "description": "", "parameters": EMPTY, "returns": None}
BAD = {"name": "bad", "description": "", "parameters": {"type": "string"}, "returns": None}


def run(*arguments: str | Path, code: int = 0) -> str:
    """Standard output of a command of ``toolflow tools``."""
    return invoking.run("tools", *arguments, code=code).stdout


def run_json(*arguments: str | Path, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code))


def test_import_writes_canonical_jsonl(tmp_path: Path) -> None:
    path = write_lines(tmp_path, {"type": "function", "function": WEATHER}, ODD)
    output = tmp_path / "out.jsonl.gz"
    assert f"2 tools written to {output}" in run("import", path, "-o", output)
    assert load_catalogue([output]).catalogue == load_catalogue([path]).catalogue


def test_import_tells_its_counts_as_json(tmp_path: Path) -> None:
    path = write_lines(tmp_path, WEATHER, BAD, ODD)
    output = tmp_path / "out.jsonl"
    counts = run_json("import", path, "-o", output, "--skip-invalid", "--limit-tools", "2")
    assert counts["tools"] == 2
    assert counts["skipped"] == 1
    assert counts["formats"] == {"canonical": 2}
    assert counts["content_hash"] == load_catalogue([output]).catalogue.content_hash


def test_import_stops_at_a_wrong_entry_and_writes_nothing(tmp_path: Path) -> None:
    path = write_lines(tmp_path, WEATHER, BAD)
    error = invoking.fail(CatalogueError, "tools", "import", path, "-o", tmp_path / "out.jsonl")
    assert f"{path}:2" in error.message
    assert not (tmp_path / "out.jsonl").exists()


def test_list_shows_a_table_of_harmless_text(tmp_path: Path) -> None:
    text = run("list", write_lines(tmp_path, WEATHER, ODD))
    header, weather, odd, summary = (line.split() for line in text.splitlines())
    assert header == ["name", "category", "parameters", "returns", "description"]
    assert weather == ["get_weather", "Weather", "city,", "day?", "yes", "Weather", "[bold]now[/bold]."]
    assert odd == ["files.list"]
    assert summary == ["2", "of", "2", "tools"]
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ((), ["get_weather", "files.list"]),
        (("--category", "weather"), ["get_weather"]),
        (("--search", "NOW"), ["get_weather"]),
        (("--search", "list"), ["files.list"]),
        (("--category", "Weather", "--search", "list"), []),
    ],
)
def test_list_selects(tmp_path: Path, options: tuple[str, ...], names: list[str]) -> None:
    path = write_lines(tmp_path, WEATHER, ODD)
    assert [tool["name"] for tool in run_json("list", path, *options)] == names


def test_what_list_prints_as_json_can_be_imported(tmp_path: Path) -> None:
    path = write_lines(tmp_path, WEATHER, ODD)
    (tmp_path / "listed.json").write_text(run("list", path, "--json"))
    assert load_catalogue([tmp_path / "listed.json"]).catalogue == load_catalogue([path]).catalogue


def test_list_cuts_a_long_table(tmp_path: Path) -> None:
    path = write_lines(tmp_path, *({**ODD, "name": f"tool{number}"} for number in range(150)))
    text = run("list", path)
    assert "150 of 150 tools, 100 shown (--all shows the rest)" in text
    assert "tool99" in text
    assert "tool100" not in text
    assert "tool149" in run("list", path, "--all")


def test_list_without_a_path_takes_the_sample() -> None:
    assert len(run_json("list")) == len(load_sample())
    assert "of the sample catalogue" in run("list")


def test_check_of_a_clean_catalogue(tmp_path: Path) -> None:
    text = run("check", write_lines(tmp_path, WEATHER))
    assert text == "1 tool in 1 file\n  by format: canonical 1\n"


def test_check_warns(tmp_path: Path) -> None:
    text = run("check", write_lines(tmp_path, WEATHER, ODD))
    assert "warning: 1 tool without a description: files.list" in text
    assert "warning: 1 tool without a return schema: files.list" in text
    assert "files.list → files_list_" in text


def test_check_lists_what_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path, WEATHER, *({**BAD, "name": f"bad{number}"} for number in range(30)))
    text = run("check", path, code=2)
    assert "entries refused: 30" in text
    assert f"{path}:2: tool 'bad0', field parameters.type: must be 'object'" in text
    assert "bad19" in text
    assert "bad20" not in text
    assert "… and 10 more (--all shows them)" in text
    assert "bad29" in run("check", path, "--all", code=2)


def test_check_as_json(tmp_path: Path) -> None:
    path = write_lines(tmp_path, BAD, ODD, {**ODD, "source_id": "2"})
    findings = run_json("check", path, code=2)
    assert findings["tools"] == 2
    assert findings["refused"] == [
        {
            "file": str(path),
            "line": 1,
            "tool": "bad",
            "field": "parameters.type",
            "message": "must be 'object': a call's arguments are a JSON object",
        }
    ]
    assert findings["renames"] == {"files.list_2": "files.list"}
    assert findings["no_description"] == findings["no_returns"] == ["files.list", "files.list_2"]
    assert set(findings["function_names"]) == {"files.list", "files.list_2"}


def test_check_of_nothing_but_wrong_entries(tmp_path: Path) -> None:
    assert "0 tools in 1 file" in run("check", write_lines(tmp_path, BAD), code=2)


def test_check_of_a_missing_file() -> None:
    invoking.fail(CatalogueError, "tools", "check", "gone.jsonl")
