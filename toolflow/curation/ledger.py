"""Answers that were paid for, one JSON object a line, appended as they come."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Generic, TypeVar

import msgspec

from toolflow.errors import ToolFlowError

Line = TypeVar("Line")


class Ledger(Generic[Line]):
    """An append-only file of JSON objects. Use as a context manager.

    A line outlives the process once it is written. A line that cannot be read (the last one, where a process
    died in the middle of it) counts as never written.

    Args:
        path: The file; made with the first line.
        shape: What the lines are read as.

    Attributes:
        lines: What the file held when it was opened, in order.

    Raises:
        ToolFlowError: The file cannot be read.
    """

    def __init__(self, path: Path, shape: type[Line]) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self.lines: tuple[Line, ...] = ()
        try:
            content = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise ToolFlowError(
                f"{path}: cannot be read: {error.strerror}", hint="Check its permissions, or remove it."
            ) from error
        self._torn = bool(content) and not content.endswith(b"\n")
        decoder = msgspec.json.Decoder(shape)
        read: list[Line] = []
        for raw in content.splitlines():
            try:
                read.append(decoder.decode(raw))
            except msgspec.DecodeError:
                continue
        self.lines = tuple(read)

    def __enter__(self) -> Ledger[Line]:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, line: object) -> None:
        """Write a line; it is in the file once this returns.

        Raises:
            ToolFlowError: The file cannot be written.
        """
        try:
            if self._file is None:
                self._file = self._path.open("ab")
                if self._torn:
                    self._file.write(b"\n")
            self._file.write(msgspec.json.encode(line) + b"\n")
            self._file.flush()
        except OSError as error:
            raise ToolFlowError(
                f"{self._path}: cannot be written: {error.strerror}",
                hint="Check that the folder exists and is writable, and the disk not full.",
            ) from error
