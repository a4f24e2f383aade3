"""Links as arrays: a large graph has a million of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolflow.graph.link import LinkKind
from toolflow.graph.linking.field_table import Floats, Ints

KINDS: Final[tuple[LinkKind, ...]] = ("return-parameter", "parameter-parameter")
"""The kinds of links; a table holds their indices."""

LIKELY: Final = 0.25
"""The weight from which a link counts; weaker ones are candidates."""

RETURN_PARAMETER: Final = 0
PARAMETER_PARAMETER: Final = 1


@dataclass(frozen=True, slots=True, eq=False)
class LinkTable:
    """Links as arrays of shape (links,), strongest first.

    Attributes:
        kind: Index in :data:`KINDS`.
        from_tool: Index of the producer; of either end where the link has no direction.
        to_tool: Index of the consumer, or of the other end.
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

    def where(self, kept: NDArray[np.bool_] | slice) -> LinkTable:
        """Those links alone."""
        return LinkTable(
            kind=self.kind[kept],
            from_tool=self.from_tool[kept],
            to_tool=self.to_tool[kept],
            from_path=self.from_path[kept],
            to_path=self.to_path[kept],
            weight=self.weight[kept],
            paths=self.paths,
        )

    def hashed(self, tools: str) -> str:
        """SHA-256 of the links between tools of that hash."""
        digest = hashlib.sha256("\0".join((tools, *KINDS, *self.paths)).encode(errors="surrogatepass"))
        for column in (self.kind, self.from_tool, self.to_tool, self.from_path, self.to_path, self.weight):
            digest.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def split(self) -> tuple[LinkTable, LinkTable]:
        """The likely links, and the candidates."""
        likely = int((self.weight >= LIKELY).sum())
        return self.where(slice(likely)), self.where(slice(likely, None))


class Ends(NamedTuple):
    """Links of one kind, arrays of shape (links,): tools at both ends, paths of their fields, weights."""

    from_tool: Ints
    to_tool: Ints
    from_path: Ints
    to_path: Ints
    weight: Floats

    def where(self, kept: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Ends:
        """Those links alone."""
        return Ends(
            self.from_tool[kept],
            self.to_tool[kept],
            self.from_path[kept],
            self.to_path[kept],
            self.weight[kept],
        )


def join_tables(likely: LinkTable, candidates: LinkTable) -> LinkTable:
    """Both as one table again: what :meth:`LinkTable.split` took apart."""
    if not len(candidates):
        return likely
    if not len(likely):
        return candidates
    assert likely.paths == candidates.paths
    return LinkTable(
        kind=np.concatenate([likely.kind, candidates.kind]),
        from_tool=np.concatenate([likely.from_tool, candidates.from_tool]),
        to_tool=np.concatenate([likely.to_tool, candidates.to_tool]),
        from_path=np.concatenate([likely.from_path, candidates.from_path]),
        to_path=np.concatenate([likely.to_path, candidates.to_path]),
        weight=np.concatenate([likely.weight, candidates.weight]),
        paths=likely.paths,
    )


def make_link_table(
    flows: Ends, shared: Ends, paths: Sequence[str], *, keep_paths: bool = False
) -> LinkTable:
    """One table of all links.

    Args:
        flows: Links from results to parameters.
        shared: Links between parameters, each pair of tools once.
        paths: What the paths of both are indices of.
        keep_paths: Keep those that no link has, and so the numbers of all.
    """
    kind = np.repeat(
        np.array([RETURN_PARAMETER, PARAMETER_PARAMETER], dtype=np.uint8),
        [len(flows.weight), len(shared.weight)],
    )
    both = Ends(
        np.concatenate([flows.from_tool, shared.from_tool]),
        np.concatenate([flows.to_tool, shared.to_tool]),
        np.concatenate([flows.from_path, shared.from_path]),
        np.concatenate([flows.to_path, shared.to_path]),
        np.concatenate([flows.weight, shared.weight]),
    )
    order = np.lexsort((both.to_tool, both.from_tool, kind, -both.weight))
    ends = both.where(order)
    table = LinkTable(kind=kind[order], **ends._asdict(), paths=tuple(paths))
    return table if keep_paths else _with_used_paths(table)


def _with_used_paths(table: LinkTable) -> LinkTable:
    links = len(table)
    used, renumbered = np.unique(np.concatenate([table.from_path, table.to_path]), return_inverse=True)
    known = frozenset(used.tolist())
    return replace(
        table,
        from_path=renumbered[:links].astype(np.int32),
        to_path=renumbered[links:].astype(np.int32),
        paths=tuple(path for number, path in enumerate(table.paths) if number in known),
    )


def once(shared: Ends) -> Ends:
    """Each pair of tools once, by its best pair of fields, from the earlier tool."""
    swapped = shared.from_tool > shared.to_tool
    ends = Ends(
        np.where(swapped, shared.to_tool, shared.from_tool),
        np.where(swapped, shared.from_tool, shared.to_tool),
        np.where(swapped, shared.to_path, shared.from_path),
        np.where(swapped, shared.from_path, shared.to_path),
        shared.weight,
    )
    order = np.lexsort((ends.to_path, ends.from_path, -ends.weight, ends.to_tool, ends.from_tool))
    pairs = np.stack([ends.from_tool, ends.to_tool])[:, order]
    return ends.where(order[np.flatnonzero((np.diff(pairs, axis=1, prepend=-1) != 0).any(axis=0))])


def hold_down_hubs(table: LinkTable, tools: int, most: int) -> LinkTable:
    """Without the weakest links of tools that are linked to more than ``most`` others.

    Args:
        table: Links over that many tools.
        tools: How many tools there are.
        most: The most distinct tools that one may stay linked to.
    """
    tool = np.concatenate([table.from_tool, table.to_tool]).astype(np.int64)
    other = np.concatenate([table.to_tool, table.from_tool])
    pair, first, of_end = np.unique(tool * tools + other, return_index=True, return_inverse=True)
    # Links stand strongest first, so a pair of tools ranks by its first link.
    strongest = first % len(table) if len(table) else first
    order = np.lexsort((strongest, pair // tools))
    owner = (pair // tools)[order]
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.searchsorted(owner, owner)
    within = (rank < most)[of_end]
    kept = within[: len(table)] & within[len(table) :]
    return table.where(kept)


def no_links() -> LinkTable:
    """A table of none."""
    none = np.zeros(0, dtype=np.int32)
    return LinkTable(np.zeros(0, dtype=np.uint8), none, none, none, none, np.zeros(0, dtype=np.float32), ())
