"""The run directory: continued by an equal run only, by one process at a time, with no torn lines."""

from __future__ import annotations

import errno
import gzip
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from toolflow.errors import RunDirectoryError
from toolflow.journal.lines import encode_line, read_line
from toolflow.journal.run_directory import RunDirectory
from toolflow.journal.run_record import CATALOGUE, Inputs


def line(index: int) -> dict[str, object]:
    return {"id": f"d{index:07d}", "messages": [], "tools": [], "metadata": {"index": index}}


def ids(path: Path) -> list[str]:
    return [msgspec.json.decode(entry)["id"] for entry in path.read_bytes().splitlines()]


def test_an_equal_run_is_continued(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run") as run:
        assert not run.claim({"seed": 1}, {"n": 5})
        run.accept(line(0))
        run.reject({"id": "d0000001", "index": 1, "stage": "checks", "reason": "role_order"})
    with RunDirectory(tmp_path / "run") as run:
        assert run.claim({"seed": 1}, {"n": 10})
        earlier = run.take_up(target=10)
    assert earlier.accepted == [0]
    assert [line.index for line in earlier.thrown_out] == [1]
    assert earlier.damaged == earlier.spare == earlier.retried == 0


def test_another_configuration_is_refused_with_the_difference(tmp_path: Path) -> None:
    with RunDirectory(tmp_path) as run:
        run.claim({"seed": 1, "sampler": {"kind": "graph"}}, {})
    with (
        RunDirectory(tmp_path) as run,
        pytest.raises(RunDirectoryError, match=r'sampler\.kind: "graph" → "random"'),
    ):
        run.claim({"seed": 1, "sampler": {"kind": "random"}}, {})


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(RunDirectoryError, match="run: it is a file"), RunDirectory(tmp_path / "run"):
        pass


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    with RunDirectory(tmp_path) as run:
        run.claim({}, {})
        run.accept(line(0))
    with (tmp_path / "dialogues.jsonl").open("ab") as file:
        file.write(b'{"id": "d0000001", "metad')
    with RunDirectory(tmp_path) as run:
        assert run.take_up(target=9).accepted == [0]
        run.accept(line(2))
    assert ids(tmp_path / "dialogues.jsonl") == ["d0000000", "d0000002"]


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


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(_file: object, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(RunDirectoryError, match="cannot be locked") as refused, RunDirectory(tmp_path):
        pass
    assert "local disk" in str(refused.value.hint)


def test_a_full_disk_does_not_keep_the_lock_from_being_taken(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with RunDirectory(tmp_path) as run:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            with pytest.raises(RunDirectoryError, match="in use"), RunDirectory(tmp_path):
                pass
            with RunDirectory(tmp_path / "other") as other, pytest.raises(RunDirectoryError) as full:
                other.accept(line(0))
            assert "Free some disk space" in str(full.value.hint)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not run.dialogues.exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:30])


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("lose", [Path.unlink, cut, zero])
def test_a_lost_run_json_is_made_anew(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    with RunDirectory(tmp_path) as run:
        run.claim({"seed": 1}, {"forked_from": "elsewhere"})
        run.accept(line(0))
    whole = (tmp_path / "run.json").read_bytes()
    lose(tmp_path / "run.json")
    with RunDirectory(tmp_path) as run:
        with pytest.raises(RunDirectoryError, match="seed: 1 → 2"):
            run.claim({"seed": 2}, {})
        assert run.claim({"seed": 1}, {})
        assert run.processes == 2
    assert (tmp_path / "run.json").read_bytes() == whole.replace(b'"processes": 1', b'"processes": 2')


def test_a_lost_journal_is_told(tmp_path: Path) -> None:
    with RunDirectory(tmp_path) as run:
        assert not [*run.take_up(target=9).notices()]
        run.accept(line(0))
        (notice,) = run.take_up(target=9).notices()
        assert notice.startswith("journal.sqlite is gone. The 1 finished dialogues stay")
        run.journal.write_bytes(b"SQLite")
        assert not [*run.take_up(target=9).notices()]


def test_lines_of_another_system_are_read(tmp_path: Path) -> None:
    """CRLF, as an editor may leave them."""
    with RunDirectory(tmp_path) as run:
        run.dialogues.write_bytes(b"".join(encode_line(line(i)).replace(b"\n", b"\r\n") for i in (0, 1)))
        earlier = run.take_up(target=9)
        assert (earlier.accepted, earlier.damaged) == ([0, 1], 0)
        run.accept(line(2))
        assert run.take_up(target=9).accepted == [0, 1, 2]


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
        assert run.take_up(target=9).accepted == [0, 2]


DAMAGE = {
    "torn": b'{"id": "d0000001", "metad',
    "torn inside a number": b'{"id": "d0000012", "metadata": {"index": 1',
    "filled with zeros": b"\0" * 4096,
    "zeros, then a line": b"\0" * 100 + encode_line(line(3)),
    "no dialogue": b"{}\n",
    "no text": b"\xff\xfe\n",
    "twice": encode_line(line(0)),
    "of something else": b'{"text": "hello", "metadata": {"index": 7}}\n',
    "bytes within it": encode_line(line(7)).replace(b"d0000007", b"d\xff\xfe0007"),
    "an empty line": b"\n",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_lines_are_taken_out_and_counted(tmp_path: Path, damage: bytes) -> None:
    with RunDirectory(tmp_path) as run:
        run.claim({}, {})
        run.accept(line(0))
        whole = run.dialogues.read_bytes()
    with run.dialogues.open("ab") as file:
        file.write(damage)
    with RunDirectory(tmp_path) as run:
        earlier = run.take_up(target=9)
        assert (earlier.accepted, earlier.damaged) == ([0], 1)
        assert run.dialogues.read_bytes() == whole
        run.accept(line(2))
    assert ids(run.dialogues) == ["d0000000", "d0000002"]


def test_lines_behind_a_damaged_one_are_kept(tmp_path: Path) -> None:
    lines = [encode_line(line(index)) for index in range(4)]
    with RunDirectory(tmp_path) as run:
        run.claim({}, {})
        run.dialogues.write_bytes(lines[0] + b"\0" * len(lines[1]) + lines[2] + lines[3])
        assert run.take_up(target=9).accepted == [0, 3]  # the zeros took the line behind them with them
        assert run.dialogues.read_bytes() == lines[0] + lines[3]


def test_lines_of_rejected_jsonl_are_known_by_place_stage_and_reason(tmp_path: Path) -> None:
    lines = [
        {"id": "d0000003", "index": 3, "stage": "checks", "reason": "role_order", "detail": "x" * 5000},
        {"id": "d0000001", "index": 1, "stage": "dialogue", "reason": "crash", "traceback": "é"},
    ]
    with RunDirectory(tmp_path) as run:
        run.claim({}, {})
        for entry in lines:
            run.reject(entry)
        found = run.take_up(target=9).thrown_out
        assert [(each.index, each.stage, each.reason) for each in found] == [
            (3, "checks", "role_order"),
            (1, "dialogue", "crash"),
        ]
        assert [read_line(run.rejected, each) for each in found] == lines


@pytest.mark.parametrize("field", ["id", "index", "stage", "reason"])
def test_a_line_of_rejected_jsonl_that_lacks_a_field_is_damaged(tmp_path: Path, field: str) -> None:
    whole = {"id": "d0000003", "index": 3, "stage": "checks", "reason": "role_order"}
    with RunDirectory(tmp_path) as run:
        run.claim({}, {})
        run.reject({name: value for name, value in whole.items() if name != field})
        run.reject(whole | {"index": 5})
        earlier = run.take_up(target=9)
    assert ([each.index for each in earlier.thrown_out], earlier.damaged) == ([5], 1)


def test_a_dialogue_in_both_files_counts_as_accepted(tmp_path: Path) -> None:
    with RunDirectory(tmp_path) as run:
        run.claim({}, {})
        run.accept(line(4))
        for index in (4, 5):
            run.reject({"id": "d", "index": index, "stage": "checks", "reason": "role_order"})
        earlier = run.take_up(target=9)
        assert earlier.accepted == [4]
        assert [line.index for line in earlier.thrown_out] == [5]


def test_a_run_keeps_its_inputs_and_tells_how_another_differs(tmp_path: Path) -> None:
    def inputs(prompt: str, **tools: str) -> Inputs:
        lines = b"".join(
            msgspec.json.encode({"name": name, "description": tools[name]}) + b"\n" for name in tools
        )
        return {CATALOGUE: gzip.compress(lines), "user.j2": prompt.encode()}

    def fingerprint(prompt: str, tools: int, seed: int) -> dict[str, object]:
        return {
            "prompts": {"user": prompt, "tool": "t"},
            "catalogue": {"tools": tools, "hash": str(tools)},
            "seed": seed,
        }

    with RunDirectory(tmp_path) as run:
        run.claim(fingerprint("a", 3, 1), {}, lambda: inputs("one\ntwo", ping="1", pong="2", old="3"))
        assert run.claim(fingerprint("a", 3, 1), {})
        with pytest.raises(RunDirectoryError) as refused:
            run.claim(
                fingerprint("b", 4, 2), {}, lambda: inputs("one\n2", ping="1", pong="!", new="3", newer="4")
            )
    assert refused.value.message.splitlines()[1:] == [
        "  catalogue: 3 tools → 4 tools: 2 added (new, newer), 1 removed (old), 1 changed (pong)",
        '  prompts: user.j2 has changed; first in line 2: "two" → "2"',
        "  seed: 1 → 2",
    ]
    assert "--fork NEW_RUN" in (refused.value.hint or "")


def test_a_run_of_another_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": 99, "toolflow": "9.1.0", "fingerprint": {}}')
    with (
        RunDirectory(tmp_path) as run,
        pytest.raises(RunDirectoryError, match=r"ToolFlow 9\.1\.0 .* layout 99"),
    ):
        run.claim({}, {})


@pytest.mark.parametrize("index", [-1, 2**63])
def test_a_line_with_an_index_that_no_dialogue_has_is_taken_out(tmp_path: Path, index: int) -> None:
    with RunDirectory(tmp_path) as run:
        run.accept(line(0))
        run.accept(line(0) | {"metadata": {"index": index}})
        earlier = run.take_up(target=9)
    assert (earlier.accepted, earlier.damaged) == ([0], 1)
