"""Schemas of a document with references become JSON Schemas that stand alone: finite, small and valid."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from toolflow.catalog.entry import EntryError
from toolflow.catalog.native_schema import (
    EXCLUSIVE,
    JSON_TYPES,
    NATIVE_TYPE,
    clean_pattern,
    exclusive_bound,
    listed_keys,
)

_DEEPEST = 6
# A schema larger than this is read again less deep: references multiply, and a model reads every word of it.
_MOST_NODES = 400
_LONGEST_CHAIN = 64  # of references that only lead to another


_HTML_TAG = re.compile(
    r"</?(a|b|br|code|dd|dl|dt|div|em|h[1-6]|hr|i|img|important|li|note|ol|p|pre|span|strong|sub|sup|table|tbody"
    r"|td|th|thead|tr|ul)(\s[^<>]*)?/?>",
    re.IGNORECASE,
)


def plain_text(text: Any) -> str:
    """A description without the HTML that some documents write it in, its white space evened out."""
    if not isinstance(text, str):
        return ""
    return " ".join(html.unescape(_HTML_TAG.sub(" ", text)).split())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_KEPT: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("format", "contentEncoding", "contentMediaType"), lambda value: isinstance(value, str)),
    "enum": lambda value: isinstance(value, list) and bool(value),
    "const": lambda _: True,
    "default": lambda value: value is not None,
    **dict.fromkeys(("minimum", "maximum"), _is_number),
    "multipleOf": lambda value: _is_number(value) and value > 0,
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _is_count
    ),
    "uniqueItems": _is_flag,
}
"""Keywords that are kept as they are, if their value is what JSON Schema asks for."""


class SchemaReader:
    """Reads schemas of one document.

    References are resolved inside the document, ``allOf`` is merged, ``nullable`` becomes a type. A reference
    to what is being read becomes an open object, as does what lies deeper than six levels, or less where the
    schema would have more than 400 parts.

    Args:
        document: The whole document, in which references point.
        hidden: A flag that takes a property out, such as ``readOnly`` in a request.
    """

    def __init__(self, document: Mapping[str, Any], *, hidden: str | None = None) -> None:
        self._document = document
        self._hidden = hidden
        self._read: dict[str, dict[str, Any]] = {}

    def read(self, schema: Any) -> dict[str, Any]:
        """The schema as one that stands alone; empty where it tells nothing.

        Raises:
            EntryError: A reference points outside the document or nowhere.
        """
        reference = schema.get("$ref") if isinstance(schema, dict) and len(schema) == 1 else None
        if not isinstance(reference, str):
            return self._as_deep_as_fits(schema)
        if reference not in self._read:
            self._read[reference] = self._as_deep_as_fits(schema)
        return self._read[reference]

    def resolve(self, value: Any) -> Any:
        """What a reference (or a chain of them) leads to; whatever is no reference is given back.

        Raises:
            EntryError: It points outside the document or nowhere.
        """
        for _ in range(_LONGEST_CHAIN):
            if not isinstance(value, dict) or not isinstance(reference := value.get("$ref"), str):
                return value
            value = self._target(reference)
        raise EntryError("references lead to each other without end", field="$ref")

    def _target(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise EntryError(
                f"{reference!r} points outside the document: bundle its parts into one file first",
                field="$ref",
            )
        if reference[1:2] not in {"", "/"}:
            raise EntryError(f"{reference!r} points nowhere", field="$ref")
        value: Any = self._document
        for step in unquote(reference[1:]).split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
                value = value[int(key)]
            elif isinstance(value, dict) and key in value:
                value = value[key]
            else:
                raise EntryError(f"{reference!r} points nowhere", field="$ref")
        return value

    def _as_deep_as_fits(self, schema: Any) -> dict[str, Any]:
        for depth in range(_DEEPEST, 0, -1):
            reading = _Reading(self, self._hidden, most=_MOST_NODES)
            try:
                return reading.schema(schema, depth, frozenset())
            except _TooLargeError:
                continue
        return _Reading(self, self._hidden, most=None).schema(schema, 1, frozenset())


class _TooLargeError(Exception):
    """More parts than are wanted."""


class _Reading:
    """One attempt at a schema, which counts its parts."""

    def __init__(self, reader: SchemaReader, hidden: str | None, *, most: int | None) -> None:
        self._reader = reader
        self._hidden = hidden
        self._left = most

    def schema(self, schema: Any, depth: int, opened: frozenset[str]) -> dict[str, Any]:
        """Read a schema whose fields may go ``depth`` levels down; ``opened``: references on the way."""
        read = self._merged(schema, depth, opened)
        # Only now, since a part of allOf may require what another part declares.
        wanted = set(read.pop("required", ()))
        required = [name for name in read.get("properties", ()) if name in wanted]
        return listed_keys(read | ({"required": required} if required else {}))

    def _merged(self, schema: Any, depth: int, opened: frozenset[str]) -> dict[str, Any]:
        if not isinstance(schema, dict):
            return {}
        self._count()
        read = _types(schema) | {
            key: schema[key] for key, holds in _KEPT.items() if key in schema and holds(schema[key])
        }
        if text := plain_text(schema.get("description")):
            read["description"] = text
        for key in EXCLUSIVE:
            read |= exclusive_bound(schema, key)
        read |= clean_pattern(schema.get("pattern"))
        read |= self._parts(schema, depth, opened)
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference in opened:
            _merge(read, {"type": "object"})
        elif isinstance(reference, str):
            target = self._reader.resolve({"$ref": reference})
            _merge(read, self._merged(target, depth, opened | {reference}))
        for part in _schemas(schema, "allOf"):
            _merge(read, self._merged(part, depth, opened))
        for key in ("oneOf", "anyOf"):
            if choices := [self.schema(each, depth, opened) for each in _schemas(schema, key)]:
                read[key] = choices
        return _nullable(read) if schema.get("nullable") is True else read

    def _parts(self, schema: Mapping[str, Any], depth: int, opened: frozenset[str]) -> dict[str, Any]:
        parts: dict[str, Any] = {}
        properties = schema.get("properties")
        if isinstance(properties, dict):
            parts["type"] = _types(schema).get("type", "object")
            if depth > 0:
                parts["properties"] = {
                    name: self.schema(each, depth - 1, opened)
                    for name, each in properties.items()
                    if not (self._hidden and isinstance(each, dict) and each.get(self._hidden) is True)
                }
        required = schema.get("required")
        if isinstance(required, list):
            parts["required"] = list(dict.fromkeys(name for name in required if isinstance(name, str)))
        if depth > 0 and isinstance(schema.get("items"), dict):
            parts["items"] = self.schema(schema["items"], depth - 1, opened)
        if depth > 0 and isinstance(schema.get("propertyNames"), dict):
            parts["propertyNames"] = self.schema(schema["propertyNames"], depth - 1, opened)
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict) and depth > 0:
            parts["additionalProperties"] = self.schema(extra, depth - 1, opened) or True
        elif isinstance(extra, bool):
            # Cut off from its properties, a closed object would allow nothing.
            parts |= {"additionalProperties": extra} if extra or depth > 0 else {}
        return parts

    def _count(self) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise _TooLargeError


def _schemas(schema: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    values = schema.get(key)
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _types(schema: Mapping[str, Any]) -> dict[str, Any]:
    word = schema.get("type")
    if isinstance(word, list):
        words = dict.fromkeys(each for each in word if isinstance(each, str) and each in JSON_TYPES)
        return {"type": list(words)} if words else {}
    if not isinstance(word, str):
        return {}
    if word in JSON_TYPES:
        return {"type": word}
    return {"type": "string", "format": "binary"} if word == "file" else {NATIVE_TYPE: word}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    types = schema.get("type")
    if isinstance(types, str):
        types = [types]
    if isinstance(types, list) and "null" not in types:
        schema["type"] = [*types, "null"]
    if "enum" in schema and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    return schema


def _merge(into: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Add what a part of ``allOf`` says; what was said before it stays."""
    for key, value in part.items():
        if key == "properties":
            into[key] = into.get(key, {}) | {
                name: each for name, each in value.items() if name not in into.get(key, {})
            }
        elif key == "required":
            into[key] = list(dict.fromkeys([*into.get(key, ()), *value]))
        elif key not in into:
            into[key] = value
