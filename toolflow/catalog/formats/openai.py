"""OpenAI function JSON: what the ``tools`` array of a chat-completions request holds.

A record is one tool, wrapped (``{"type": "function", "function": {…}}``) or bare (``{"name", "description",
"parameters"}``); an object with a ``tools`` list; or a dialogue, which is such an object with ``messages``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from toolflow.catalog.entry import Entry, EntryError, Format
from toolflow.catalog.record import Record

_BARE = frozenset({"type", "name", "description", "parameters", "strict"})


def _recognises(record: Mapping[str, Any]) -> bool:
    if "tools" in record:
        return isinstance(record["tools"], list)
    if "function" in record:
        return isinstance(record["function"], dict)
    if "parameters" in record:
        return "name" in record or "description" in record
    return "name" in record and _BARE.issuperset(record)


def _entries(record: Record) -> Iterator[Entry]:
    source = record.source.stem or None
    if "tools" not in record.value:
        # Collections of files list a tool again in each, and have others of the same name.
        file = f"{record.source.folder}/{source}" if record.source.in_folder else None
        build = partial(_canonical, record.value, source, file)
        yield Entry(record.line, build, listed_again=record.source.in_folder)
        return
    in_dialogue = "messages" in record.value
    dialogue = record.value.get("id") if in_dialogue else None
    for line, tool in record.items("tools"):
        yield Entry(line, partial(_canonical, tool, source, dialogue), listed_again=in_dialogue)


def _canonical(tool: Any, source: str | None, place: Any) -> dict[str, Any]:
    function = tool.get("function", tool) if isinstance(tool, dict) else tool
    if not isinstance(function, dict):
        raise EntryError("a tool must be a JSON object with a name, or hold one as its 'function'")
    fields: dict[str, Any] = {"source": source}
    # Dialogues, and files of a folder, may name different tools alike: the place tells them apart.
    if isinstance(place, str | int):
        fields["source_id"] = f"{place}/{function.get('name')}"
    return fields | function


FORMAT = Format("openai", "OpenAI function JSON", _recognises, _entries)
