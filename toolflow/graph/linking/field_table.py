"""The fields of a whole catalogue as arrays, equal ones under one key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

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
        path: Number of each field's path, shape (fields,).
        tool: Index of each field's tool, shape (fields,).
        key: Index of each field's key, shape (fields,).
        factor: What the field's part in a call leaves of a link's weight, in (0, 1], shape (fields,).
        tool_start: Fields of tool t are ``tool_start[t]`` up to ``tool_start[t + 1]``, shape (tools + 1,).
        by_key: The fields sorted by key, shape (fields,).
        key_start: Fields of key k are ``by_key[key_start[k] : key_start[k + 1]]``, shape (keys + 1,).
    """

    path: Ints
    tool: Ints
    key: Ints
    factor: Floats
    tool_start: Ints
    by_key: Ints
    key_start: Ints


class Paths:
    """Numbers for paths.

    Args:
        known: Distinct paths that have their numbers already, in order.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._numbers = {path: number for number, path in enumerate(known)}

    def numbers(self, paths: Iterable[str]) -> Ints:
        """The number of each path."""
        known = self._numbers
        return np.array([known.setdefault(path, len(known)) for path in paths], dtype=np.int32)

    @property
    def known(self) -> list[str]:
        """The paths by their numbers."""
        return list(self._numbers)


class Tabulated(NamedTuple):
    """The fields of a catalogue.

    Attributes:
        parameters: What the tools take.
        returns: What they give.
        parameter_keys: The distinct keys of the parameters, in order of first occurrence.
        return_keys: Those of the returns.
        specificity: How much their names tell.
        paths: Numbers of their paths.
    """

    parameters: FieldTable
    returns: FieldTable
    parameter_keys: Sequence[Key]
    return_keys: Sequence[Key]
    specificity: Specificity
    paths: Paths


_Keyed = Sequence[tuple[Field, int]]
"""The fields of a tool, each with the number of its key."""


def tabulate(
    tools: Sequence[Tool], taken: Sequence[Sequence[Field]], given: Sequence[Sequence[Field]]
) -> Tabulated:
    """Name the fields of every tool; boilerplate is left out.

    Args:
        tools: The catalogue.
        taken: The parameters of each tool.
        given: The returns of each tool.
    """
    own = [[[own_names(field) for field in fields] for fields in side] for side in (taken, given)]
    known = frozenset(names[0] for side in own for of_tool in side for names in of_tool)
    abouts = [subjects(tool.name) for tool in tools]
    numbers: list[dict[Key, int]] = [{}, {}]
    keyed = [
        [_keyed(*of_tool, known, index) for of_tool in zip(side, named, abouts, strict=True)]
        for side, named, index in zip((taken, given), own, numbers, strict=True)
    ]
    del own
    keys = [tuple(index) for index in numbers]
    del numbers
    taken_names, given_names = (
        [frozenset(name for _, key in fields for name in of_side[key].names) for fields in side]
        for side, of_side in zip(keyed, keys, strict=True)
    )
    paths = Paths()

    def factor_taken(_: int, field: Field, key: int) -> float:
        return _value(keys[0][key]) * (1.0 if field.required else _OPTIONAL)

    # A result that repeats an argument tells nothing new: it links more weakly than one that adds something.
    def factor_given(tool: int, _: Field, key: int) -> float:
        echoes = not taken_names[tool].isdisjoint(keys[1][key].names)
        return _value(keys[1][key]) * (_ECHO if echoes else 1.0)

    returns = _table(keyed[1], len(keys[1]), paths, factor_given)
    return Tabulated(
        parameters=_table(keyed[0], len(keys[0]), paths, factor_taken),
        returns=returns,
        parameter_keys=keys[0],
        return_keys=keys[1],
        specificity=measure_specificity(
            [mine | theirs for mine, theirs in zip(taken_names, given_names, strict=True)]
        ),
        paths=paths,
    )


def _keyed(
    fields: Iterable[Field],
    named: Iterable[Sequence[Name]],
    about: Collection[str],
    known: Set[Name],
    index: dict[Key, int],
) -> _Keyed:
    keyed: list[tuple[Field, int]] = []
    for field, own in zip(fields, named, strict=True):
        meant = alias(own[0], about, known)
        names = [name for name in own if name not in BOILERPLATE]
        if meant is not None and meant not in names:
            names.append(meant)
        if names:
            key = Key(tuple(names), _text(own[0], field), field.types or ANY_TYPE)
            keyed.append((field, index.setdefault(key, len(index))))
    return keyed


def _text(name: Name, field: Field) -> str:
    text = " ".join(name)
    if field.description:
        text = f"{text}: {field.description}"
    kind = type_name(field.types)
    return f"{text} ({kind})" if kind else text


def _value(key: Key) -> float:
    """A yes or no is seldom what another tool needs."""
    return _BOOLEAN if key.types == BOOLEAN else 1.0


def _table(
    side: Sequence[_Keyed], key_count: int, paths: Paths, factor: Callable[[int, Field, int], float]
) -> FieldTable:
    counts = [len(keyed) for keyed in side]
    keys = np.array([key for keyed in side for _, key in keyed], dtype=np.int32)
    factors = [factor(tool, field, key) for tool, keyed in enumerate(side) for field, key in keyed]
    return FieldTable(
        path=paths.numbers(field.path for keyed in side for field, _ in keyed),
        tool=np.repeat(np.arange(len(side), dtype=np.int32), counts),
        key=keys,
        factor=np.array(factors, dtype=np.float32),
        tool_start=starts(counts),
        by_key=np.argsort(keys, kind="stable").astype(np.int32),
        key_start=starts(np.bincount(keys, minlength=key_count)),
    )


def starts(counts: Sequence[int] | NDArray[np.integer]) -> Ints:
    """Where each group starts if groups of these sizes stand one after another; and, last, where they end."""
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
