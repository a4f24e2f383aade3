"""What README and help texts tell to type is a command with options that it has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from tests.unit.invoking import run
from toolflow.cli import app

README = Path(__file__).resolve().parents[3] / "README.md"


def commands(group: TyperGroup, *path: str) -> Iterator[tuple[tuple[str, ...], set[str], str]]:
    """Each command with its options and the examples below its help."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, *path, name)
        else:
            options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
            yield (*path, name), {*options, "--help", "-h"}, command.epilog or ""


def group() -> TyperGroup:
    found = get_command(app)
    assert isinstance(found, TyperGroup)
    return found


OPTIONS = {path: options for path, options, _ in commands(group())}


def examples() -> Iterator[str]:
    for block in re.findall(r"```sh\n(.*?)```", README.read_text("utf-8"), re.DOTALL):
        yield from re.findall(r"^toolflow .*$", block.replace("\\\n", " "), re.MULTILINE)
    for _, _, below in commands(group()):
        yield from re.findall(r"^\$ (toolflow .*)$", below, re.MULTILINE)


@pytest.mark.parametrize("example", sorted({*examples()}))
def test_an_example_names_options_that_there_are(example: str) -> None:
    _, *words = shlex.split(re.sub(r"\s+(#|>|\|)\s.*", "", example))
    path = next(tuple(words[:length]) for length in (2, 1) if tuple(words[:length]) in OPTIONS)
    given = {word.partition("=")[0] for word in words[len(path) :] if re.match(r"--?[a-z]", word)}
    assert given <= OPTIONS[path]


@pytest.mark.parametrize("path", OPTIONS, ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    assert f"Usage: toolflow {' '.join(path)}" in " ".join(run(*path, "--help").stdout.split())


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("toolflow sy", "synth"),
        ("toolflow graph sco", "score"),
        ("toolflow synth --max-c", "--max-concurrency"),
    ],
)
def test_the_shell_is_told_how_to_complete(
    monkeypatch: pytest.MonkeyPatch, typed: str, offered: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_TOOLFLOW_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    with pytest.raises(SystemExit):
        app(prog_name="toolflow")
    assert offered in capsys.readouterr().out.split()
