"""Run directories with something missing, foreign or copied, and commands that meet on one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.commands import Command, Start
from tests.e2e.runs import FEW, Reference, Run, assert_each_index_once, exported, finish, serve, until
from tests.e2e.validation import lines

USAGE = 2


@pytest.fixture(scope="module")
def reference(uninterrupted: Callable[[int], Reference]) -> Reference:
    return uninterrupted(FEW)


def without_journal(folder: Path) -> None:
    for file in folder.glob("journal.sqlite*"):
        file.unlink()


def with_empty_journal(folder: Path) -> None:
    without_journal(folder)
    (folder / "journal.sqlite").touch()


@pytest.mark.parametrize("lose", [without_journal, pytest.param(with_empty_journal, marks=pytest.mark.slow)])
def test_finished_dialogues_outlive_their_journal(
    command: Command,
    start: Start,
    killed: Run,
    tmp_path: Path,
    reference: Reference,
    lose: Callable[[Path], None],
) -> None:
    run = killed.copied(tmp_path / "run")
    lose(run.folder)
    finished = run.line_count()
    before = run.server.count("requests")
    said = finish(start, run)
    assert "journal.sqlite is gone" in said
    assert exported(command, run.folder) == reference.exported
    assert_each_index_once(run.folder, FEW)
    # None of the finished ones was asked for again.
    share = (FEW - finished + 1) / FEW
    assert run.server.count("requests") - before < reference.calls * share * 1.2
    with closing(sqlite3.connect(run.folder / "journal.sqlite")) as journal:
        indices = {row[0] for row in journal.execute("SELECT DISTINCT dialogue FROM calls")}
    done = {line["metadata"]["index"] for line in lines(killed.folder / "dialogues.jsonl")}
    assert not indices & done


def test_the_summary_tells_that_a_process_was_killed(start: Start, killed: Run, tmp_path: Path) -> None:
    """It leaves neither its time nor what failed; calls and LLM tokens are known all the same."""
    run = killed.copied(tmp_path / "run")
    for counted in (1, 2):
        said = finish(start, run)
        assert "s (processes not counted: 1)" in said
        summary = json.loads((run.folder / "summary.json").read_text())
        assert summary["processes"] == {"begun": 1 + counted, "counted": counted}
        assert summary["calls"]["completed"] == run.journalled()


def test_a_process_that_was_killed_at_once_is_known_too(start: Start, tmp_path: Path) -> None:
    run = Run(tmp_path / "run", 2, serve(start, "--latency", 0.2))
    for claimed in (partial(claims, run.folder, times) for times in (1, 2)):
        process = start(*run.arguments)
        assert until(process, claimed)
        process.kill()
        process.wait(20)
    assert "s (processes not counted: 2)" in finish(start, run)
    assert run.summary()["processes"] == {"begun": 3, "counted": 1}


def claims(folder: Path, times: int) -> bool:
    """Whether so many processes have begun a run."""
    record = folder / "run.json"
    return record.exists() and bool(json.loads(record.read_text())["processes"] == times)


def test_what_a_killed_fork_has_taken_over_is_counted(
    start: Start, reference: Reference, tmp_path: Path
) -> None:
    origin, fork = tmp_path / "origin", tmp_path / "fork"
    shutil.copytree(reference.folder, origin)
    # The greater target is played by a provider that answers late.
    run = Run(fork, FEW + 4, serve(start, "--latency", 0.3))
    arguments = ("synth", "-n", FEW + 4, "-o", origin, "--fork", fork, "--display", "none")
    served = (*arguments, "--model", "rehearsal", "--base-url", run.server.url, "--tool-calls", "native")
    process = start(*served)
    assert until(process, lambda: run.line_count() >= FEW)
    process.kill()
    process.wait(20)
    before = count_taken_over(fork)
    _, said = start(*served).communicate(timeout=100)
    assert run.summary()["calls"]["taken_over"] == count_taken_over(fork) >= before > 0, said


def count_taken_over(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal:
        return int(journal.execute("SELECT count(*) FROM calls WHERE attempts = 0").fetchone()[0])


def test_a_journal_outlives_its_dialogues(
    command: Command, start: Start, killed: Run, tmp_path: Path, reference: Reference
) -> None:
    run = killed.copied(tmp_path / "run")
    for name in ("dialogues.jsonl", "rejected.jsonl"):
        (run.folder / name).unlink(missing_ok=True)
    journalled, before = run.journalled(), run.server.count("requests")
    finish(start, run)
    assert run.server.count("requests") - before == run.journalled() - journalled
    assert exported(command, run.folder) == reference.exported


def foreign_lines(folder: Path) -> None:
    file = folder / "dialogues.jsonl"
    whole = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(
        b"".join([whole[0], b'{"metadata": {"index": 77}}\n', b"\n", *whole[1:], whole[0], whole[1][:99]])
    )


def other_ends(folder: Path) -> None:
    file = folder / "dialogues.jsonl"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))


def odd_summary(folder: Path) -> None:
    (folder / "summary.json").write_text('{"calls": {"failed": "many"}, "processes": 3, "wall_s": null}')


def without_record(folder: Path) -> None:
    (folder / "run.json").unlink()


def stale_index(folder: Path) -> None:
    file = folder / "journal.sqlite-shm"
    file.write_bytes(os.urandom(32_768))


@pytest.mark.parametrize(
    "harm",
    [
        foreign_lines,
        without_record,
        odd_summary,
        pytest.param(other_ends, marks=pytest.mark.slow),
        pytest.param(stale_index, marks=pytest.mark.slow),
    ],
)
def test_harm_that_costs_nothing(
    command: Command,
    start: Start,
    killed: Run,
    tmp_path: Path,
    reference: Reference,
    harm: Callable[[Path], None],
) -> None:
    run = killed.copied(tmp_path / "run")
    harm(run.folder)
    journalled, before = run.journalled(), run.server.count("requests")
    finish(start, run)
    assert run.server.count("requests") - before == run.journalled() - journalled
    assert exported(command, run.folder) == reference.exported
    assert_each_index_once(run.folder, FEW)


@pytest.mark.slow
def test_a_copy_of_a_run_that_goes_on_is_a_run(
    command: Command, start: Start, tmp_path: Path, reference: Reference
) -> None:
    """Its files are of different instants."""
    run = Run(tmp_path / "run", FEW, serve(start, "--latency", 0.02))
    process = start(*run.arguments)
    for number in range(3):
        goal = 50 * (number + 1)
        assert until(process, lambda goal=goal: run.journalled() > goal)  # type: ignore[misc]
        shutil.copytree(run.folder, tmp_path / str(number))
    process.kill()
    process.wait(20)
    for number in range(3):
        copy = Run(tmp_path / str(number), FEW, run.server)
        finish(start, copy)
        assert exported(command, copy.folder) == reference.exported
        assert_each_index_once(copy.folder, FEW)


def test_a_journal_of_a_newer_version_is_left_alone(command: Command, killed: Run, tmp_path: Path) -> None:
    run = killed.copied(tmp_path / "run")
    with closing(sqlite3.connect(run.folder / "journal.sqlite")) as journal:
        journal.execute("PRAGMA user_version = 99")
    before = (run.folder / "journal.sqlite").read_bytes()
    for arguments in (run.arguments, ("explain", run.folder), ("check", run.folder)):
        done = command(*arguments)
        assert done.returncode == USAGE
        assert "schema 99" in done.stderr
        assert "Traceback" not in done.stderr
    assert (run.folder / "journal.sqlite").read_bytes() == before


def test_of_two_commands_in_the_same_instant_one_is_refused(
    command: Command, start: Start, tmp_path: Path, reference: Reference
) -> None:
    run = Run(tmp_path / "run", FEW, serve(start, "--latency", 0.01))
    both = [start(*run.arguments) for _ in range(2)]
    said = [process.communicate(timeout=100)[1] for process in both]
    codes = [process.returncode for process in both]
    assert 0 in codes
    assert set(codes) <= {0, USAGE}
    assert not any("Traceback" in errors for errors in said)
    if USAGE in codes:
        assert "in use by another process" in said[codes.index(USAGE)]
    assert run.server.count("repeated") == 0
    assert exported(command, run.folder) == reference.exported


def test_who_is_refused_has_read_and_asked_nothing(command: Command, start: Start, tmp_path: Path) -> None:
    run = Run(tmp_path / "run", 500, serve(start, "--latency", 0.05))
    process = start(*run.arguments)
    assert until(process, lambda: run.server.count("completed") > 10)
    done = command(
        *run.arguments, "--tools", tmp_path / "nowhere.jsonl", "--base-url", "http://127.0.0.1:9/v1"
    )
    assert done.returncode == USAGE
    assert f"in use by another process (PID {process.pid})" in done.stderr
    assert process.poll() is None
    process.kill()


def test_a_fork_of_a_damaged_journal_takes_over_what_is_left(
    command: Command, start: Start, reference: Reference, tmp_path: Path
) -> None:
    origin = tmp_path / "origin"
    shutil.copytree(reference.folder, origin)
    with closing(sqlite3.connect(origin / "journal.sqlite")) as journal:
        journal.execute(
            "UPDATE frames SET body = zeroblob(length(body)) WHERE id = "
            "(SELECT frame FROM calls WHERE dialogue = 5 LIMIT 1)"
        )
        journal.commit()
    done = command("synth", "-n", FEW, "-o", origin, "--fork", tmp_path / "fork", "--display", "none")
    assert done.returncode == 0, done.stderr
    assert exported(command, tmp_path / "fork") == reference.exported
    calls = json.loads((tmp_path / "fork" / "summary.json").read_text())["calls"]
    assert 0 < calls["completed"] < calls["taken_over"]


def test_a_prompt_that_was_changed_back(
    command: Command, killed: Run, tmp_path: Path, reference: Reference
) -> None:
    run = killed.copied(tmp_path / "run")
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    for file in (run.folder / "inputs").glob("*.j2"):
        shutil.copy(file, prompts)
    user = prompts / "user.j2"
    text = user.read_text()
    user.write_text(text.replace("You", "We", 1))
    done = command(*run.arguments, "--prompts", prompts)
    assert done.returncode == USAGE
    assert "user.j2 has changed" in done.stderr
    user.write_text(text)
    done = command(*run.arguments, "--prompts", prompts)
    assert done.returncode == 0, done.stderr
    assert exported(command, run.folder) == reference.exported


def test_a_larger_and_a_smaller_target(command: Command, reference: Reference, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(reference.folder, run)
    whole = reference.exported

    def synth(n: int, *options: str) -> int:
        done = command("synth", "-n", n, "-o", run, "--display", "none", *options)
        assert done.returncode == 0, done.stderr
        return int(json.loads((run / "summary.json").read_text())["calls"]["completed"])

    paid = synth(5, "--retry-failed")  # none has failed
    assert exported(command, run) == b"".join(whole.splitlines(keepends=True)[:5])
    assert synth(FEW) == paid
    assert exported(command, run) == whole
    assert synth(FEW + 3) > paid
    assert exported(command, run).startswith(whole)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_all_have_failed_and_are_tried_again(
    command: Command, start: Start, tmp_path: Path, reference: Reference
) -> None:
    run = Run(tmp_path / "run", FEW, serve(start))
    done = command(*run.at(serve(start, "--faults", "500=1.0")), "--retries", 0)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "--retry-failed" in done.stderr
    assert lines(run.folder / "rejected.jsonl")
    finish(start, run, "--retry-failed")
    assert exported(command, run.folder) == reference.exported
    assert {line["stage"] for line in lines(run.folder / "rejected.jsonl")} <= {"checks"}


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (signal.SIGTERM, signal.SIGTERM),
        pytest.param(signal.SIGINT, signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_a_second_signal_stops_at_once_while_calls_finish(
    command: Command,
    start: Start,
    tmp_path: Path,
    reference: Reference,
    first: signal.Signals,
    again: signal.Signals,
) -> None:
    run = Run(tmp_path / "run", FEW, serve(start, "--latency", 2.0))
    process = start(*run.arguments)
    assert until(process, lambda: run.server.count("completed") >= run.concurrency)
    process.send_signal(first)
    assert process.stderr is not None
    while "calls in flight finish first. Once more to stop at once" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(again)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    counters = run.server.settled()
    assert counters["completed"] < counters["requests"]  # they were not waited for
    finish(start, Run(run.folder, FEW, serve(start)))
    assert exported(command, run.folder) == reference.exported
