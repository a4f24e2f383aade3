"""Export: ordered by index, equal for equal runs, clear about what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolflow.errors import RunDirectoryError, UsageError
from toolflow.export.openai import export
from toolflow.journal.run_directory import RunDirectory


def write_run(folder: Path, indices: list[int], tail: str = "") -> Path:
    folder.mkdir()
    lines = [
        json.dumps(
            {
                "id": f"d{index}",
                "messages": [{"role": "user", "content": f"é {index}"}],
                "tools": [],
                "plan": {},
                "metadata": {"index": index, "usage": index * 7},
            }
        )
        for index in indices
    ]
    (folder / "dialogues.jsonl").write_text("\n".join(lines) + "\n" + tail)
    return folder


def test_lines_come_in_the_order_of_indices(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", [5, 0, 3])
    other = write_run(tmp_path / "other", [3, 5, 0])
    assert export(one, "openai", tmp_path / "one.jsonl") == 3
    export(other, "openai", tmp_path / "other.jsonl")
    content = (tmp_path / "one.jsonl").read_bytes()
    assert content == (tmp_path / "other.jsonl").read_bytes()
    lines = [json.loads(line) for line in content.splitlines()]
    assert [line["messages"][0]["content"] for line in lines] == ["é 0", "é 3", "é 5"]
    assert all(set(line) == {"messages", "tools"} for line in lines)


def test_a_torn_last_line_of_a_running_run_is_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [0], tail='{"id": "d1", "mess')
    assert export(run, "openai", tmp_path / "out.jsonl") == 1


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [0])
    with pytest.raises(UsageError, match="unknown format 'csv'"):
        export(run, "csv", tmp_path / "out")
    with pytest.raises(RunDirectoryError, match="holds no run") as nowhere:
        export(tmp_path, "openai", tmp_path / "out")
    assert "toolflow synth -o" in str(nowhere.value.hint)
    with pytest.raises(RunDirectoryError, match="missing/out") as missing:
        export(run, "openai", tmp_path / "missing" / "out")
    assert "folder" in str(missing.value.hint)
    (run / "dialogues.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(RunDirectoryError, match=r"dialogues\.jsonl:1: not a dialogue"):
        export(run, "openai", tmp_path / "out")


def test_a_run_that_has_accepted_nothing_is_told_from_no_run(tmp_path: Path) -> None:
    with RunDirectory(tmp_path) as begun:
        begun.claim({}, {})
    with pytest.raises(RunDirectoryError, match="no dialogue of this run is accepted yet"):
        export(tmp_path, "openai", tmp_path / "out")


def test_doubled_and_garbled_lines_are_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [0, 1, 0, 2, 2], tail="torn")
    with pytest.raises(RunDirectoryError, match=r"dialogues\.jsonl:3: .* twice, and 1 more"):
        export(run, "openai", tmp_path / "out")
    garbled = write_run(tmp_path / "garbled", [0])
    file = garbled / "dialogues.jsonl"
    file.write_bytes(file.read_bytes().replace(b"\\u00e9", b"\xff\xfe"))
    with pytest.raises(RunDirectoryError, match=r"dialogues\.jsonl:1: "):
        export(garbled, "openai", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_that_finds_no_room_leaves_the_old_one(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    run = write_run(tmp_path / "run", [*range(50)])
    output = tmp_path / "out" / "data.jsonl"
    output.parent.mkdir()
    output.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(RunDirectoryError, match=r"data\.jsonl"):
            export(run, "openai", output)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [file.name for file in output.parent.iterdir()] == ["data.jsonl"]
    assert output.read_text() == "old"
