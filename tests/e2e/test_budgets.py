"""Limits and budgets of a run, against the rehearsal server in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.commands import Command, Start
from tests.e2e.runs import Server, serve


def synth(*servers: Server) -> list[str]:
    endpoints = [part for server in servers for part in ("--base-url", server.url)]
    return ["synth", "--model", "rehearsal", "--tool-calls", "native", "--display", "none", *endpoints]


def test_a_bound_on_calls_is_hard_and_a_larger_one_goes_on(
    start: Start, command: Command, tmp_path: Path
) -> None:
    server = serve(start)
    stopped = command(*synth(server), "-n", 10, "--max-calls", 60, "-o", tmp_path / "run")
    assert stopped.returncode == 3, stopped.stderr
    assert "--max-calls" in stopped.stderr
    assert server.count("requests") == 60
    goes_on = command(*synth(server), "-n", 10, "-o", tmp_path / "run")
    assert goes_on.returncode == 0, goes_on.stderr
    assert server.count("repeated") == 0


def test_a_bound_on_time_ends_a_run_that_is_far_from_done(
    start: Start, command: Command, tmp_path: Path
) -> None:
    server = serve(start, "--latency", "0.3")
    stopped = command(*synth(server), "-n", 50, "--max-time", 1, "-o", tmp_path / "run")
    assert stopped.returncode == 3, stopped.stderr
    assert "--max-time" in stopped.stderr


def test_a_cost_is_bounded_by_prices_that_are_given(start: Start, command: Command, tmp_path: Path) -> None:
    server = serve(start)
    prices = tmp_path / "prices.yaml"
    prices.write_text('"rehearsal": {input_per_million: 1.0, output_per_million: 2.0}\n')
    arguments = [*synth(server), "-n", 50, "--prices", prices, "--json", "-o", tmp_path / "run"]
    stopped = command(*arguments, "--max-cost", 0.05)
    assert stopped.returncode == 3, stopped.stderr
    summary = json.loads(stopped.stdout)
    tokens = summary["tokens"]
    cost = (tokens["prompt"] * 1.0 + tokens["completion"] * 2.0) / 1e6
    assert summary["cost_usd"] == pytest.approx(cost, abs=1e-6)
    assert 0 < cost <= 0.05


def test_a_cost_without_a_price_is_refused_before_anything_is_spent(
    start: Start, command: Command, tmp_path: Path
) -> None:
    server = serve(start)
    arguments = ["synth", "--model", "nobody-1", "--tool-calls", "native", "--base-url", server.url]
    refused = command(*arguments, "--max-cost", 1, "-o", tmp_path / "run")
    assert refused.returncode == 2
    assert "nobody-1" in refused.stderr
    assert "--prices" in refused.stderr
    assert server.count("requests") == 0
    assert not (tmp_path / "run").exists()


def test_faults_lose_no_dialogue_and_change_none(start: Start, command: Command, tmp_path: Path) -> None:
    files: list[bytes] = []
    for name, options in (("calm", ()), ("rough", ("--faults", "500=0.03,reset=0.03,html=0.02"))):
        run = command(*synth(serve(start, *options)), "-n", 8, "-o", tmp_path / name)
        assert run.returncode == 0, run.stderr
        command("export", tmp_path / name, "-o", tmp_path / f"{name}.jsonl")
        files.append((tmp_path / f"{name}.jsonl").read_bytes())
    assert files[0] == files[1]


def test_calls_are_spread_over_endpoints_and_one_that_is_down_is_no_obstacle(
    start: Start, command: Command, tmp_path: Path
) -> None:
    first, second = serve(start, "--latency", 0.01), serve(start, "--latency", 0.01)
    gone = Server("http://127.0.0.1:9/v1")
    run = command(*synth(first, second, gone), "-n", 20, "-o", tmp_path / "run")
    assert run.returncode == 0, run.stderr
    assert f"{gone.url} does not answer" in run.stderr
    assert all(server.count("completed") > 50 for server in (first, second))


def test_second_attempts_change_no_dialogue(start: Start, command: Command, tmp_path: Path) -> None:
    files: list[bytes] = []
    for name, options in (("once", ()), ("twice", ("--hedge", 0.5, "--max-calls", 2000))):
        server = serve(start, "--latency", "0.02", "--latency-spread", "1.2")
        run = command(*synth(server), *options, "-n", 6, "-o", tmp_path / name)
        assert run.returncode == 0, run.stderr
        assert json.loads((tmp_path / name / "summary.json").read_bytes())["calls"]["failed"] == 0
        command("export", tmp_path / name, "-o", tmp_path / f"{name}.jsonl")
        files.append((tmp_path / f"{name}.jsonl").read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--hedge", "2"], "hedge"),
        (["--base-url", "http://127.0.0.1:9/v1", "--base-url", "http://127.0.0.1:9/v1/"], "given twice"),
    ],
)
def test_wrong_limits_are_refused_in_words(
    options: list[str], words: str, command: Command, tmp_path: Path
) -> None:
    refused = command("synth", *options, "--model", "rehearsal", "-o", tmp_path / "run")
    assert refused.returncode == 2
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr
