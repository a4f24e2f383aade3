"""Runs commands in this process, as their users do in a shell."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from toolflow.cli import app
from toolflow.errors import ToolFlowError


def invoke(*arguments: str | Path | float) -> Result:
    """What a command prints and how it ends; errors of ours go through."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def run(*arguments: str | Path | float, code: int = 0) -> Result:
    """The same of a command that ends with this exit code."""
    result = invoke(*arguments)
    assert result.exit_code == code, result.output
    return result


def fail(error: type[ToolFlowError], *arguments: str | Path | float) -> ToolFlowError:
    """The error of a command that fails."""
    with pytest.raises(error) as caught:
        invoke(*arguments)
    return caught.value
