"""YAML documents as the JSON that the formats read. Imported only when a file is YAML."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from toolflow.errors import CatalogueError

_MOST_PARTS = 5_000_000
_BOOLEANS = frozenset({"true", "false", "True", "False", "TRUE", "FALSE"})


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader with the types of YAML 1.2, as OpenAPI asks: ``NO`` is a country, not false."""

    def construct_yaml_bool(self, node: yaml.ScalarNode) -> Any:
        return node.value.lower() == "true" if node.value in _BOOLEANS else node.value


_Loader.add_constructor("tag:yaml.org,2002:bool", _Loader.construct_yaml_bool)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)


def json_of_yaml(data: bytes, *, label: str) -> bytes:
    """The JSON text of a YAML document.

    Args:
        data: UTF-8 text of one YAML document.
        label: The file as messages name it.

    Raises:
        CatalogueError: It is not valid YAML, holds what JSON cannot, or its aliases unfold without measure.
    """
    try:
        value = yaml.load(data, Loader=_Loader)  # noqa: S506 - a safe loader, by another name
        if _parts(value, {}) > _MOST_PARTS:
            raise CatalogueError(
                f"{label}: the aliases of the YAML unfold to more than {_MOST_PARTS:,} parts"
            )
        return msgspec.json.encode(value)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = getattr(error, "problem", None) or type(error).__name__
        raise CatalogueError(
            f"{label}:{line}: not valid YAML: {problem}", hint="Correct the file."
        ) from error
    except (RecursionError, TypeError, ValueError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise CatalogueError(
            f"{label}: the YAML has no form in JSON: {reason}", hint="Save the file as JSON."
        ) from error


def _parts(value: Any, known: dict[int, int]) -> int:
    """How many values the unfolded document has; each shared part is counted once and remembered."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        children = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_parts(child, known) for child in children)
    return known[id(value)]
