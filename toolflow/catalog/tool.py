"""The tool: the unit of a catalogue, and what the assistant is offered."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from toolflow.catalog.schema import Validator, compile_schema

Schema = Mapping[str, Any]
"""A JSON Schema 2020-12 as decoded JSON. Never changed in place."""

_FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NOT_IN_FUNCTION_NAME = re.compile(r"[^a-zA-Z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool of a catalogue.

    Attributes:
        name: The catalogue's own name, unique in a catalogue; any non-empty text.
        description: What the tool does; may be empty.
        parameters: JSON Schema whose ``type`` is ``object``.
        returns: JSON Schema of the result, or None where the catalogue does not tell.
        category: The catalogue's own grouping, if any.
        source: Where the tool comes from (``bfcl``, ``rapidapi-toolbench``, a file's stem …).
        source_id: The source's own identifier, if it has one beside the name.
        provenance: What was invented, and by what: ``description``, ``returns``, ``parameters.<name>`` … to
            ``model`` or ``rehearsal``; None where everything comes from the source.
    """

    name: str
    description: str
    parameters: Schema
    returns: Schema | None = None
    category: str | None = None
    source: str | None = None
    source_id: str | None = None
    provenance: Mapping[str, str] | None = None

    @property
    def function_name(self) -> str:
        """The name that endpoints accept: at most 64 of ``[a-zA-Z0-9_-]``; the name itself where it fits."""
        return function_name(self.name)

    @property
    def properties(self) -> Mapping[str, Schema]:
        """The top-level parameters by name."""
        properties: Mapping[str, Schema] = self.parameters.get("properties") or {}
        return properties

    @property
    def required(self) -> Sequence[str]:
        """Names of the parameters that every call must give."""
        required: Sequence[str] = self.parameters.get("required") or ()
        return required

    def argument_problems(self, arguments: object) -> list[str]:
        """What is wrong with a call's decoded arguments, one sentence each; empty when they are valid."""
        return _validator(self.parameters).problems(arguments)

    def result_problems(self, result: object) -> list[str]:
        """What is wrong with a tool result; empty when it is valid or no return schema is known."""
        return [] if self.returns is None else _validator(self.returns).problems(result)

    def to_openai(self) -> dict[str, Any]:
        """The tool in the shape of the chat-completions ``tools`` array."""
        return {
            "type": "function",
            "function": {
                "name": self.function_name,
                "description": self.description,
                "parameters": self.parameters,
            },
        }

    def to_canonical(self) -> dict[str, Any]:
        """The tool as one line of the canonical JSONL."""
        line: dict[str, Any] = {"name": self.name, "description": self.description}
        if self.category is not None:
            line["category"] = self.category
        line |= {"parameters": self.parameters, "returns": self.returns}
        if self.source is not None:
            line["source"] = self.source
        if self.source_id is not None:
            line["source_id"] = self.source_id
        if self.provenance:
            line["provenance"] = self.provenance
        return line


@lru_cache(maxsize=65_536)
def function_name(name: str) -> str:
    """The function name an endpoint accepts for a catalogue name; distinct names stay distinct.

    A name that does not fit is cleaned, cut and given eight hexadecimal digits of its hash.
    """
    if _FUNCTION_NAME.fullmatch(name):
        return name
    digest = hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
    cleaned = _NOT_IN_FUNCTION_NAME.sub("_", name).strip("_") or "tool"
    return f"{cleaned[:55]}_{digest}"


# Keyed by identity: a schema belongs to one Tool for as long as the catalogue lives, and is never changed.
# The schema is kept beside its validator so that its id() cannot be given to another object.
_validators: dict[int, tuple[Schema, Validator]] = {}
_VALIDATORS_KEPT = 4_096


def _validator(schema: Schema) -> Validator:
    known = _validators.get(id(schema))
    if known is not None:
        return known[1]
    if len(_validators) >= _VALIDATORS_KEPT:
        _validators.clear()
    validator = compile_schema(schema)
    _validators[id(schema)] = (schema, validator)
    return validator


def encode_json(value: object) -> str:
    """Compact JSON text, keys in their own order: the form of arguments and tool results in dialogues."""
    return msgspec.json.encode(value).decode()
