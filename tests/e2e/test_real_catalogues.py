"""The main job on real catalogues; skipped where they are not at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.commands import Command
from tests.e2e.validation import assert_valid, lines, shares


@pytest.mark.parametrize(
    ("catalogue", "options", "reuse"),
    [
        # Its tools return single words that hardly any parameter takes, so little can be handed on.
        ("seal_tools.jsonl.gz", (), 0.0),
        ("rapidapi_core.jsonl.gz", ("--limit-tools", 2000), 0.1),
        ("sgd.jsonl", (), 1 / 3),
    ],
)
def test_a_real_catalogue_makes_a_valid_data_set(
    catalogue: str,
    options: tuple[object, ...],
    reuse: float,
    command: Command,
    shared_data: Path,
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    done = command("synth", "--tools", shared_data / "tools" / catalogue, "-n", 20, "-o", run, *options)
    assert done.returncode == 0, done.stderr
    dialogues = lines(run / "dialogues.jsonl")
    assert len(dialogues) == 20
    for line in dialogues:
        assert_valid(line)
    measured = shares(dialogues)
    assert measured.two_tools >= 1 / 2
    assert measured.reuses_a_result >= reuse
    assert measured.asks >= 1 / 10
