"""The schemas of the Schema-Guided Dialogue data set: services with slots; each intent becomes a tool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from toolflow.catalog.entry import Entry, EntryError, Format
from toolflow.catalog.record import Record


def _recognises(record: Mapping[str, Any]) -> bool:
    return all(key in record for key in ("service_name", "slots", "intents"))


def _entries(record: Record) -> Iterator[Entry]:
    service = str(record.value.get("service_name"))
    slots = {
        slot["name"]: _slot(slot)
        for _, slot in record.items("slots")
        if isinstance(slot, dict) and isinstance(slot.get("name"), str)
    }
    for line, intent in record.items("intents"):
        yield Entry(line, partial(_canonical, intent, service, slots))


def _slot(slot: Mapping[str, Any]) -> dict[str, Any]:
    values = slot.get("possible_values")
    words = [str(value) for value in values] if isinstance(values, list) else []
    schema: dict[str, Any] = {"type": "string"}
    if isinstance(slot.get("description"), str):
        schema["description"] = slot["description"]
    if words and set(words) <= {"True", "False"}:
        schema["type"] = "boolean"
    elif slot.get("is_categorical") is True and words:
        numbers = all(word.isdecimal() for word in words)
        schema |= {"type": "integer", "enum": [int(word) for word in words]} if numbers else {"enum": words}
    return schema


def _canonical(intent: Any, service: str, slots: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    if not isinstance(intent, dict):
        raise EntryError("an intent must be a JSON object", field="intents")
    name = f"{service}_{intent.get('name')}"
    try:
        required = {slot: dict(slots[slot]) for slot in _names(intent, "required_slots", slots)}
        optional = {slot: dict(slots[slot]) for slot in _names(intent, "optional_slots", slots)}
        returned = {slot: slots[slot] for slot in _names(intent, "result_slots", slots)}
    except EntryError as error:
        error.tool = name
        raise
    defaults = intent.get("optional_slots")
    for slot, default in defaults.items() if isinstance(defaults, dict) else ():
        optional[slot] |= _default(default, optional[slot])
    parameters = {"type": "object", "properties": required | optional}
    return {
        "name": name,
        "description": intent.get("description"),
        "category": service.rpartition("_")[0] or service,
        "parameters": parameters | ({"required": list(required)} if required else {}),
        "returns": {"type": "object", "properties": returned} if returned else None,
        "source": "sgd",
        "source_id": f"{service}/{intent.get('name')}",
    }


def _default(word: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The default in the slot's type; ``dontcare`` means that there is none."""
    if word == "dontcare":
        return {}
    if schema["type"] == "boolean":
        return {"default": word == "True"}
    return {"default": int(word) if schema["type"] == "integer" and str(word).isdecimal() else word}


def _names(intent: Mapping[str, Any], key: str, slots: Mapping[str, Any]) -> list[str]:
    value = intent.get(key) or []
    if not isinstance(value, list | dict):
        raise EntryError("must name slots", field=key)
    names = [str(name) for name in value]
    unknown = [name for name in names if name not in slots]
    if unknown:
        raise EntryError(f"names the slot {unknown[0]!r}, which the service does not have", field=key)
    return names


FORMAT = Format("sgd", "Schema-Guided Dialogue services", _recognises, _entries)
