"""Graph files.

A graph is one NumPy ``.npz`` file, that is a zip of ``.npy`` arrays, none of which holds pickled objects:

==============  =======  =====================================================================================
member          dtype    content
==============  =======  =====================================================================================
``header``      uint8    UTF-8 JSON: ``format`` (``toolflow-graph``), ``version`` (1), ``content_hash``,
                         ``encoder``, ``threshold``, ``kinds`` (the kinds of links, in order), ``paths``
``tools``       uint8    the tools as canonical JSONL, UTF-8, in catalogue order
``kind``        uint8    of each link the index of its kind
``from_tool``   int32    of each link the index of its producer, or of either tool if it has no direction
``to_tool``     int32    of each link the index of its consumer, or of the other tool
``from_path``   int32    of each link the index in ``paths`` of the field it starts from
``to_path``     int32    of each link the index in ``paths`` of the parameter it leads to
``weight``      float32  of each link its weight in (0, 1]; links stand strongest first
==============  =======  =====================================================================================

Equal graphs give equal bytes. A reader refuses a ``version`` it does not know.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from toolflow.catalog.catalogue import Catalogue, canonical_line
from toolflow.catalog.tool import Tool
from toolflow.errors import CatalogueError, GraphError
from toolflow.files import write_whole
from toolflow.garbage import collection_paused
from toolflow.graph.linking.link_table import KINDS, LinkTable

_FORMAT = "toolflow-graph"
_VERSION = 1
_COMPRESSION = 1  # higher levels take four times as long for a tenth less
_DTYPES: Final[dict[str, type[np.generic]]] = {
    "kind": np.uint8,
    "from_tool": np.int32,
    "to_tool": np.int32,
    "from_path": np.int32,
    "to_path": np.int32,
    "weight": np.float32,
}


class StoredGraph(NamedTuple):
    """What a graph file holds, in the order of a tool graph's attributes."""

    tools: tuple[Tool, ...]
    table: LinkTable
    content_hash: str
    encoder: str
    threshold: float


class _Mark(msgspec.Struct, frozen=True):
    """The part of the header that every version has."""

    format: str
    version: int


class _Header(_Mark, frozen=True):
    content_hash: str
    encoder: str
    threshold: float
    kinds: tuple[str, ...]
    paths: tuple[str, ...]


class _Line(msgspec.Struct, frozen=True):
    """A tool of canonical JSONL."""

    name: str
    description: str
    parameters: dict[str, Any]
    returns: dict[str, Any] | None = None
    category: str | None = None
    source: str | None = None
    source_id: str | None = None
    provenance: dict[str, str] | None = None


def encode_graph(graph: StoredGraph) -> bytes:
    """The content of a graph file."""
    header = _Header(
        format=_FORMAT,
        version=_VERSION,
        content_hash=graph.content_hash,
        encoder=graph.encoder,
        threshold=graph.threshold,
        kinds=KINDS,
        paths=graph.table.paths,
    )
    arrays: dict[str, NDArray[Any]] = {
        "header": _as_bytes(msgspec.json.encode(header)),
        "tools": _as_bytes(b"".join(map(canonical_line, graph.tools))),
        **{member: getattr(graph.table, member) for member in _DTYPES},
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION) as archive:
        for member, array in arrays.items():
            with archive.open(f"{member}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return content.getvalue()


def write_graph(path: Path, content: bytes) -> None:
    """Write a graph file, whole or not at all; an existing file is replaced.

    Raises:
        GraphError: The file cannot be written.
    """
    try:
        write_whole(path, [content], unfinished=f".{os.getpid()}")
    except OSError as error:
        raise GraphError(
            f"{path}: the graph cannot be written: {error.strerror or error}",
            hint="Check that the folder exists and is writable.",
        ) from error


@collection_paused()
def read_graph(path: Path, known: Catalogue | None = None) -> StoredGraph:
    """Read a graph file.

    Args:
        path: The file.
        known: Tools at hand; where the graph was built from just these, the file's own are not read.

    Raises:
        GraphError: The file cannot be read, is no graph, is damaged, or is of a version not known here.
    """
    try:
        with path.open("rb") as file, _archive(file) as archive:
            header = _header(_member(archive, "header", np.uint8).tobytes(), path)
            if known is not None and known.content_hash == header.content_hash:
                tools = known.tools
            else:
                tools = _tools(_member(archive, "tools", np.uint8).tobytes(), header)
            columns = {member: _member(archive, member, dtype) for member, dtype in _DTYPES.items()}
        table = _table(columns, header, len(tools))
        return StoredGraph(tools, table, header.content_hash, header.encoder, header.threshold)
    except OSError as error:
        raise GraphError(
            f"{path}: the graph cannot be read: {error.strerror or error}",
            hint="Name a file of toolflow graph build -o GRAPH. Catalogues are given with --tools.",
        ) from error
    except (_NotAGraphError, CatalogueError, msgspec.DecodeError, zipfile.BadZipFile, zlib.error) as error:
        raise GraphError(
            f"{path}: not a tool graph, or damaged: {error}",
            hint="Build it anew with: toolflow graph build. Catalogues are given with --tools.",
        ) from error


class _NotAGraphError(ValueError):
    """The file is no graph, or a damaged one; the text says what is wrong with it."""


def _header(text: bytes, path: Path) -> _Header:
    mark = msgspec.json.decode(text, type=_Mark)
    if mark.format != _FORMAT:
        raise _NotAGraphError(f"its format is {mark.format!r}")
    if mark.version != _VERSION:
        raise GraphError(
            f"{path}: a graph file of version {mark.version}, but only version {_VERSION} is known here",
            hint="Build it anew with: toolflow graph build",
        )
    return msgspec.json.decode(text, type=_Header)


def _as_bytes(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, dtype=np.uint8)


def _archive(file: BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (ValueError, NotImplementedError) as error:
        raise _NotAGraphError(str(error)) from error


def _member(archive: zipfile.ZipFile, member: str, dtype: type[np.generic]) -> NDArray[Any]:
    try:
        with archive.open(f"{member}.npy") as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except (KeyError, ValueError, EOFError, NotImplementedError) as error:
        raise _NotAGraphError(str(error.args[0] if error.args else error)) from error
    if array.ndim != 1 or array.dtype != dtype:
        raise _NotAGraphError(f"the array {member!r} has the wrong shape or type")
    return array


def _tools(lines: bytes, header: _Header) -> tuple[Tool, ...]:
    decoder = msgspec.json.Decoder(_Line)
    tools = tuple(
        Tool(
            name=line.name,
            description=line.description,
            parameters=line.parameters,
            returns=line.returns,
            category=line.category,
            source=line.source,
            source_id=line.source_id,
            provenance=line.provenance,
        )
        for line in decoder.decode_lines(lines)
    )
    # The lines are the canonical ones, so their hash is that of the catalogue: no need to make them again.
    if hashlib.sha256(lines).hexdigest() != header.content_hash:
        raise _NotAGraphError("its tools are not those it was built from")
    return Catalogue(tools).tools


def _table(columns: dict[str, NDArray[Any]], header: _Header, tools: int) -> LinkTable:
    """The links, every index checked: a damaged file must not fail later, far from here."""
    if header.kinds != KINDS:
        raise _NotAGraphError(f"its kinds of links are {', '.join(header.kinds)}")
    if len({len(column) for column in columns.values()}) != 1:
        raise _NotAGraphError("its arrays of links differ in length")
    limits = {"kind": len(KINDS), "from_tool": tools, "to_tool": tools}
    limits |= {"from_path": len(header.paths), "to_path": len(header.paths)}
    for member, limit in limits.items():
        if not ((columns[member] >= 0) & (columns[member] < limit)).all():
            raise _NotAGraphError(f"the array {member!r} points outside the file")
    if not ((columns["weight"] > 0) & (columns["weight"] <= 1)).all():
        raise _NotAGraphError("a weight is not in (0, 1]")
    return LinkTable(**columns, paths=header.paths)
