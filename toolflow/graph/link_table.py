"""Links as arrays: a large graph has a million of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolflow.graph.field_table import FieldTable, Floats, Ints
from toolflow.graph.joining import Joins
from toolflow.graph.link import LinkKind

KINDS: Final[tuple[LinkKind, ...]] = ("return-parameter", "parameter-parameter")
"""The kinds of links; a table holds their indices."""

RETURN_PARAMETER: Final = 0
PARAMETER_PARAMETER: Final = 1


@dataclass(frozen=True, slots=True, eq=False)
class LinkTable:
    """Links as arrays of shape (links,), strongest first.

    Attributes:
        kind: Index in :data:`KINDS`.
        from_tool: Index of the producer; of the earlier tool where the link has no direction.
        to_tool: Index of the consumer, or of the later tool.
        from_path: Index in ``paths`` of the field of ``from_tool``.
        to_path: Index in ``paths`` of the parameter of ``to_tool``.
        weight: In (0, 1], four digits after the point.
        paths: The distinct paths.
    """

    kind: NDArray[np.uint8]
    from_tool: Ints
    to_tool: Ints
    from_path: Ints
    to_path: Ints
    weight: Floats
    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.weight)


def make_link_table(parameters: FieldTable, returns: FieldTable, flows: Joins, shared: Joins) -> LinkTable:
    """One table of all joins.

    Args:
        parameters: The parameters of all tools.
        returns: Their returns.
        flows: Joins of parameters to returns.
        shared: Joins of parameters to parameters; most are there twice, once from either end.
    """
    numbers: dict[str, int] = {}
    parameter_path = _numbered(parameters.paths, numbers)
    return_path = _numbered(returns.paths, numbers)
    shared = _once(shared, parameters.tool)
    kind = np.repeat(
        np.array([RETURN_PARAMETER, PARAMETER_PARAMETER], dtype=np.uint8), [len(flows), len(shared)]
    )
    from_tool = np.concatenate([returns.tool[flows.other], parameters.tool[shared.other]])
    to_tool = np.concatenate([parameters.tool[flows.parameter], parameters.tool[shared.parameter]])
    from_path = np.concatenate([return_path[flows.other], parameter_path[shared.other]])
    to_path = np.concatenate([parameter_path[flows.parameter], parameter_path[shared.parameter]])
    weight = np.concatenate([flows.weight, shared.weight])
    order = np.lexsort((to_tool, from_tool, kind, -weight))
    used, renumbered = np.unique(np.concatenate([from_path[order], to_path[order]]), return_inverse=True)
    paths = list(numbers)
    return LinkTable(
        kind=kind[order],
        from_tool=from_tool[order],
        to_tool=to_tool[order],
        from_path=renumbered[: len(order)].astype(np.int32),
        to_path=renumbered[len(order) :].astype(np.int32),
        weight=weight[order],
        paths=tuple(paths[number] for number in used),
    )


def _numbered(paths: Sequence[str], numbers: dict[str, int]) -> Ints:
    return np.array([numbers.setdefault(path, len(numbers)) for path in paths], dtype=np.int32)


def _once(shared: Joins, tool: Ints) -> Joins:
    """Each pair of tools once, by its best pair of fields, the earlier tool's as ``other``."""
    swapped = tool[shared.other] > tool[shared.parameter]
    earlier = np.where(swapped, shared.parameter, shared.other)
    later = np.where(swapped, shared.other, shared.parameter)
    order = np.lexsort((later, earlier, -shared.weight, tool[later], tool[earlier]))
    pairs = np.stack([tool[earlier], tool[later]])[:, order]
    kept = order[np.flatnonzero((np.diff(pairs, axis=1, prepend=-1) != 0).any(axis=0))]
    return Joins(later[kept], earlier[kept], shared.weight[kept])
