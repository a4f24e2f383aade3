"""The fields of a whole catalogue as arrays, equal ones under one key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolflow.catalog.tool import Tool
from toolflow.graph.linking.fields import ANY_TYPE, BOOLEAN, Field, type_name
from toolflow.graph.linking.naming import Specificity, alias, measure_specificity, own_names, subjects
from toolflow.graph.linking.vocabulary import BOILERPLATE, Name

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_OPTIONAL = 0.85
_BOOLEAN = 0.5
_ECHO = 0.7


@dataclass(frozen=True, slots=True)
class Key:
    """What is compared of a field: equal keys are encoded and compared once.

    Attributes:
        names: The names it goes by, best first, boilerplate left out; never empty.
        text: ``name: description (type)``, what the encoder sees.
        types: Bits of its JSON types.
    """

    names: tuple[Name, ...]
    text: str
    types: int


@dataclass(frozen=True, slots=True, eq=False)
class FieldTable:
    """The fields of one side, parameters or returns, tool by tool.

    Attributes:
        keys: The distinct keys, in order of first occurrence.
        paths: Path of each field.
        tool: Index of each field's tool, shape (fields,).
        key: Index of each field's key, shape (fields,).
        factor: What the field's part in a call leaves of a link's weight, in (0, 1], shape (fields,).
        tool_start: Fields of tool t are ``tool_start[t]`` up to ``tool_start[t + 1]``, shape (tools + 1,).
        by_key: The fields sorted by key, shape (fields,).
        key_start: Fields of key k are ``by_key[key_start[k] : key_start[k + 1]]``, shape (keys + 1,).
    """

    keys: tuple[Key, ...]
    paths: tuple[str, ...]
    tool: Ints
    key: Ints
    factor: Floats
    tool_start: Ints
    by_key: Ints
    key_start: Ints


_Keyed = Sequence[tuple[Field, Key]]


def tabulate(
    tools: Sequence[Tool], taken: Sequence[Sequence[Field]], given: Sequence[Sequence[Field]]
) -> tuple[FieldTable, FieldTable, Specificity]:
    """Name the fields of every tool.

    Args:
        tools: The catalogue.
        taken: The parameters of each tool.
        given: The returns of each tool.

    Returns:
        The parameters, the returns, and how much their names tell. Boilerplate is in neither table.
    """
    own = [[[own_names(field) for field in fields] for fields in side] for side in (taken, given)]
    known = frozenset(names[0] for side in own for of_tool in side for names in of_tool)
    abouts = [subjects(tool.name) for tool in tools]
    parameters, returns = (
        [_keyed(*of_tool, known) for of_tool in zip(side, named, abouts, strict=True)]
        for side, named in zip((taken, given), own, strict=True)
    )
    names = [_names(mine) | _names(own) for mine, own in zip(parameters, returns, strict=True)]
    # A result that repeats an argument tells nothing new: it links more weakly than one that adds something.
    echoes = [_names(keyed) for keyed in parameters]
    return (
        _table(parameters, lambda _, field, key: _value(key) * (1.0 if field.required else _OPTIONAL)),
        _table(
            returns,
            lambda tool, _, key: _value(key) * (_ECHO if echoes[tool].intersection(key.names) else 1.0),
        ),
        measure_specificity(names),
    )


def _keyed(
    fields: Iterable[Field], named: Iterable[Sequence[Name]], about: Collection[str], known: Set[Name]
) -> _Keyed:
    keyed: list[tuple[Field, Key]] = []
    for field, own in zip(fields, named, strict=True):
        meant = alias(own[0], about, known)
        names = [name for name in own if name not in BOILERPLATE]
        if meant is not None and meant not in names:
            names.append(meant)
        if names:
            keyed.append((field, Key(tuple(names), _text(own[0], field), field.types or ANY_TYPE)))
    return keyed


def _text(name: Name, field: Field) -> str:
    text = " ".join(name)
    if field.description:
        text = f"{text}: {field.description}"
    kind = type_name(field.types)
    return f"{text} ({kind})" if kind else text


def _names(keyed: _Keyed) -> frozenset[Name]:
    return frozenset(name for _, key in keyed for name in key.names)


def _value(key: Key) -> float:
    """A yes or no is seldom what another tool needs."""
    return _BOOLEAN if key.types == BOOLEAN else 1.0


def _table(side: Sequence[_Keyed], factor: Callable[[int, Field, Key], float]) -> FieldTable:
    index: dict[Key, int] = {}
    rows = [(tool, field, key) for tool, keyed in enumerate(side) for field, key in keyed]
    keys = np.array([index.setdefault(key, len(index)) for *_, key in rows], dtype=np.int32)
    return FieldTable(
        keys=tuple(index),
        paths=tuple(field.path for _, field, _ in rows),
        tool=np.array([tool for tool, *_ in rows], dtype=np.int32),
        key=keys,
        factor=np.array([factor(tool, field, key) for tool, field, key in rows], dtype=np.float32),
        tool_start=starts([len(keyed) for keyed in side]),
        by_key=np.argsort(keys, kind="stable").astype(np.int32),
        key_start=starts(np.bincount(keys, minlength=len(index))),
    )


def starts(counts: Sequence[int] | NDArray[np.integer]) -> Ints:
    """Where each group starts if groups of these sizes stand one after another; and, last, where they end."""
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
