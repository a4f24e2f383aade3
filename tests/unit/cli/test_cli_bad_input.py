"""Input that is wrong: each error says what, where and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.invoking import fail, run
from toolflow.errors import ToolFlowError, UsageError


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TOOLFLOW_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("limit", ["0", "many", "1.5", "-3"])
def test_a_wrong_concurrency_is_told_in_words(limit: str, tmp_path: Path) -> None:
    error = fail(UsageError, "synth", "--max-concurrency", limit, "-o", tmp_path / "run")
    assert error.message == f"max_concurrency: give auto, or a whole number above 0, not {limit!r}"


def test_settings_that_exclude_each_other_are_told_in_words(tmp_path: Path) -> None:
    options = ("--graph", "some.graph", "--encoder", "wordllama")
    error = fail(UsageError, "synth", *options, "-o", tmp_path / "run")
    assert error.message.startswith("sampler: a graph file is built already")


@pytest.mark.parametrize("option", ["--config", "--prices"])
def test_a_file_of_settings_that_cannot_be_read_is_named_for_what_it_is(option: str, tmp_path: Path) -> None:
    what = {"--config": "the configuration", "--prices": "the prices"}[option]
    error = fail(UsageError, "synth", option, tmp_path / "gone.yaml", "-o", tmp_path / "run")
    assert error.message == f"{tmp_path}/gone.yaml: {what} cannot be read: No such file or directory"
    assert option in (error.hint or "")
    error = fail(UsageError, "synth", option, tmp_path, "-o", tmp_path / "run")
    assert error.message == f"{tmp_path}: {what} cannot be read: Is a directory"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["--config", "--prices"])
def test_yaml_that_is_none_is_told_with_its_place(option: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("n: 5\ntools: [a, b\nseed: 1\n")
    error = fail(UsageError, "synth", option, file, "-o", tmp_path / "run")
    assert error.message.startswith(f"{file}:3: not valid YAML: ")
    assert "unicode string" not in error.message


def test_a_broken_prompt_is_told_with_its_file_and_line(tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    folder.mkdir()
    for role in ("planner", "user", "assistant", "tool"):
        (folder / f"{role}.j2").write_text("{% block first %}\n{{ oops\n" if role == "user" else "")
    error = fail(UsageError, "synth", "--prompts", folder, "-o", tmp_path / "run")
    assert error.message.startswith(f"prompt {folder}/user.j2:2: ")


@pytest.mark.parametrize("bound", ["--max-calls", "--max-tokens-total"])
def test_a_budget_of_nothing_says_what_to_do(bound: str, tmp_path: Path) -> None:
    error = fail(UsageError, "synth", bound, "0", "-o", tmp_path / "run")
    assert "leaves no call" in error.message
    assert error.hint == "Give a larger one, or leave it out for no bound."


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--cap", "0", "a cap of 0 lets nothing in"),
        ("--cap", "8,0@10", "a cap of 0 lets nothing in"),
        ("--cap", "8@-1", "a cap cannot begin before the first request"),
        ("--cap", "8@nan", "is no cap"),
        ("--fixed-usage", "-1,5", "--fixed-usage -1,5: no two numbers from 0 on"),
        ("--fixed-usage", "many", "--fixed-usage many: no two numbers from 0 on"),
    ],
)
def test_a_provider_that_could_not_serve_is_not_begun(option: str, value: str, expected: str) -> None:
    assert expected in fail(UsageError, "provider", "--port", 0, option, value).message


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    run("graph", "build", "--limit-tools", 20, "-o", tmp_path / "some.graph")
    return tmp_path / "some.graph"


@pytest.mark.parametrize("place", ["gone/out", "folder"])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_done(
    place: str, graph: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    tools = tmp_path / "tools.jsonl"
    run("tools", "import", "-o", tools, *sample(tmp_path))
    output = tmp_path / place
    (tmp_path / "dialogues.jsonl").touch()
    for command in (
        ("graph", "build", "--tools", tools),
        ("graph", "check-links", graph, "--force"),
        ("tools", "enrich", tools),
        ("tools", "import", tools),
        ("graph", "plot", "--seed", 1),
        ("graph", "export", graph),
        ("export", tmp_path),
    ):
        error = fail(ToolFlowError, *command, "-o", output)
        reason = "it is a folder" if place == "folder" else f"there is no folder {tmp_path / 'gone'}"
        assert error.message == f"{output}: cannot be written: {reason}"
    # No model was asked.
    assert not list(tmp_path.glob("*.verdicts.jsonl"))


def sample(folder: Path) -> tuple[Path, str, int]:
    """Arguments that read a few tools of the sample."""
    listed = folder / "sample.json"
    listed.write_text(run("tools", "list", "--json").stdout)
    assert len(json.loads(listed.read_text())) > 10
    return listed, "--limit-tools", 5


def test_an_encoder_that_is_none_is_told_before_catalogues_are_read(tmp_path: Path) -> None:
    options = ("--tools", tmp_path / "gone.jsonl", "--encoder", "nonsense", "-o", tmp_path / "g")
    assert "'nonsense' is no encoder" in fail(UsageError, "graph", "build", *options).message
