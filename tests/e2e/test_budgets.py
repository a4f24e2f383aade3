"""Limits and budgets of a run, against the rehearsal server in a process of its own."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from tests.e2e.conftest import Command


@pytest.fixture
def server(start: Callable[..., Popen[str]]) -> Iterator[Callable[..., str]]:
    """Start ``toolflow provider`` with options; its base URL."""
    processes: list[Popen[str]] = []

    def serve(*options: str) -> str:
        process = start("provider", "--port", "0", *options)
        processes.append(process)
        assert process.stdout is not None
        return next(word for word in process.stdout.readline().split() if word.startswith("http"))

    yield serve
    for process in processes:
        process.terminate()
        process.wait(20)


def counters(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/rehearsal/counters") as response:
        counted: dict[str, Any] = json.load(response)
    return counted


def synth(*urls: str) -> list[str]:
    endpoints = [part for url in urls for part in ("--base-url", url)]
    return ["synth", "--model", "rehearsal", "--tool-calls", "native", "--display", "none", *endpoints]


def test_a_bound_on_calls_is_hard_and_a_larger_one_goes_on(
    server: Callable[..., str], command: Command, tmp_path: Path
) -> None:
    url = server()
    stopped = command(*synth(url), "-n", 10, "--max-calls", 60, "-o", tmp_path / "run")
    assert stopped.returncode == 3, stopped.stderr
    assert "--max-calls" in stopped.stderr
    assert counters(url)["requests"] == 60
    goes_on = command(*synth(url), "-n", 10, "-o", tmp_path / "run")
    assert goes_on.returncode == 0, goes_on.stderr
    assert counters(url)["repeated"] == 0


def test_a_bound_on_time_ends_a_run_whose_endpoint_hangs(
    server: Callable[..., str], command: Command, tmp_path: Path
) -> None:
    url = server("--latency", "0.3")
    stopped = command(*synth(url), "-n", 50, "--max-time", 1, "-o", tmp_path / "run")
    assert stopped.returncode == 3, stopped.stderr
    assert "--max-time" in stopped.stderr


def test_a_cost_is_bounded_by_prices_that_are_given(
    server: Callable[..., str], command: Command, tmp_path: Path
) -> None:
    url = server()
    prices = tmp_path / "prices.yaml"
    prices.write_text('"rehearsal": {input_per_million: 1.0, output_per_million: 2.0}\n')
    arguments = [*synth(url), "-n", 50, "--prices", prices, "--json", "-o", tmp_path / "run"]
    stopped = command(*arguments, "--max-cost", 0.05)
    assert stopped.returncode == 3, stopped.stderr
    summary = json.loads(stopped.stdout)
    tokens = summary["tokens"]
    cost = (tokens["prompt"] * 1.0 + tokens["completion"] * 2.0) / 1e6
    assert summary["cost_usd"] == pytest.approx(cost, abs=1e-6)
    assert 0 < cost <= 0.05


def test_a_cost_without_a_price_is_refused_before_anything_is_spent(
    server: Callable[..., str], command: Command, tmp_path: Path
) -> None:
    url = server()
    arguments = ["synth", "--model", "nobody-1", "--tool-calls", "native", "--base-url", url]
    refused = command(*arguments, "--max-cost", 1, "-o", tmp_path / "run")
    assert refused.returncode == 2
    assert "nobody-1" in refused.stderr
    assert "--prices" in refused.stderr
    assert counters(url)["requests"] == 0
    assert not (tmp_path / "run").exists()


def test_faults_lose_no_dialogue_and_change_none(
    server: Callable[..., str], command: Command, tmp_path: Path
) -> None:
    files: list[bytes] = []
    for name, options in (("calm", ()), ("rough", ("--faults", "500=0.03,reset=0.03,html=0.02"))):
        run = command(*synth(server(*options)), "-n", 8, "-o", tmp_path / name)
        assert run.returncode == 0, run.stderr
        command("export", tmp_path / name, "-o", tmp_path / f"{name}.jsonl")
        files.append((tmp_path / f"{name}.jsonl").read_bytes())
    assert files[0] == files[1]


def test_calls_are_spread_over_endpoints_and_one_that_is_down_is_no_obstacle(
    server: Callable[..., str], command: Command, tmp_path: Path
) -> None:
    first, second = server("--latency", "0.01"), server("--latency", "0.01")
    gone = "http://127.0.0.1:9/v1"
    run = command(*synth(first, second, gone), "-n", 20, "-o", tmp_path / "run")
    assert run.returncode == 0, run.stderr
    assert f"{gone} does not answer" in run.stderr
    assert all(counters(url)["completed"] > 50 for url in (first, second))


def test_second_attempts_change_no_dialogue(
    server: Callable[..., str], command: Command, tmp_path: Path
) -> None:
    files: list[bytes] = []
    for name, options in (("once", ()), ("twice", ("--hedge", 0.5, "--max-calls", 2000))):
        url = server("--latency", "0.02", "--latency-spread", "1.2")
        run = command(*synth(url), *options, "-n", 6, "-o", tmp_path / name)
        assert run.returncode == 0, run.stderr
        assert json.loads((tmp_path / name / "summary.json").read_bytes())["calls"]["failed"] == 0
        command("export", tmp_path / name, "-o", tmp_path / f"{name}.jsonl")
        files.append((tmp_path / f"{name}.jsonl").read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--max-concurrency", "0"], "max_concurrency"),
        (["--max-concurrency", "many"], "max_concurrency"),
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
