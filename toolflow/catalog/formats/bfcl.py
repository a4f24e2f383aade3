"""The native files of the Berkeley Function-Calling Leaderboard (BFCL).

Two shapes: a question (``{"id", "function": [...]}``), which lists its functions again whenever it uses
them; and a function of the multi-turn back ends (``multi_turn_func_doc``), which declares its ``response``.
Types are words of Python, Java and JavaScript: they become JSON Schema types, kept as ``x-native-type``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from toolflow.catalog.entry import Entry, EntryError, Format
from toolflow.catalog.native_schema import TypeWords, to_json_schema
from toolflow.catalog.record import Record

_QUESTION_NUMBER = re.compile(r"_\d+(-\d+)*$")

_WORDS = TypeWords(
    plain={"dict": "object"},
    native={
        **dict.fromkeys(("float", "double"), "number"),
        **dict.fromkeys(("int", "Integer", "long", "short", "byte", "Bigint"), "integer"),
        **dict.fromkeys(("str", "String", "char"), "string"),
        **dict.fromkeys(("bool", "Boolean"), "boolean"),
        **dict.fromkeys(("list", "tuple", "set", "Array", "ArrayList", "Queue", "Stack"), "array"),
        **dict.fromkeys(("HashMap", "Hashtable", "Object"), "object"),
    },
)


def _recognises(record: Mapping[str, Any]) -> bool:
    if isinstance(record.get("function"), list):
        return "id" in record
    parameters = record.get("parameters")
    return "name" in record and isinstance(parameters, dict) and parameters.get("type") == "dict"


def _entries(record: Record) -> Iterator[Entry]:
    if "function" not in record.value:
        stem = record.source.stem
        origin = {"category": f"multi_turn/{stem}", "source_id": f"{stem}.{record.value.get('name')}"}
        yield Entry(record.line, partial(_canonical, record.value, origin))
        return
    question = str(record.value.get("id"))
    category = _QUESTION_NUMBER.sub("", question)
    for index, (line, function) in enumerate(record.items("function")):
        origin = {"category": category, "source_id": f"{question}#{index}"}
        yield Entry(line, partial(_canonical, function, origin), listed_again=True)


def _canonical(function: Any, origin: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(function, dict):
        raise EntryError("a function must be a JSON object")
    return {
        "name": function.get("name"),
        "description": function.get("description"),
        "parameters": to_json_schema(function.get("parameters"), _WORDS),
        "returns": to_json_schema(function.get("response"), _WORDS),
        "source": "bfcl",
        **origin,
    }


FORMAT = Format("bfcl", "BFCL functions", _recognises, _entries)
