"""The catalogue: tools in their order, found by name, with a hash that stands for all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import msgspec

from toolflow.catalog.tool import Tool
from toolflow.errors import CatalogueError
from toolflow.spelling import hint_of_names


@dataclass(frozen=True)  # without slots: the cached properties live in the instance's dict
class Catalogue:
    """An ordered, immutable collection of tools with unique names.

    Attributes:
        tools: The tools in the order in which they were read.

    Raises:
        CatalogueError: Two tools have the same name.
    """

    tools: tuple[Tool, ...]

    def __post_init__(self) -> None:
        if len(self._by_name) < len(self.tools):
            names = [tool.name for tool in self.tools]
            twice = next(name for name in self._by_name if names.count(name) > 1)
            raise CatalogueError(f"two tools of one catalogue are named {twice!r}")

    def __len__(self) -> int:
        return len(self.tools)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self.tools)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Tool:
        """The tool of that name.

        Raises:
            CatalogueError: There is none; the hint lists names that it may have meant.
        """
        tool = self._by_name.get(name)
        if tool is None:
            hint = hint_of_names(name, self._by_name)
            raise CatalogueError(f"the catalogue has no tool named {name!r}", hint=hint)
        return tool

    def get(self, name: str) -> Tool | None:
        """The tool of that name, or None."""
        return self._by_name.get(name)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256, in hexadecimal, of the catalogue's canonical JSONL (so of its uncompressed file, too)."""
        digest = hashlib.sha256()
        for tool in self.tools:
            digest.update(canonical_line(tool))
        return digest.hexdigest()

    @cached_property
    def _by_name(self) -> dict[str, Tool]:
        return {tool.name: tool for tool in self.tools}


def canonical_line(tool: Tool) -> bytes:
    """The tool as one line of the canonical JSONL: compact, keys in their own order, newline included."""
    return msgspec.json.encode(tool.to_canonical()) + b"\n"
