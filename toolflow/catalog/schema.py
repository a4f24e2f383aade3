"""JSON Schema: compiled once, never fetching anything, problems told in words a model can act on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from toolflow.errors import CatalogueError

_MOST_PROBLEMS = 8


class Validator:
    """A compiled schema."""

    __slots__ = ("_compiled",)

    def __init__(self, compiled: jsonschema_rs.Draft202012Validator) -> None:
        self._compiled = compiled

    def is_valid(self, value: object) -> bool:
        return self._compiled.is_valid(value)

    def problems(self, value: object) -> list[str]:
        """One sentence for each violation, at most eight; empty when the value is valid."""
        if self._compiled.is_valid(value):
            return []
        problems: list[str] = []
        for error in self._compiled.iter_errors(value):
            where = ".".join(str(step) for step in error.instance_path)
            problems.append(f"{where}: {error.message}" if where else error.message)
            if len(problems) == _MOST_PROBLEMS:
                break
        return problems


def compile_schema(schema: Mapping[str, Any]) -> Validator:
    """Compile a JSON Schema 2020-12; ``$ref`` resolves inside the schema only.

    Raises:
        CatalogueError: The schema is not a valid JSON Schema, or a ``$ref`` points outside it or nowhere.
    """
    try:
        return Validator(jsonschema_rs.Draft202012Validator(dict(schema), offline=True))
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise CatalogueError(f"not a valid JSON Schema: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """The first line of an error's text: third-party errors print whole schemas behind it."""
    return (str(error).splitlines() or [type(error).__name__])[0]
