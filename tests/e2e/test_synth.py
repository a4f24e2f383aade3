"""The main job end to end: the installed command, the sample catalogue, the rehearsal model."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from tests.e2e.commands import Command, Start
from tests.e2e.runs import serve, until
from tests.e2e.validation import assert_valid, lines, shares


@pytest.fixture(scope="module")
def run(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 60 dialogues with nothing configured."""
    folder = tmp_path_factory.mktemp("synth") / "run"
    done = command("synth", "-n", 60, "-o", folder)
    assert done.returncode == 0, done.stderr
    assert "rehearsal model answers" in done.stderr
    assert "sample catalogue" in done.stderr
    return folder


def content(run: Path) -> list[str]:
    """The lines of dialogues.jsonl, which come in the order of completion."""
    return sorted((run / "dialogues.jsonl").read_text("utf-8").splitlines())


def test_every_line_is_a_valid_dialogue(run: Path) -> None:
    dialogues = lines(run / "dialogues.jsonl")
    assert len(dialogues) == 60
    assert len({line["id"] for line in dialogues}) == 60
    for line in dialogues:
        assert_valid(line)
        assert line["metadata"]["rehearsal"] is True
        assert 4 <= len(line["plan"]["goals"]) <= 7


def test_dialogues_chain_reuse_and_ask(run: Path) -> None:
    measured = shares(lines(run / "dialogues.jsonl"))
    assert measured.two_tools >= 1 / 2
    assert measured.reuses_a_result >= 1 / 3
    assert measured.asks >= 1 / 10


def test_the_summary_adds_up(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    rejected = lines(run / "rejected.jsonl")
    assert summary["dialogues"]["accepted"] == summary["dialogues"]["target"] == 60
    assert summary["dialogues"]["rejected"] + summary["dialogues"]["failed"] == len(rejected)
    assert sum(summary["reasons"].values()) == len(rejected)
    assert summary["calls"]["completed"] > 60 * 8
    assert summary["tokens"]["prompt"] > summary["tokens"]["completion"] > 0
    assert summary["rehearsal"] is True
    assert all(line["reason"] and line["stage"] for line in rejected)


def test_the_run_says_what_it_was_made_from(run: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    assert facts["fingerprint"]["seed"] == 0
    assert set(facts["fingerprint"]["prompts"]) == {"planner", "user", "assistant", "tool"}
    assert re.fullmatch("[0-9a-f]{16,}", facts["fingerprint"]["catalogue"]["hash"])


@pytest.mark.parametrize("concurrency", [1, 7])
def test_the_data_set_does_not_depend_on_concurrency(
    run: Path, command: Command, tmp_path: Path, concurrency: int
) -> None:
    other = tmp_path / "run"
    done = command("synth", "-n", 60, "-o", other, "--max-concurrency", concurrency, "--display", "none")
    assert done.returncode == 0, done.stderr

    assert content(run) == content(other)
    for folder in (run, other):
        assert command("export", folder, "-o", folder / "openai.jsonl").returncode == 0
    assert (run / "openai.jsonl").read_bytes() == (other / "openai.jsonl").read_bytes()


def test_the_rehearsal_model_says_the_same_over_http(
    run: Path, command: Command, start: Start, tmp_path: Path
) -> None:
    server = serve(start)
    arguments = ("--model", "rehearsal", "--base-url", server.url, "--tool-calls", "native")
    done = command("synth", "-n", 15, "-o", tmp_path / "run", *arguments)
    assert done.returncode == 0, done.stderr
    over_http = {line["id"]: line for line in lines(tmp_path / "run" / "dialogues.jsonl")}
    in_process = {line["id"]: line for line in lines(run / "dialogues.jsonl")}
    assert over_http == {dialogue_id: in_process[dialogue_id] for dialogue_id in over_http}


def test_the_same_command_again_has_nothing_to_do(run: Path, command: Command) -> None:
    before = (run / "dialogues.jsonl").read_bytes()
    done = command("synth", "-n", 60, "-o", run, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["dialogues"]["accepted"] == 60
    assert (run / "dialogues.jsonl").read_bytes() == before


def test_another_seed_is_refused_with_the_difference(run: Path, command: Command) -> None:
    done = command("synth", "-n", 60, "-o", run, "--seed", 5)
    assert done.returncode == 2
    assert "seed: 0 → 5" in done.stderr


def test_an_interrupted_run_is_continued_to_the_same_data_set(
    run: Path, command: Command, start: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    process = start("synth", "-n", 60, "-o", folder, "--max-concurrency", 2, "--display", "none")
    journal = folder / "journal.sqlite-wal"
    assert until(process, lambda: journal.exists() and journal.stat().st_size > 100_000)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    done = command("synth", "-n", 60, "-o", folder, "--display", "none")
    assert done.returncode == 0, done.stderr

    assert content(folder) == content(run)


def test_candidates_that_are_used_up_end_the_run_with_3(command: Command, tmp_path: Path) -> None:
    done = command("synth", "-n", 10, "-o", tmp_path / "run", "--max-candidates", 4)
    assert done.returncode == 3
    assert "candidates are used up" in done.stderr


def test_calls_through_json_work_as_well(command: Command, tmp_path: Path) -> None:
    done = command("synth", "-n", 10, "-o", tmp_path / "run", "--tool-calls", "json")
    assert done.returncode == 0, done.stderr
    for line in lines(tmp_path / "run" / "dialogues.jsonl"):
        assert_valid(line)


def test_a_dry_run_makes_nothing(command: Command, tmp_path: Path) -> None:
    done = command("synth", "-n", 10, "-o", tmp_path / "run", "--dry-run", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["dialogues"] == 10
    assert not (tmp_path / "run").exists()


def test_models_per_role_are_drawn_by_seed(command: Command, start: Start, tmp_path: Path) -> None:
    server = serve(start)
    config = tmp_path / "config.yaml"
    config.write_text("n: 12\nroles:\n  user:\n    model: [rehearsal, rehearsal-b]\n    temperature: 1.0\n")
    arguments = ("synth", "--config", config, "--model", "rehearsal")
    unreachable = command(*arguments, "-o", tmp_path / "nowhere")
    assert unreachable.returncode == 2
    assert "no endpoint is configured for rehearsal-b" in unreachable.stderr
    done = command(*arguments, "-o", tmp_path / "run", "--base-url", server.url)
    assert done.returncode == 0, done.stderr
    models = [line["metadata"]["models"] for line in lines(tmp_path / "run" / "dialogues.jsonl")]
    assert {cast["user"] for cast in models} == {"rehearsal", "rehearsal-b"}
    assert {cast["assistant"] for cast in models} == {"rehearsal"}
