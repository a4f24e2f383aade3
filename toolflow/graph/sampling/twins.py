"""Near twins: copies of one tool that say the same and would waste a tool set's places."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

from toolflow.catalog.tool import Tool

# Buses_1_FindBus, get_v2_users: a number between words tells apart copies of a service, up to so many of
# them. More are a numbering of different things.
_COPY_NUMBER = re.compile(r"[_.\- ]?v?\d+(?=[_.\- ]+[^\W\d_])", re.IGNORECASE)
_MOST_COPIES = 12
# Shorter descriptions ("test", "by id") say too little to call two tools the same.
_FEWEST_WORDS = 3
_WORD = re.compile(r"[^\W\d_]+")


def twin_groups(tools: Sequence[Tool]) -> list[int]:
    """A number for each tool; equal for tools that are near twins of each other.

    Near twins are tools whose names differ by the number of a copy only, such as ``Buses_1_FindBus`` and
    ``Buses_2_FindBus``, and tools whose parameters have the same names and whose descriptions the same words,
    numbers apart.
    """
    group = list(range(len(tools)))
    for members in _alike(_without_copy_number(tool.name) for tool in tools):
        if len(members) <= _MOST_COPIES:
            _unite(group, members)
    for members in _alike(map(_content, tools)):
        _unite(group, members)
    return [_representative(group, tool) for tool in range(len(tools))]


def _without_copy_number(name: str) -> str | None:
    stem, numbers = _COPY_NUMBER.subn("", name)
    return stem.casefold() if numbers else None


def _content(tool: Tool) -> Hashable | None:
    words = frozenset(_WORD.findall(tool.description.casefold()))
    if len(words) < _FEWEST_WORDS:
        return None
    properties = tool.parameters.get("properties")
    return words, frozenset(properties) if isinstance(properties, dict) else frozenset()


def _alike(keys: Iterable[Hashable | None]) -> list[list[int]]:
    """The positions that share a key, several each; None is no key."""
    positions: defaultdict[Hashable, list[int]] = defaultdict(list)
    for position, key in enumerate(keys):
        if key is not None:
            positions[key].append(position)
    return [members for members in positions.values() if len(members) > 1]


def _unite(group: list[int], members: Sequence[int]) -> None:
    roots = [_representative(group, tool) for tool in members]
    for root in roots:
        group[root] = min(roots)


def _representative(group: list[int], tool: int) -> int:
    while group[tool] != tool:
        tool = group[tool]
    return tool
