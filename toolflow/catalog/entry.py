"""What a format makes of a file: entries, and what is said about an entry that is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolflow.errors import CatalogueError
from toolflow.text import one_line

if TYPE_CHECKING:
    from toolflow.catalog.record import Record

_LONGEST_PART = 300


class EntryError(CatalogueError):
    """One entry cannot become a tool. The place is added by whoever knows it.

    Args:
        message: What is wrong.
        field: Dotted path of the wrong field, such as ``parameters.properties.city``.
        tool: The tool's name as far as it is known.
        line: The line of the file, counted from 1, where it differs from the entry's own.
    """

    def __init__(
        self, message: str, *, field: str | None = None, tool: str | None = None, line: int | None = None
    ) -> None:
        super().__init__(message)
        self.field = field
        self.tool = tool
        self.line = line


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands: the file or address as the user gave it, and a line counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An entry that did not become a tool, and why.

    Attributes:
        place: File and line of the entry.
        tool: The tool's name, if the entry has one.
        field: Dotted path of the field that is wrong, if it is one field.
        message: What is wrong with it.
    """

    place: Place
    tool: str | None
    field: str | None
    message: str

    @classmethod
    def of(cls, error: EntryError, place: Place) -> Refusal:
        """The refusal that an entry's error amounts to; an error with a line of its own keeps it."""
        if error.line is not None:
            place = Place(place.file, error.line)
        return cls(place, error.tool, error.field, error.message)

    def __str__(self) -> str:
        tool = f"tool {self.tool!r}" if self.tool is not None else ""
        field = f"field {self.field}" if self.field is not None else ""
        about = ", ".join(filter(None, (tool, field)))
        parts = (one_line(part, _LONGEST_PART) for part in (str(self.place), about, self.message) if part)
        return ": ".join(parts)


@dataclass(frozen=True, slots=True)
class Entry:
    """One tool as a format found it.

    Attributes:
        line: The entry's line in its file, counted from 1.
        build: Gives the entry in the canonical shape (see ``tool_from``) or raises ``EntryError``. Called
            when the entry's turn comes, so that an entry that cannot be converted is refused alone.
        listed_again: The source lists a tool again wherever it uses it, so an equal entry is the same tool
            even if its ``source_id`` differs.
    """

    line: int
    build: Callable[[], Any]
    listed_again: bool = False


@dataclass(frozen=True, slots=True)
class Format:
    """A catalogue format: how to tell it, and how to read one record of it.

    Attributes:
        name: The word that reports count by.
        title: The name for users.
        recognises: Whether a record (a JSON object: a line of JSONL, an item of a top-level array, or the
            whole file) is of this format.
        entries: The tools of one record. May raise ``EntryError`` to refuse the record as a whole.
    """

    name: str
    title: str
    recognises: Callable[[Mapping[str, Any]], bool]
    entries: Callable[[Record], Iterator[Entry]]
