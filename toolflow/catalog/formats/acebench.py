"""The native files of ACEBench: a question with the functions that it may use.

A function declares its inputs as ``parameters`` or ``arguments`` and, in part, its ``results``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from toolflow.catalog.entry import Entry, EntryError, Format
from toolflow.catalog.native_schema import PYTHON_WORDS, to_json_schema
from toolflow.catalog.record import Record

_QUESTION = re.compile(r"(?P<category>(agent_multi|normal|special)_\w*?[a-z])(_\d+)+")


def _recognises(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("function"), list) and _QUESTION.fullmatch(str(record.get("id"))) is not None


def _entries(record: Record) -> Iterator[Entry]:
    question = str(record.value.get("id"))
    found = _QUESTION.fullmatch(question)
    in_chinese = record.source.stem.endswith("_zh") or record.source.folder.endswith("_zh")
    origin = {
        "category": found["category"] if found else None,
        "source": f"acebench-{'zh' if in_chinese else 'en'}",
    }
    for line, function in record.items("function"):
        yield Entry(line, partial(_canonical, function, question, origin), listed_again=True)


def _canonical(function: Any, question: str, origin: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(function, dict):
        raise EntryError("a function must be a JSON object")
    name = function.get("name")
    return {
        "name": name,
        "description": function.get("description"),
        "parameters": to_json_schema(function.get("parameters", function.get("arguments")), PYTHON_WORDS),
        "returns": to_json_schema(function.get("results"), PYTHON_WORDS),
        "source_id": f"{question}/{name}",
        **origin,
    }


FORMAT = Format("acebench", "ACEBench", _recognises, _entries)
