"""Reads catalogues of any known format into one, and tells what it left out or renamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import chain, islice
from pathlib import Path

from toolflow.catalog.catalogue import Catalogue
from toolflow.catalog.entry import EntryError, Format, Place, Refusal
from toolflow.catalog.formats import FORMATS
from toolflow.catalog.intake import Intake
from toolflow.catalog.record import RawRecord, Record, raw_records
from toolflow.catalog.source import Source, find_sources
from toolflow.errors import CatalogueError
from toolflow.garbage import collection_paused
from toolflow.text import one_line

_RECORDS_THAT_TELL_THE_FORMAT = 20


@dataclass(frozen=True, slots=True)
class LoadReport:
    """A catalogue and how it came about.

    Attributes:
        catalogue: The tools.
        formats: How many of them came from each format, by the format's name.
        files: The files that were read, as the user gave them.
        ignored: Files of a folder that are in no known format.
        skipped: The entries that were refused, in order.
        repeats: How many entries were dropped because they repeat a tool.
        renamed: The name in the source by the name of the tool, for tools whose name was taken.
    """

    catalogue: Catalogue
    formats: Mapping[str, int]
    files: tuple[str, ...]
    ignored: tuple[str, ...]
    skipped: tuple[Refusal, ...]
    repeats: int
    renamed: Mapping[str, str]


@collection_paused()
def load_catalogue(
    paths: Sequence[Path | str | Source],
    *,
    skip_invalid: bool = False,
    limit: int | None = None,
    allow_empty: bool = False,
) -> LoadReport:
    """Read catalogues, in the order given, as one.

    If a name occurs again, an entry without ``source_id`` is refused as a duplicate. With one, an entry that
    equals an earlier tool is dropped as a repeat, and any other becomes a tool ``<name>_2``, ``<name>_3`` …

    Args:
        paths: Files, folders (read with their subfolders, sorted), http(s) addresses or sources at hand.
        skip_invalid: Leave out the entries that are refused instead of raising. A file that cannot be read
            or is in no known format is an error all the same.
        limit: Stop reading after this many tools; at least 1.
        allow_empty: If every entry was refused, give a report with an empty catalogue instead of raising.

    Raises:
        CatalogueError: A path cannot be read, a file is in no known format, an entry is refused, or there is
            no tool at all.
    """
    intake = Intake(skip_invalid=skip_invalid, limit=limit)
    files: list[str] = []
    ignored: list[str] = []
    for source in find_sources(paths):
        (files if _read(source, intake) else ignored).append(source.label)
        if intake.is_full:
            break
    if not intake.tools and not (allow_empty and intake.skipped):
        raise _no_tool(files or ignored, intake.skipped)
    tools, renamed = intake.unique_tools()
    return LoadReport(
        catalogue=Catalogue(tools),
        formats=dict(intake.formats),
        files=tuple(files),
        ignored=tuple(ignored),
        skipped=tuple(intake.skipped),
        repeats=intake.repeats,
        renamed=renamed,
    )


def load_sample(limit: int | None = None) -> Catalogue:
    """The sample catalogue that ships with the package, or its first ``limit`` tools."""
    with resources.as_file(resources.files("toolflow.catalog") / "data" / "sample.jsonl") as path:
        return load_catalogue([path], limit=limit).catalogue


def load_wanted(
    paths: Sequence[Path | str], *, skip_invalid: bool = False, limit: int | None = None
) -> tuple[Catalogue, tuple[str, ...]]:
    """The catalogues that are named, or the sample where none is.

    Args:
        paths: As :func:`load_catalogue` takes them.
        skip_invalid: Likewise.
        limit: Likewise; of the sample, too.

    Returns:
        The catalogue, and what the user should know of it, a sentence each.

    Raises:
        CatalogueError: As :func:`load_catalogue` does.
    """
    if not paths:
        sample = load_sample(limit)
        return sample, (f"No --tools given: using {len(sample):,} tools of the sample catalogue.",)
    report = load_catalogue(paths, skip_invalid=skip_invalid, limit=limit)
    left_out = (f"{len(report.skipped):,} wrong catalogue entries were left out.",) if report.skipped else ()
    return report.catalogue, left_out


def _read(source: Source, intake: Intake) -> bool:
    """Take in the entries of one file; False if it is in no known format and the user did not name it."""
    raws = raw_records(source, source.read())
    head = list(islice(raws, _RECORDS_THAT_TELL_THE_FORMAT))
    known = _format_of(head)
    if known is None:
        if head and not source.in_folder:
            raise _unknown_format(source, head[0])
        return not source.in_folder
    for raw in chain(head, raws):
        try:
            for entry in known.entries(_object(raw)):
                intake.take(entry, file=source.label, format_name=known.name)
                if intake.is_full:
                    return True
        except EntryError as error:
            intake.refuse(error, Place(source.label, raw.line))
    return True


def _object(raw: RawRecord) -> Record:
    record = raw.decode()
    if not isinstance(record.value, dict):
        raise EntryError("must be a JSON object")
    return record


def _format_of(head: Sequence[RawRecord]) -> Format | None:
    """The format of the first record that is in a known one: records before it are damaged."""
    for raw in head:
        try:
            value = _object(raw).value
        except EntryError:
            continue
        for known in FORMATS:
            if known.recognises(value):
                return known
    return None


def _unknown_format(source: Source, first: RawRecord) -> CatalogueError:
    place = Place(source.label, first.line)
    try:
        keys = ", ".join(map(repr, islice(_object(first).value, 6))) or "no keys"
    except EntryError as error:
        return CatalogueError(str(Refusal.of(error, place)), hint=_known_formats())
    found = one_line(f"an object with {keys}", 200)
    return CatalogueError(f"{place}: not in a known catalogue format ({found})", hint=_known_formats())


def _no_tool(files: Sequence[str], skipped: Sequence[Refusal]) -> CatalogueError:
    if skipped:
        return CatalogueError(
            f"none of the {len(skipped)} entries is a tool; the first: {skipped[0]}",
            hint="See all of them with: toolflow tools check PATH",
        )
    named = ", ".join(files[:3]) + (f" and {len(files) - 3} more files" if len(files) > 3 else "")
    return CatalogueError(f"no tool in {named or 'an empty list of paths'}", hint=_known_formats())


def _known_formats() -> str:
    return f"Known formats: {', '.join(known.title for known in FORMATS)}."
