"""Defaults, under a YAML file, under the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from toolflow.config.run import RunConfig
from toolflow.errors import UsageError

_WORDS: Final[Mapping[str, str]] = {
    "extra_forbidden": "there is no such setting",
    "tuple_type": "must be a list",
    "model_type": "must hold fields",
    "dict_type": "must hold fields",
}
"""For kinds of problems that pydantic tells in the words of Python."""

_IN_A_FILE: Final = (
    "Settings are named as the options of toolflow synth --help, with underscores, such as max_cost: 20; "
    "graph, encoder and threshold stand under sampler."
)


def load_config(file: Path | None, flags: Mapping[str, Any]) -> RunConfig:
    """Merge the defaults, a YAML file and the command line's flags.

    Args:
        file: YAML with the fields of :class:`RunConfig`, or None.
        flags: What the command line sets; None stands for not set. A dotted key reaches into a section.

    Raises:
        UsageError: The file cannot be read, or a field is unknown or has a wrong value.
    """
    merged = _read_yaml(file) if file is not None else {}
    for name, value in flags.items():
        if value is None:
            continue
        *sections, field = name.split(".")
        target = merged
        for section in sections:
            target = _fields_of(target, section, file)
        if isinstance(value, Mapping):
            _fields_of(target, field, file).update(value)
        else:
            target[field] = value
    try:
        return RunConfig.model_validate(merged)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'configuration'}: "
            f"{_WORDS.get(problem['type']) or problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_url=False)
        )
        if file is not None:
            raise UsageError(f"{file}: {problems}", hint=_IN_A_FILE) from None
        raise UsageError(
            problems, hint="toolflow synth --help lists the options and what they take."
        ) from None


def _fields_of(settings: dict[str, Any], name: str, file: Path | None) -> dict[str, Any]:
    """The fields of a section, to be changed; an empty one is made where it says nothing."""
    if settings.get(name) is None:
        settings[name] = {}
    section = settings[name]
    if not isinstance(section, dict):
        raise UsageError(f"{file}: {name}: must hold fields", hint=_IN_A_FILE)
    return section


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"{file}: the configuration cannot be read: {error.strerror}",
            hint="Check the path after --config.",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(yaml_problem(str(file), error)) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{file}: must hold fields such as 'n: 100'", hint=_IN_A_FILE)
    return content


def yaml_problem(file: str, error: Exception) -> str:
    """What is wrong with a YAML file, and where; ``error`` is of PyYAML, or of decoding text."""
    mark = getattr(error, "problem_mark", None)
    place = file if mark is None else f"{file}:{mark.line + 1}"
    return f"{place}: not valid YAML: {' '.join(str(getattr(error, 'problem', None) or error).split())}"
