"""What becomes of each entry: a tool, a repeat, a tool under another name, or a refusal."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from toolflow.catalog.entry import Entry, EntryError, Place, Refusal
from toolflow.catalog.tool import Tool
from toolflow.catalog.validate import tool_from
from toolflow.errors import CatalogueError


@dataclass(slots=True)
class _Namesakes:
    """The tools of one name: where the first stands, and what all of them say (once there are two)."""

    place: Place
    first: Tool
    contents: set[bytes] = field(default_factory=set[bytes])


@dataclass(slots=True)
class Intake:
    """Takes entries one by one.

    Attributes:
        skip_invalid: Keep a list of refusals instead of raising the first.
        limit: How many tools are wanted, or None for all.
        tools: The tools so far, under the names that their sources give.
        formats: How many tools came from each format.
        skipped: The refusals so far.
        repeats: How many entries repeated a tool.
    """

    skip_invalid: bool
    limit: int | None = None
    tools: list[Tool] = field(default_factory=list[Tool])
    formats: Counter[str] = field(default_factory=Counter[str])
    skipped: list[Refusal] = field(default_factory=list[Refusal])
    repeats: int = 0
    _names: dict[str, _Namesakes] = field(default_factory=dict[str, _Namesakes])

    @property
    def is_full(self) -> bool:
        """Whether there are as many tools as are wanted."""
        return self.limit is not None and len(self.tools) >= self.limit

    def take(self, entry: Entry, *, file: str, format_name: str) -> None:
        """Make a tool of the entry, unless it repeats one or is refused.

        Raises:
            CatalogueError: The entry is refused, and refusals are not to be skipped.
        """
        place = Place(file, entry.line)
        try:
            tool = tool_from(entry.build())
            is_new = self._is_new(tool, place, listed_again=entry.listed_again)
        except EntryError as error:
            self.refuse(error, place)
        except RecursionError:
            self.refuse(EntryError("nested too deep"), place)
        else:
            if is_new:
                self.tools.append(tool)
                self.formats[format_name] += 1
            else:
                self.repeats += 1

    def refuse(self, error: EntryError, place: Place) -> None:
        """Note a refusal.

        Raises:
            CatalogueError: Refusals are not to be skipped.
        """
        refusal = Refusal.of(error, place)
        if not self.skip_invalid:
            hint = "Correct the entry, or leave out entries like it with --skip-invalid."
            raise CatalogueError(str(refusal), hint=hint) from error
        self.skipped.append(refusal)

    def unique_tools(self) -> tuple[tuple[Tool, ...], dict[str, str]]:
        """The tools under unique names, and the source's name by the name of each tool that was renamed.

        The later tools of a name are numbered from 2; no number makes a name that a source gives itself.
        """
        taken = set(self._names)
        last: Counter[str] = Counter()
        renamed: dict[str, str] = {}
        tools: list[Tool] = []
        for tool in self.tools:
            last[tool.name] += 1
            if last[tool.name] == 1:
                tools.append(tool)
                continue
            while (name := f"{tool.name}_{last[tool.name]}") in taken:
                last[tool.name] += 1
            taken.add(name)
            renamed[name] = tool.name
            tools.append(replace(tool, name=name))
        return tuple(tools), renamed

    def _is_new(self, tool: Tool, place: Place, *, listed_again: bool) -> bool:
        namesakes = self._names.get(tool.name)
        if namesakes is None:
            self._names[tool.name] = _Namesakes(place, tool)
            return True
        if not namesakes.contents:
            namesakes.contents.update(_contents(namesakes.first))
        without_id, with_id = _contents(tool)
        may_repeat = listed_again or tool.source_id is not None
        if may_repeat and (without_id if listed_again else with_id) in namesakes.contents:
            return False
        if tool.source_id is None:
            raise EntryError(
                f"duplicate name without a source_id, first at {namesakes.place}",
                field="name",
                tool=tool.name,
            )
        namesakes.contents |= {without_id, with_id}
        return True


def _contents(tool: Tool) -> Sequence[bytes]:
    """Digests of what a tool says: without and with the identifier that its source gives it."""
    said = [tool.name, tool.description, tool.parameters, tool.returns]
    forms = (said, [*said, tool.source_id])
    return [hashlib.blake2b(msgspec.json.encode(form), digest_size=16).digest() for form in forms]
