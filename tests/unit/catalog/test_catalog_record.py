from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from toolflow.catalog.entry import EntryError
from toolflow.catalog.record import raw_records
from toolflow.catalog.source import Source
from toolflow.errors import CatalogueError

SOURCE = Source(Path("tools.json"))


def read(text: str) -> list[tuple[int, Any]]:
    records = [raw.decode() for raw in raw_records(SOURCE, text.encode())]
    return [(record.line, record.value) for record in records]


@pytest.mark.parametrize(
    ("text", "records"),
    [
        ("", []),
        (" \n\n", []),
        ('{"a": 1}', [(1, {"a": 1})]),
        ('\n{\n"a": 1\n}\n', [(2, {"a": 1})]),
        ('{"a": 1}\n\n{"b": 2}\r\n{"c": 3}', [(1, {"a": 1}), (3, {"b": 2}), (4, {"c": 3})]),
        ("[]", []),
        ('[{"a": 1}, {"b": 2}]', [(1, {"a": 1}), (1, {"b": 2})]),
        ('[\n{"a": 1}\n]', [(2, {"a": 1})]),
        ('\n[\n\n{\n"a": 1\n},\n\n{"a": 1}, {"a": 1}\n]', [(4, {"a": 1}), (8, {"a": 1}), (8, {"a": 1})]),
    ],
)
def test_documents_and_lines_are_told_apart(text: str, records: list[tuple[int, Any]]) -> None:
    assert read(text) == records


def test_a_damaged_line_concerns_that_line_only() -> None:
    raws = list(raw_records(SOURCE, b'{"a": 1}\n{"b": \n{"c": 3}\n'))
    assert [raw.line for raw in raws] == [1, 2, 3]
    assert raws[2].decode().value == {"c": 3}
    with pytest.raises(EntryError, match="not valid JSON at column 6: ends too early") as caught:
        raws[1].decode()
    assert caught.value.line == 2


def test_a_damaged_first_line_does_not_hide_that_there_are_lines() -> None:
    raws = list(raw_records(SOURCE, b'{"a": 1,}\n{"b": 2}\n{"c": 3}\n'))
    assert [raw.line for raw in raws] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[\n  {"a": 1},\n  {"b": 2,}\n]', r"^tools.json:3: not valid JSON at column 11: trailing comma"),
        ('{\n  "ä": x\n}', r"^tools.json:2: not valid JSON at column 8: "),
        ('[\n  {"a": 1},\n  {"b', r"^tools.json:3: not valid JSON at column 6: ends too early"),
        ("hello", r"^tools.json:1: not valid JSON at column 1: "),
        ('{"a": NaN}', r"^tools.json:1: not valid JSON at column 7: "),
        ('"\\ud800"', r"^tools.json:1: not valid JSON: .* surrogate"),
        ("[" * 100_000, r"^tools.json:1: not valid JSON"),
        ("[" * 100_000 + "]" * 100_000, r"^tools.json:1: not valid JSON: nested too deep"),
    ],
)
def test_a_damaged_document_is_an_error_with_line_and_column(text: str, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        list(raw_records(SOURCE, text.encode()))


def test_items_know_their_lines() -> None:
    text = json.dumps({"other": [], "tools": [{"n": 1}, {"n": 1}, [], {"n": 2}], "end": 0}, indent=1)
    (raw,) = raw_records(SOURCE, f"\n{text}".encode())
    lines = text.splitlines()
    items = list(raw.decode().items("tools"))
    assert [item for _, item in items] == [{"n": 1}, {"n": 1}, [], {"n": 2}]
    # One blank line stands before the text, and lines count from 1.
    assert [lines[line - 2].strip().rstrip(",") for line, _ in items] == ["{", "{", "[]", "{"]
    assert [line for line, _ in items] == sorted({line for line, _ in items})


def test_items_of_one_line_share_it() -> None:
    _, raw = raw_records(SOURCE, b'{"tools": []}\n{"tools": [1, 2]}\n')
    assert list(raw.decode().items("tools")) == [(2, 1), (2, 2)]


@pytest.mark.parametrize("value", [{}, {"tools": {}}, {"tools": None}])
def test_items_must_be_a_list(value: Any) -> None:
    (raw,) = raw_records(SOURCE, json.dumps(value).encode())
    with pytest.raises(EntryError, match="must be a list") as caught:
        list(raw.decode().items("tools"))
    assert caught.value.field == "tools"


def test_a_number_out_of_range_is_an_error() -> None:
    (raw,) = raw_records(SOURCE, b'{"a": 1e999}')
    with pytest.raises(EntryError, match="number out of range"):
        raw.decode()
