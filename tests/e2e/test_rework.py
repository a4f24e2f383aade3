"""Runs looked at and judged again, with no model: check, explain, replay."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import pty
import shutil
import sqlite3
import subprocess
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.commands import COMMAND, Command, Start, environment
from tests.e2e.runs import Run, exported, serve, until
from tests.e2e.validation import lines
from toolflow.journal.run_directory import RunDirectory
from toolflow.quality.checks import CHECKS
from toolflow.rework.recheck import Recheck, recheck

USAGE, DIFFERS = 2, 3
NOWHERE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "OPENAI_BASE_URL"), "http://127.0.0.1:9")
"""Whoever asks a network under these gets nothing."""


@pytest.fixture(scope="module")
def made(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 dialogues, one or more rejected, whose catalogue and prompts have gone since."""
    folder = tmp_path_factory.mktemp("rework")
    shipped = files("toolflow")
    shutil.copy(str(shipped / "catalog" / "data" / "sample.jsonl"), folder / "tools.jsonl")
    shutil.copytree(str(shipped / "prompts"), folder / "prompts")
    done = command(
        *("synth", "-n", 12, "-o", folder / "run", "--display", "none", "--model", "rehearsal"),
        *("--tools", folder / "tools.jsonl", "--prompts", folder / "prompts", "--mistakes", 0.25),
    )
    assert done.returncode == 0, done.stderr
    (folder / "tools.jsonl").unlink()
    shutil.rmtree(folder / "prompts")
    assert lines(folder / "run" / "rejected.jsonl")
    return folder / "run"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def checked(command: Command, run: Path, *options: str) -> tuple[int, dict[str, Any]]:
    done = command("check", run, "--json", *options, **NOWHERE)
    assert done.returncode in {0, DIFFERS}, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found


def look(run: Path, processes: int = 1) -> Recheck:
    return recheck(run, progress=lambda _done, _total: None, processes=processes)


def by_index(path: Path) -> list[bytes]:
    return sorted(path.read_bytes().splitlines())


def test_a_run_that_stands_as_it_says(command: Command, run: Path) -> None:
    thrown_out = len(lines(run / "rejected.jsonl"))
    code, found = checked(command, run)
    assert code == 0
    assert found["checked"] == 12 + thrown_out
    assert found["dialogues"]["accepted"] == 12
    assert found["changes"] == []
    assert sum(found["reasons"].values()) == thrown_out


@pytest.mark.parametrize("damage", ["missing", "torn", "zeros", "doubled", "both missing"])
def test_damaged_files_are_made_whole(run: Path, made: Path, damage: str) -> None:
    dialogues, rejected = run / "dialogues.jsonl", run / "rejected.jsonl"
    whole = dialogues.read_bytes()
    match damage:
        case "missing":
            dialogues.unlink()
        case "torn":
            dialogues.write_bytes(whole[:-3000])
        case "zeros":
            dialogues.write_bytes(whole[:20_000] + bytes(4096) + whole[24_096:])
        case "doubled":
            dialogues.write_bytes(whole + whole[: whole.index(b"\n") + 1])
        case _:
            dialogues.unlink()
            rejected.unlink()
    with RunDirectory(run) as held:
        found = look(run)
        assert not found.agrees
        asyncio.run(found.apply(held))
    for name in ("dialogues.jsonl", "rejected.jsonl"):
        assert by_index(run / name) == by_index(made / name)
    assert [line["metadata"]["index"] for line in lines(dialogues)] == sorted(
        line["metadata"]["index"] for line in lines(dialogues)
    )
    assert look(run).agrees


def test_a_stricter_check_throws_out_and_the_run_is_refilled(
    command: Command, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check is a patch of this process; the run goes on without it."""

    objected: list[Any] = []

    def short(trajectory: Any, _tools: Any) -> Any:
        if trajectory.ended == "completed" and len(trajectory.messages) > 24:
            objected.append(trajectory)
            yield 24, "it goes on and on"

    first = lines(run / "dialogues.jsonl")
    long = sorted(line["metadata"]["index"] for line in first if len(line["messages"]) > 24)
    assert 0 < len(long) < 12
    with monkeypatch.context() as patch:
        patch.setitem(CHECKS, "short", short)
        found = look(run)
        assert [change.index for change in found.changes] == long
        assert {change.after for change in found.changes} == {("rejected", "short")}
        # The metadata of those that stay names one check more, and so do some that were rejected before.
        assert found.reworded == (12 - len(long)) + (len(objected) - len(long))
    assert checked(command, run)[1]["changes"] == []  # nothing was written
    with monkeypatch.context() as patch, RunDirectory(run) as held:
        patch.setitem(CHECKS, "short", short)
        asyncio.run(look(run).apply(held))
    kept = {line["metadata"]["index"] for line in lines(run / "dialogues.jsonl")}
    assert kept == {line["metadata"]["index"] for line in first} - set(long)
    done = command(
        *("synth", "-n", 12, "-o", run, "--display", "none", "--model", "rehearsal", "--mistakes", 0.25),
        *("--tools", run / "inputs" / "catalogue.jsonl.gz", "--prompts", run / "inputs"),
    )
    assert done.returncode == 0, done.stderr
    refilled = {line["metadata"]["index"] for line in lines(run / "dialogues.jsonl")}
    assert kept < refilled
    assert len(refilled) == 12
    assert not refilled & set(long)


@pytest.mark.parametrize("torn", [0, 500])
def test_lines_that_are_written_meanwhile_are_no_difference(run: Path, torn: int) -> None:
    """The run goes on while it is checked: what it finishes is in its journal before its line is written."""
    file = run / "dialogues.jsonl"
    whole = file.read_bytes()
    kept = len(b"".join(whole.splitlines(keepends=True)[:-3]))
    file.write_bytes(whole[: kept + torn])
    found = recheck(run, progress=lambda done, _total: done or file.write_bytes(whole), processes=1)
    assert found.agrees
    assert found.to_json() == look(run).to_json()


def test_several_processes_find_the_same(run: Path) -> None:
    (run / "dialogues.jsonl").unlink()
    assert look(run, processes=2).to_json() == look(run).to_json()


def test_a_missing_file_is_made_anew_by_the_command(command: Command, run: Path, made: Path) -> None:
    (run / "dialogues.jsonl").unlink()
    assert checked(command, run)[0] == DIFFERS
    code, found = checked(command, run, "--apply")
    assert code == 0
    assert found["applied"] is True
    assert by_index(run / "dialogues.jsonl") == by_index(made / "dialogues.jsonl")


def test_another_version_of_a_prompt_is_not_passed_off_as_the_run_s_own(command: Command, run: Path) -> None:
    prompt = run / "inputs" / "user.j2"
    prompt.write_text(prompt.read_text().replace("You", "We", 1))
    done = command("check", run)
    assert done.returncode == USAGE
    assert "is not the prompt that the run began with" in done.stderr


def test_dialogues_whose_calls_are_lost_stay_as_they_are(command: Command, run: Path) -> None:
    index = lines(run / "dialogues.jsonl")[0]["metadata"]["index"]
    with sqlite3.connect(run / "journal.sqlite") as journal:
        journal.execute("DELETE FROM calls WHERE dialogue = ? AND role = 'assistant'", (index,))
    journal.close()
    before = by_index(run / "dialogues.jsonl")
    code, found = checked(command, run, "--apply")
    assert code == DIFFERS
    assert list(found["stuck"]) == [f"d{index:07d}"]
    assert by_index(run / "dialogues.jsonl") == before


def test_explain_shows_why_where_and_at_what_cost(command: Command, run: Path) -> None:
    rejected = lines(run / "rejected.jsonl")[0]
    done = command("explain", run, rejected["id"], "--json", **NOWHERE)
    document = json.loads(done.stdout)
    assert document["state"] == "rejected"
    assert document["reason"] == rejected["reason"]
    assert document["messages"]
    calls = document["calls"]
    assert {call["role"] for call in calls} <= {"planner", "user", "assistant", "tool"}
    assert document["totals"]["calls"] == len(calls)
    assert document["totals"]["prompt_tokens"] == sum(call["prompt_tokens"] for call in calls)
    assert document["totals"]["cost_usd"] == 0
    shown = command("explain", run, rejected["index"]).stdout
    assert "rejected by the checks" in shown
    assert rejected["detail"][:40] in " ".join(shown.split())
    # One that was accepted: what is shown is what its line holds.
    accepted = lines(run / "dialogues.jsonl")[3]
    document = json.loads(command("explain", run, accepted["id"], "--json").stdout)
    assert document["messages"] == accepted["messages"]
    assert document["plan"] == accepted["plan"]
    assert document["totals"]["completion_tokens"] == accepted["metadata"]["usage"]["completion"]
    assert sum(call["repairs"] for call in document["calls"]) == accepted["metadata"]["repairs"]


def test_an_unfinished_dialogue_is_explained_as_far_as_it_goes(command: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = command("synth", "-n", 5, "-o", run, "--display", "none", "--model", "rehearsal", "--max-calls", 7)
    assert done.returncode == DIFFERS
    done = command("explain", run, 0, "--json")
    document = json.loads(done.stdout)
    assert document["state"] == "unfinished"
    assert document["plan"]["goals"]
    assert "not in the journal" in document["replay"]["detail"]
    assert "not finished" in command("explain", run).stdout
    assert "It goes no further" in command("replay", run, 0).stdout


def test_replay_prints_every_step_and_the_exact_prompts(command: Command, run: Path) -> None:
    accepted = lines(run / "dialogues.jsonl")[0]
    shown = command("replay", run, accepted["id"], **NOWHERE).stdout
    calls = json.loads(command("explain", run, accepted["id"], "--json").stdout)["calls"]
    assert sum(" call " in line and "LLM tokens" in line for line in shown.splitlines()) == len(calls)
    assert "DialogueEnded" in shown.splitlines()[-2]
    told = command("replay", run, accepted["id"], "--prompts").stdout
    template = (run / "inputs" / "user.j2").read_text()
    assert max(map(len, told.splitlines())) > 400  # no line of theirs is broken
    assert next(line for line in template.splitlines() if len(line) > 60 and "{" not in line) in told
    for message in accepted["messages"]:
        if message["role"] == "assistant":
            assert message["content"] or "" in told


def test_replay_waits_for_keys_on_a_terminal(run: Path) -> None:
    ours, its_own = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "replay", run], stdin=its_own, stdout=its_own, stderr=its_own, env=environment()
    )
    os.close(its_own)
    seen = b""

    def read_until(text: bytes, *, after: bytes = b"") -> None:
        nonlocal seen
        end = time.monotonic() + 30
        while text not in seen[seen.index(after) :]:
            assert time.monotonic() < end
            seen += os.read(ours, 65_536)

    read_until(b"1/")
    step = 1
    while b"PlanMade" not in seen:  # the first answer may have been no plan
        step += 1
        os.write(ours, b" ")
        read_until(f"{step}/".encode())
        read_until(b"\n", after=f"{step}/".encode())
    assert b"GoalInjected" not in seen
    os.write(ours, b"p")
    read_until("── reply ──".encode())
    os.write(ours, b"\r")
    read_until(b"GoalInjected")
    os.write(ours, b"q")
    assert process.wait(20) == 0
    assert b"DialogueEnded" not in seen
    os.close(ours)


@pytest.mark.parametrize("name", ["check", "explain", "replay"])
def test_what_cannot_be_looked_at_is_named(command: Command, run: Path, tmp_path: Path, name: str) -> None:
    def refused(*arguments: object) -> str:
        done = command(name, *arguments)
        assert done.returncode == USAGE
        assert "Traceback" not in done.stderr
        assert "hint:" in done.stderr
        return done.stderr

    assert "holds no run" in refused(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "empty").mkdir()
    assert "holds no run" in refused(tmp_path / "empty")
    assert "holds no run" in refused(run / "run.json")
    if name != "check":
        assert "no dialogue" in refused(run, "seven") or "'seven'" in refused(run, "seven")
        assert "d0009999" in refused(run, 9999)
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(facts | {"format": 1, "toolflow": "0.0.1"}))
    assert "ToolFlow 0.0.1" in refused(run)


def test_a_run_that_goes_on_can_be_looked_at_and_not_rewritten(
    command: Command, start: Start, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run", 400, serve(start, "--latency", 0.02))
    process = start(*run.arguments)
    assert until(process, lambda: run.size() > 0)
    assert json.loads(command("explain", run.folder, "--json").stdout)["state"] == "accepted"
    assert "PlanMade" in command("replay", run.folder).stdout
    assert command("check", run.folder).returncode in {0, DIFFERS}
    done = command("check", run.folder, "--apply")
    assert done.returncode == USAGE
    assert f"PID {process.pid}" in done.stderr
    assert process.poll() is None
    process.kill()


def test_a_fork_pays_only_for_what_differs(
    command: Command, start: Start, made: Path, tmp_path: Path
) -> None:
    catalogue = tmp_path / "tools.jsonl"
    catalogue.write_bytes(gzip.decompress((made / "inputs" / "catalogue.jsonl.gz").read_bytes()))
    prompts = shutil.copytree(made / "inputs", tmp_path / "prompts")
    (prompts / "catalogue.jsonl.gz").unlink()

    def synth(output: Path, *more: object) -> dict[str, Any]:
        done = command(
            *("synth", "-n", 12, "-o", output, "--display", "none", "--model", "rehearsal"),
            *("--tools", catalogue, "--prompts", prompts, "--mistakes", 0.25, *more),
        )
        assert done.returncode == 0, done.stderr
        folder = more[-1] if "--fork" in more else output
        summary: dict[str, Any] = json.loads((Path(str(folder)) / "summary.json").read_text())
        return summary

    before = by_index(made / "dialogues.jsonl")
    same = synth(made, "--fork", tmp_path / "same")
    assert same["calls"]["completed"] == same["tokens"]["prompt"] == 0
    assert same["calls"]["taken_over"] > 200
    assert by_index(tmp_path / "same" / "dialogues.jsonl") == before
    # A word in the assistant's prompt: plans and the users' first words stay, and are not paid again.
    prompt = prompts / "assistant.j2"
    prompt.write_text(prompt.read_text().replace("You ", "You, dear model, ", 1))
    done = command(
        *("synth", "-n", 12, "-o", made, "--model", "rehearsal", "--tools", catalogue),
        *("--prompts", prompts, "--mistakes", 0.25),
    )
    assert done.returncode == USAGE
    assert "assistant.j2 has changed; first in line" in done.stderr
    assert "--fork NEW_RUN" in done.stderr
    other = synth(made, "--fork", tmp_path / "other")
    assert other["calls"]["taken_over"] >= 2 * 12
    assert other["calls"]["completed"] > 12
    fresh = synth(tmp_path / "fresh")
    assert by_index(tmp_path / "other" / "dialogues.jsonl") == by_index(
        tmp_path / "fresh" / "dialogues.jsonl"
    )
    assert fresh["calls"]["completed"] == other["calls"]["completed"] + other["calls"]["taken_over"]
    # Continued under either name, the fork pays nothing more; the first run is as it was.
    assert synth(made, "--fork", tmp_path / "other")["calls"] == other["calls"]
    assert synth(tmp_path / "other")["calls"] == other["calls"]
    assert by_index(made / "dialogues.jsonl") == before
    taken = json.loads(command("explain", tmp_path / "other", "--json").stdout)["totals"]
    assert 0 < taken["taken_over"] < taken["calls"]


def test_retried_failures_fill_their_places(command: Command, start: Start, tmp_path: Path) -> None:
    """An outage fails some dialogues; once it is over they are accepted, and later ones give way."""
    server = serve(start)
    reference, run = Run(tmp_path / "reference", 20, server), Run(tmp_path / "run", 20, server)
    assert command(*reference.arguments).returncode == 0
    faulty = serve(start, "--faults", "500=0.02", "--fault-seed", 3)
    done = command(*run.at(faulty), "--retries", 0)
    failed = [line for line in lines(run.folder / "rejected.jsonl") if line["stage"] == "dialogue"]
    assert failed, done.stderr
    assert "--retry-failed" in done.stderr
    assert f"{failed[-1]['reason']}: {faulty.url} answered 500" in done.stderr
    assert "failed while it was played" in command("explain", run.folder, failed[0]["id"]).stdout
    done = command(*run.arguments, "--retry-failed")
    assert done.returncode == 0, done.stderr
    assert f"{len(failed)} failed dialogues are tried again" in done.stderr
    assert exported(command, run.folder) == exported(command, reference.folder)
    counts = run.summary()["dialogues"]
    assert (counts["accepted"], counts["failed"]) == (20, 0)


@pytest.mark.parametrize("name", ["dialogues.jsonl", "rejected.jsonl"])
def test_a_file_that_cannot_be_read_is_told(command: Command, run: Path, name: str) -> None:
    (run / name).unlink()
    (run / name).mkdir()
    for arguments in (("explain", run), ("check", run)):
        done = command(*arguments)
        assert done.returncode == USAGE
        assert f"{name}: Is a directory" in done.stderr
        assert "hint: " in done.stderr
