"""Where a value is written, and what is known about it already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from toolflow.llm.providers.rehearsal.scene import Scene

Known = Callable[[str, bool], Any]
"""Gives what is already known of a field by its name, or MISSING; True asks for an entry of a list."""


class _Missing:
    """Stands for the absence of a value, since None is a value."""


MISSING: Final = _Missing()


def nothing_known(_name: str, _listed: bool) -> Any:  # noqa: FBT001  a plain question with two answers
    """Knows nothing."""
    return MISSING


def inside(entry: Mapping[str, Any], around: Known) -> Known:
    """Knows the fields of an entry first, then what is known around it."""

    def known(name: str, listed: bool) -> Any:  # noqa: FBT001
        return entry[name] if name in entry else around(name, listed)

    return known


@dataclass(frozen=True, slots=True)
class Site:
    """Where in a schema a value is written.

    Attributes:
        root: The whole schema, which references point into.
        scene: What the values around it share.
        known: Looks up what is known already.
        name: The field's name; empty at the root.
        holder: What the field belongs to.
        depth: How many containers it stands in.
        place: Its place in a list, from 0.
        fewest: Whether only what is required should be written.
        listed: Whether it stands in an entry of a list.
    """

    root: Mapping[str, Any]
    scene: Scene
    known: Known = nothing_known
    name: str = ""
    holder: str = ""
    depth: int = 0
    place: int = 0
    fewest: bool = False
    listed: bool = False
