"""Reads calls and frames out of a database file page by page, whether or not the way to them is whole.

The layout is that of https://www.sqlite.org/fileformat.html: leaf pages of tables (section 1.6), overflow
pages, the record format (section 2.1) and the write-ahead log (section 4.1). A row counts only where it has
the columns of one of the two tables, each of its type; whether a frame is what was written is for the caller
to check.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from toolflow.journal.schema import CALL_TYPES, PAGE_BYTES

_LEAF: Final = 0x0D
_SHAPES: Final[dict[tuple[type, ...], str]] = {
    CALL_TYPES: "calls",
    (bytes,): "frames",
}
"""Tables by the types of their columns after the id."""
_MOST_LOCAL: Final = PAGE_BYTES - 35
_FEWEST_LOCAL: Final = (PAGE_BYTES - 12) * 32 // 255 - 23

_CONSTANTS: Final = {0: None, 8: 0, 9: 1}

_LOG_HEADER: Final = struct.Struct(">16x8s8x")
"""Of the log: salt."""
_FRAME: Final = struct.Struct(">II8s8x")
"""Of a page in the log: its number; pages in the database if it ends a commit, else 0; salt."""

Value = int | float | str | bytes | None


def merge_log(path: Path, copy: Path, *, first_page: bytes) -> None:
    """Copy a database, whatever its state, with the pages that the commits in its log have changed.

    Args:
        path: The database; its log lies beside it, if there is one.
        copy: Written anew; needs no log.
        first_page: Takes the place of the first one, which holds nothing but where the tables begin, and that
            is the same in every journal.
    """
    log = path.with_name(path.name + "-wal")
    shutil.copyfile(path, copy)
    # As large as it was when the log began, which tells it where the file is lost, and what came since.
    before = max(path.stat().st_size // PAGE_BYTES, min((pages for pages, _ in _commits(log)), default=0))
    most = before + (log.stat().st_size // PAGE_BYTES if log.exists() else 0)
    with copy.open("r+b") as file:
        for number, page in (each for _, written in _commits(log) for each in written):
            if number <= most:  # others are garbage
                file.seek((number - 1) * PAGE_BYTES)
                file.write(page)
        pages = max(file.seek(0, os.SEEK_END) // PAGE_BYTES, 1)
        file.truncate(pages * PAGE_BYTES)
        file.seek(0)
        # Without a log (bytes 18 and 19), and so many pages (28 to 31).
        file.write(b"".join((first_page[:18], b"\1\1", first_page[20:28], struct.pack(">I", pages))))
        file.write(first_page[32:])


def _commits(log: Path) -> Iterator[tuple[int, list[tuple[int, bytes]]]]:
    """Of each whole commit, oldest first: pages in the database then; number and content of those written."""
    if not log.exists():
        return
    with log.open("rb") as file:
        header = file.read(_LOG_HEADER.size)
        salt = _LOG_HEADER.unpack(header)[0] if len(header) == _LOG_HEADER.size else b""
        written: list[tuple[int, bytes]] = []
        while len(frame := file.read(_FRAME.size + PAGE_BYTES)) == _FRAME.size + PAGE_BYTES:
            number, pages, its_salt = _FRAME.unpack_from(frame)
            if its_salt != salt or not number:
                return  # left from an earlier use of the file
            written.append((number, frame[_FRAME.size :]))
            if pages:
                yield pages, written
                written = []


def carve(path: Path) -> Iterator[tuple[str, tuple[Value, ...]]]:
    """Table, and id and columns, of every row of ``calls`` and ``frames`` on a page that can be read.

    They come in no order; some may come twice.
    """
    with path.open("rb") as file:
        for number in range(path.stat().st_size // PAGE_BYTES):
            file.seek(number * PAGE_BYTES)
            page = file.read(PAGE_BYTES)
            if page[0] == _LEAF:
                yield from _rows_on(page, file)


def _rows_on(page: bytes, file: BinaryIO) -> Iterator[tuple[str, tuple[Value, ...]]]:
    for place in range(int.from_bytes(page[3:5], "big")):
        try:
            start = int.from_bytes(page[8 + 2 * place : 10 + 2 * place], "big")
            length, start = _varint(page, start)
            number, start = _varint(page, start)
            row = _values(_payload(page, start, length, file))
        except (IndexError, ValueError, struct.error):
            continue  # a cell, or the way through it, is garbage
        if not 0 < number < 2**63:
            continue
        for shape, table in _SHAPES.items():
            if len(row) == 1 + len(shape):
                # A real number that is whole is kept as an integer.
                values = [
                    float(value) if kind is float and isinstance(value, int) else value
                    for kind, value in zip(shape, row[1:], strict=True)
                ]
                if tuple(map(type, values)) == shape:
                    yield table, (number, *values)


def _payload(page: bytes, start: int, length: int, file: BinaryIO) -> bytes:
    """The record of a cell, with what overflows onto other pages."""
    local = length
    if length > _MOST_LOCAL:
        local = _FEWEST_LOCAL + (length - _FEWEST_LOCAL) % (PAGE_BYTES - 4)
        local = local if local <= _MOST_LOCAL else _FEWEST_LOCAL
    content = bytearray(page[start : start + local])
    following = page[start + local : start + local + 4]
    seen = {0}
    while len(content) < length:
        number = int.from_bytes(following, "big")
        if number in seen or number * PAGE_BYTES > os.fstat(file.fileno()).st_size:
            raise ValueError("it goes round in a circle, or nowhere")
        seen.add(number)
        file.seek((number - 1) * PAGE_BYTES)
        overflow = file.read(PAGE_BYTES)
        content += overflow[4 : 4 + length - len(content)]
        following = overflow[:4]
    return bytes(content)


def _values(record: bytes) -> tuple[Value, ...]:
    end, place = _varint(record, 0)
    kinds: list[int] = []
    while place < end:
        kind, place = _varint(record, place)
        kinds.append(kind)
    values: list[Value] = []
    for kind in kinds:
        value, place = _value(record, place, kind)
        values.append(value)
    return tuple(values)


def _value(record: bytes, place: int, kind: int) -> tuple[Value, int]:
    if kind >= 12:
        length = (kind - 12) // 2
        raw = record[place : place + length]
        if len(raw) < length:
            raise ValueError("a value is cut")
        return (raw if kind % 2 == 0 else raw.decode()), place + length
    if kind in _CONSTANTS:
        return _CONSTANTS[kind], place
    if kind == 7:
        return float(struct.unpack(">d", record[place : place + 8])[0]), place + 8
    length = (0, 1, 2, 3, 4, 6, 8)[kind]
    return int.from_bytes(record[place : place + length], "big", signed=True), place + length


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends."""
    value = 0
    for count in range(9):
        byte = content[place + count]
        if count == 8:
            return value << 8 | byte, place + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + count + 1
    raise AssertionError(place)
