"""Reads the calls out of a database file page by page, where the way to them through its tree is lost.

The layout is that of https://www.sqlite.org/fileformat.html: leaf pages of tables (section 1.6), overflow
pages, and the record format (section 2.1). A row counts only where it has the columns of ``calls``, each of
its type; whether its body is what was written is for the caller to check.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from toolflow.journal.schema import PAGE_BYTES

_LEAF: Final = 0x0D
_SHAPE: Final = (int, str, int, bytes, str, str, str, int, int, int, float, float, bytes)
"""Types of the columns after the id."""
_MOST_LOCAL: Final = PAGE_BYTES - 35
_FEWEST_LOCAL: Final = (PAGE_BYTES - 12) * 32 // 255 - 23

_CONSTANTS: Final = {0: None, 8: 0, 9: 1}

Value = int | float | str | bytes | None


def carve_calls(path: Path) -> Iterator[tuple[Value, ...]]:
    """Id and columns of every call on a page that can be read, in no order; some may come twice."""
    with path.open("rb") as file:
        for page in iter(lambda: file.read(PAGE_BYTES), b""):
            here = file.tell()
            if page[0] == _LEAF and len(page) == PAGE_BYTES:
                yield from _calls_on(page, file)
            file.seek(here)


def _calls_on(page: bytes, file: BinaryIO) -> Iterator[tuple[Value, ...]]:
    for place in range(int.from_bytes(page[3:5], "big")):
        try:
            start = int.from_bytes(page[8 + 2 * place : 10 + 2 * place], "big")
            length, start = _varint(page, start)
            number, start = _varint(page, start)
            row = _values(_payload(page, start, length, file))
        except (IndexError, ValueError, struct.error):
            continue
        if len(row) == 1 + len(_SHAPE):
            # A real number that is whole is kept as an integer.
            values = [
                float(value) if kind is float and isinstance(value, int) else value
                for kind, value in zip(_SHAPE, row[1:], strict=True)
            ]
            if tuple(map(type, values)) == _SHAPE:
                yield (number, *values)


def _payload(page: bytes, start: int, length: int, file: BinaryIO) -> bytes:
    """The record of a cell, with what overflows onto other pages."""
    local = length
    if length > _MOST_LOCAL:
        local = _FEWEST_LOCAL + (length - _FEWEST_LOCAL) % (PAGE_BYTES - 4)
        local = local if local <= _MOST_LOCAL else _FEWEST_LOCAL
    content = bytearray(page[start : start + local])
    following = page[start + local : start + local + 4]
    while len(content) < length:
        file.seek((int.from_bytes(following, "big") - 1) * PAGE_BYTES)
        overflow = file.read(PAGE_BYTES)
        if len(overflow) < PAGE_BYTES:
            raise ValueError("the rest is not there")
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
