"""Files of JSON lines that are appended to: one dialogue a line, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NamedTuple

import msgspec

from toolflow.errors import RunDirectoryError
from toolflow.files import write_whole

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def unusable(path: Path, error: OSError) -> RunDirectoryError:
    """The error of the house for a file or folder that cannot be read or written."""
    if error.errno in _FULL:
        hint = "Free some disk space, then run the same command again: it goes on where it was."
    else:
        hint = "Check that the folder is there and writable, or choose another one with -o."
    what = "it is a file, and has to be a folder" if isinstance(error, FileExistsError) else error.strerror
    return RunDirectoryError(f"{path}: {what or error}", hint=hint)


@dataclass(frozen=True, slots=True)
class Line:
    """Where a line stands that can be read, and of what dialogue it is.

    One is held for each dialogue of a run: what the line says is left in the file, see :func:`read_line`.

    Attributes:
        index: Of the dialogue.
        offset: Where it begins, in bytes.
        length: In bytes, with its end of line.
        stage: Where the dialogue was thrown out; empty for an accepted one.
        reason: Word for why it was; likewise.
    """

    index: int
    offset: int
    length: int
    stage: str = ""
    reason: str = ""


class Scan(NamedTuple):
    """What a file holds.

    Attributes:
        lines: The first line of each dialogue, in the order of the file.
        damaged: Numbers of the others, from 1: overwritten, doubled, or torn.
        torn: Whether the last one is torn: it may be being written.
    """

    lines: list[Line]
    damaged: list[int]
    torn: bool = False


_Index = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # as the journal takes it


class _Metadata(msgspec.Struct):
    index: _Index


class _Accepted(msgspec.Struct):
    """A line of dialogues.jsonl, as far as it must be read to know that it is one."""

    id: str
    messages: msgspec.Raw
    tools: msgspec.Raw
    metadata: _Metadata


class _ThrownOut(msgspec.Struct):
    """Likewise a line of rejected.jsonl."""

    id: str
    index: _Index
    stage: Annotated[str, msgspec.Meta(min_length=1)]
    reason: str


def scan_accepted(path: Path) -> Scan:
    """What dialogues.jsonl holds; nothing but the index of a line is decoded.

    Raises:
        RunDirectoryError: It cannot be read.
    """
    decode = msgspec.json.Decoder(_Accepted).decode
    return _scan(path, lambda line: (decode(line).metadata.index,))


def scan_thrown_out(path: Path) -> Scan:
    """What rejected.jsonl holds; of a line its index, stage and reason are decoded.

    Raises:
        RunDirectoryError: It cannot be read.
    """
    decode = msgspec.json.Decoder(_ThrownOut).decode

    def read(line: bytes) -> tuple[int, str, str]:
        thrown_out = decode(line)
        # A few words stand for all of them.
        return thrown_out.index, sys.intern(thrown_out.stage), sys.intern(thrown_out.reason)

    return _scan(path, read)


def _scan(path: Path, read: Callable[[bytes], tuple[int] | tuple[int, str, str]]) -> Scan:
    try:
        with path.open("rb") as file:
            return _scan_file(file, read)
    except FileNotFoundError:
        return Scan([], [])
    except OSError as error:
        raise unusable(path, error) from error


def _scan_file(file: BinaryIO, read: Callable[[bytes], tuple[int] | tuple[int, str, str]]) -> Scan:
    found: dict[int, Line] = {}
    damaged: list[int] = []
    torn, offset = False, 0
    for number, line in enumerate(file, 1):
        torn = not line.endswith(b"\n")  # what reads as whole may lack its last digits
        known = None
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            line.decode()  # what the decoder passes over may be no text
            known = None if torn else read(line)
        if known is None or known[0] in found:
            damaged.append(number)
        else:
            index, *why = known
            found[index] = Line(index, offset, len(line), *why)
        offset += len(line)
    return Scan(list(found.values()), damaged, torn)


def read_line(path: Path, line: Line) -> dict[str, Any]:
    """What a line says that a scan has found.

    Raises:
        RunDirectoryError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(line.offset)
            return msgspec.json.decode(file.read(line.length), type=dict[str, Any])
    except OSError as error:
        raise unusable(path, error) from error


def open_appending(path: Path) -> BinaryIO:
    """Open a JSONL file for appending, without buffering; a last line that was torn by a crash is cut off."""
    file = path.open("a+b", buffering=0)
    end = size = file.tell()
    while end:
        start = max(0, end - 65_536)
        file.seek(start)
        newline = (file.read(end - start) or b"").rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        file.truncate(end)
    return file


def append_line(file: BinaryIO, line: Mapping[str, Any]) -> None:
    """Write all of a line or nothing: a nearly full disk takes a part of it without an error.

    Raises:
        RunDirectoryError: It cannot be written.
    """
    before = os.fstat(file.fileno()).st_size
    rest = memoryview(encode_line(line))
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except BaseException as error:
        with contextlib.suppress(OSError):
            file.truncate(before)
        if isinstance(error, OSError):
            raise unusable(Path(file.name), error) from error
        raise


def encode_line(line: Mapping[str, Any]) -> bytes:
    """A line as it is written."""
    return msgspec.json.encode(line) + b"\n"


def keep_lines(path: Path, lines: Iterable[Line]) -> None:
    """Rewrite a file with some of its lines alone; readers see the old content or the new.

    Raises:
        RunDirectoryError: It cannot be written.
    """

    def chosen() -> Iterator[bytes]:
        with path.open("rb") as file:
            for line in lines:
                file.seek(line.offset)
                yield file.read(line.length)

    replace_file(path, chosen())


def replace_file(path: Path, content: Iterable[bytes]) -> None:
    """Replace a file so that readers see the old content or the new, never a part.

    Raises:
        RunDirectoryError: It cannot be written.
    """
    try:
        write_whole(path, content)
    except BrokenPipeError:
        raise  # whoever read it has gone, which is no fault of the file
    except OSError as error:
        raise unusable(path, error) from error


def replace_json(path: Path, document: Mapping[str, Any]) -> None:
    """Replace a file by a JSON document for people to read.

    Raises:
        RunDirectoryError: It cannot be written.
    """
    replace_file(path, [msgspec.json.format(msgspec.json.encode(document), indent=2), b"\n"])
