"""Bytes to records: JSON or YAML document, or JSON lines, told by content, with the line of everything."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from toolflow.catalog.entry import EntryError
from toolflow.catalog.source import Source
from toolflow.errors import CatalogueError

_AT_BYTE = re.compile(r"(?P<reason>.*) \(byte (?P<byte>\d+)\)")
_OPENAPI_IN_YAML = re.compile(rb"^(openapi|swagger)\s*:", re.MULTILINE)
_RAW_LIST: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_RAW_OBJECT: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RAW: msgspec.json.Decoder[msgspec.Raw] = msgspec.json.Decoder(msgspec.Raw)
_ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Record:
    """One JSON value of a file: a line of JSONL, an item of a top-level array, or the whole document.

    Attributes:
        source: The file that it is from.
        line: The line where it begins, counted from 1.
        raw: Its JSON text.
        value: The decoded JSON.
    """

    source: Source
    line: int
    raw: bytes
    value: Any

    def items(self, key: str) -> Iterator[tuple[int, Any]]:
        """The items of a list in the record, each with the line where it begins.

        Raises:
            EntryError: The field is absent or no list.
        """
        items = self.value.get(key)
        if not isinstance(items, list):
            raise EntryError("must be a list", field=key)
        if b"\n" not in self.raw:
            yield from ((self.line, item) for item in items)
            return
        member = _RAW_OBJECT.decode(self.raw)[key]
        lines = _lines(self.raw, self.raw.index(bytes(member)), _RAW_LIST.decode(member), self.line)
        yield from zip(lines, items, strict=True)


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record that is not decoded yet."""

    source: Source
    line: int
    raw: bytes

    def decode(self) -> Record:
        """Decode it.

        Raises:
            EntryError: It is not valid JSON.
        """
        try:
            return Record(self.source, self.line, self.raw, _ANY.decode(self.raw))
        except (msgspec.DecodeError, RecursionError) as error:
            line, reason = _explain(self.raw, error)
            raise EntryError(reason, line=self.line + line - 1) from error


def raw_records(source: Source, data: bytes) -> Iterator[RawRecord]:
    """Split a file into records.

    Args:
        source: Where the data is from.
        data: UTF-8 text.

    Raises:
        CatalogueError: The file is neither JSON lines nor a JSON or YAML document.
    """
    try:
        _RAW.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        if not data.strip():
            return
        says_openapi = _OPENAPI_IN_YAML.search(data, 0, 4_096) is not None
        if says_openapi or source.label.lower().removesuffix(".gz").endswith((".yaml", ".yml")):
            if source.in_folder and not says_openapi:
                return  # folders hold YAML of every kind, some of it with tags and templates of its own
            from toolflow.catalog.yaml_text import json_of_yaml  # noqa: PLC0415 - most catalogues are JSON

            yield from raw_records(source, json_of_yaml(data, label=source.label))
            return
        if not _has_whole_lines(data):
            line, reason = _explain(data, error)
            raise CatalogueError(
                f"{source.label}:{line}: {reason}", hint="Expected a JSON document or one JSON object a line."
            ) from error
        lines = enumerate(io.BytesIO(data), 1)
        yield from (RawRecord(source, number, line) for number, line in lines if not line.isspace())
        return
    start = len(data) - len(data.lstrip())
    if data[start : start + 1] != b"[":
        yield RawRecord(source, 1 + data.count(b"\n", 0, start), data[start:])
        return
    items = _RAW_LIST.decode(data)
    for line, item in zip(_lines(data, start, items, 1), items, strict=True):
        yield RawRecord(source, line, bytes(item))


def _has_whole_lines(data: bytes) -> bool:
    """Whether one of the first two lines is a JSON object in itself: a failure then concerns one line."""
    lines = (line for line in io.BytesIO(data) if not line.isspace())
    for line in islice(lines, 2):
        try:
            if isinstance(_ANY.decode(line), dict):
                return True
        except (msgspec.DecodeError, RecursionError):
            continue
    return False


def _lines(data: bytes, start: int, items: Sequence[msgspec.Raw], line: int) -> Iterator[int]:
    """The line of each item of the JSON array that stands in ``data`` at ``start``.

    Between an item's end and the next item stand only blanks and a comma, so searching finds the item itself.
    """
    counted = 0
    for item in items:
        raw = bytes(item)
        begin = data.index(raw, start)
        line += data.count(b"\n", counted, begin)
        counted, start = begin, begin + len(raw)
        yield line


def _explain(data: bytes, error: Exception) -> tuple[int, str]:
    """The line (counted from 1) of a JSON error, and a sentence that holds the column."""
    if isinstance(error, RecursionError):
        return 1, "not valid JSON: nested too deep"
    text = str(error).removeprefix("JSON is malformed: ")
    found = _AT_BYTE.fullmatch(text)
    if found is None and _is_lenient_json(data):
        return 1, "not valid JSON: a number out of range or half of a surrogate pair"
    offset = int(found["byte"]) if found else len(data.rstrip())
    reason = found["reason"] if found else "ends too early"
    before = data[:offset]
    column = len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1
    return before.count(b"\n") + 1, f"not valid JSON at column {column}: {reason}"


def _is_lenient_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True
