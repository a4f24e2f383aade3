"""Writes the canonical JSONL."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

from toolflow.catalog.catalogue import canonical_line
from toolflow.catalog.tool import Tool
from toolflow.errors import CatalogueError
from toolflow.files import write_whole


def write_canonical(tools: Iterable[Tool], path: Path | str) -> None:
    """Write tools, one a line, so that loading the file gives equal tools.

    The file appears complete or not at all. It is compressed if its name ends in ``.gz``; equal tools give
    equal bytes either way.

    Raises:
        CatalogueError: The file cannot be written.
    """
    path = Path(path)
    data = b"".join(map(canonical_line, tools))
    if path.name.endswith(".gz"):
        data = gzip.compress(data, mtime=0)
    try:
        write_whole(path, [data])
    except OSError as error:
        raise CatalogueError(
            f"{path}: cannot be written: {error.strerror}",
            hint="Check that the folder exists and is writable.",
        ) from error
