"""The run directory: continued by an equal run only, by one process at a time, with no torn lines."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from toolflow.errors import RunDirectoryError
from toolflow.journal.run_directory import RunDirectory, read_lines


def line(index: int) -> dict[str, object]:
    return {"id": f"d{index:07d}", "metadata": {"index": index}}


def test_an_equal_run_is_continued(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run") as run:
        assert not run.claim({"seed": 1}, {"n": 5})
        run.accept(line(0))
        run.reject({"id": "d0000001", "index": 1, "stage": "checks", "reason": "role_order"})
    with RunDirectory(tmp_path / "run") as run:
        assert run.claim({"seed": 1}, {"n": 10})
        accepted, thrown_out = run.finished()
    assert accepted == {0}
    assert [entry["index"] for entry in thrown_out] == [1]


def test_another_configuration_is_refused_with_the_difference(tmp_path: Path) -> None:
    with RunDirectory(tmp_path) as run:
        run.claim({"seed": 1, "sampler": {"kind": "graph"}}, {})
    with (
        RunDirectory(tmp_path) as run,
        pytest.raises(RunDirectoryError, match=r'sampler\.kind: "graph" there, "random" here'),
    ):
        run.claim({"seed": 1, "sampler": {"kind": "random"}}, {})


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    with RunDirectory(tmp_path) as run:
        run.claim({}, {})
        run.accept(line(0))
    with (tmp_path / "dialogues.jsonl").open("ab") as file:
        file.write(b'{"id": "d0000001", "metad')
    with RunDirectory(tmp_path) as run:
        assert run.finished()[0] == {0}
        run.accept(line(2))
    assert [entry["id"] for entry in read_lines(tmp_path / "dialogues.jsonl")] == ["d0000000", "d0000002"]


def _hold(path: Path, held: object, release: object) -> None:
    with RunDirectory(path):
        held.set()  # type: ignore[attr-defined]
        release.wait(60)  # type: ignore[attr-defined]


def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path, held, release))
    process.start()
    try:
        assert held.wait(60)
        with pytest.raises(RunDirectoryError, match=rf"in use .*PID {process.pid}\b"), RunDirectory(tmp_path):
            pass
    finally:
        process.kill()
        process.join()
    with RunDirectory(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match="file/run"), RunDirectory(tmp_path / "file" / "run"):
        pass


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"scripts": {}}')
    with RunDirectory(tmp_path) as run, pytest.raises(RunDirectoryError, match=r"not the run\.json"):
        run.claim({}, {})
    (tmp_path / "run.json").unlink()
    (tmp_path / "dialogues.jsonl").write_text("{}\n")
    with RunDirectory(tmp_path) as run, pytest.raises(RunDirectoryError, match=r"no run\.json"):
        run.claim({}, {})


def test_a_line_that_does_not_fit_leaves_no_part_of_it(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    with RunDirectory(tmp_path) as run:
        run.accept(line(0))
        whole = run.dialogues.read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, hard))
        try:
            with pytest.raises(RunDirectoryError, match=r"dialogues\.jsonl"):
                run.accept(line(1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert run.dialogues.read_bytes() == whole
        run.accept(line(2))
        assert run.finished()[0] == {0, 2}


def test_a_line_that_is_no_dialogue_is_named(tmp_path: Path) -> None:
    with RunDirectory(tmp_path) as run:
        run.dialogues.write_text("{}\n")
        with pytest.raises(RunDirectoryError, match=r"dialogues\.jsonl:1: not a dialogue"):
            run.finished()
