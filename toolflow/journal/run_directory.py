"""The run directory: the fingerprint of a run, its data set, and what was thrown out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

import msgspec

from toolflow.errors import RunDirectoryError

FORMAT: Final = 1
"""Version of the run directory's layout."""


class RunDirectory:
    """An open run directory; one process at a time. Use as a context manager.

    Args:
        path: The folder; made if it is not there.

    Raises:
        RunDirectoryError: The folder cannot be used, or another process is using it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open = contextlib.ExitStack()

    @property
    def journal(self) -> Path:
        return self.path / "journal.sqlite"

    @property
    def dialogues(self) -> Path:
        return self.path / "dialogues.jsonl"

    @property
    def rejected(self) -> Path:
        return self.path / "rejected.jsonl"

    def __enter__(self) -> RunDirectory:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock()
            self._accepted_file = self._open.enter_context(_appending(self.dialogues))
            self._rejected_file = self._open.enter_context(_appending(self.rejected))
        except OSError as error:
            self._open.close()
            raise RunDirectoryError(
                f"{self.path}: {error.strerror or error}",
                hint="Choose another folder with -o RUN.",
            ) from error
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def claim(self, fingerprint: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
        """Write run.json, or check that it was written by an equal run.

        Args:
            fingerprint: Everything that determines the data set; must be equal to continue the run.
            facts: How the run is carried out; kept for the reader and free to change.

        Returns:
            Whether the run was begun before.

        Raises:
            RunDirectoryError: The folder holds a run with another fingerprint, or something else.
        """
        path = self.path / "run.json"
        wanted = msgspec.json.decode(msgspec.json.encode(fingerprint))
        known = self._known_fingerprint(path)
        if known is not None and known != wanted:
            differences = "\n".join(f"  {line}" for line in _differences(known, wanted))
            raise RunDirectoryError(
                f"{self.path} holds a run with another configuration:\n{differences}",
                hint="Give the earlier configuration to continue that run, or another -o RUN.",
            )
        document = {"format": FORMAT, "fingerprint": fingerprint, **facts}
        _write_whole(path, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
        return known is not None

    def finished(self) -> tuple[set[int], list[Mapping[str, Any]]]:
        """Indices of the accepted dialogues, and the lines of rejected.jsonl."""
        return set(_indices(self.dialogues)), list(read_lines(self.rejected))

    def accept(self, line: Mapping[str, Any]) -> None:
        """Append one accepted dialogue."""
        self._append(self._accepted_file, line)

    def reject(self, line: Mapping[str, Any]) -> None:
        """Append one dialogue that was rejected or failed."""
        self._append(self._rejected_file, line)

    def read_summary(self) -> dict[str, Any]:
        """The summary that an earlier process left; empty where there is none that can be read."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode((self.path / "summary.json").read_bytes(), type=dict[str, Any])
        return {}

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json anew."""
        _write_whole(
            self.path / "summary.json", msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"
        )

    def _append(self, file: BinaryIO, line: Mapping[str, Any]) -> None:
        try:
            _write_line(file, msgspec.json.encode(line) + b"\n")
        except OSError as error:
            raise RunDirectoryError(
                f"{file.name}: {error.strerror or error}",
                hint="Free some disk space, then run the same command again: it continues the run.",
            ) from error

    def _known_fingerprint(self, path: Path) -> dict[str, Any] | None:
        if not path.exists():
            if self.dialogues.stat().st_size:
                raise RunDirectoryError(
                    f"{self.path} holds dialogues but no run.json", hint="Choose another folder with -o RUN."
                )
            return None
        try:
            document = msgspec.json.decode(path.read_bytes())
            fingerprint: dict[str, Any] = document["fingerprint"]
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise RunDirectoryError(
                f"{path} is not the run.json of a run: {error}", hint="Choose another folder with -o RUN."
            ) from error
        return fingerprint

    def _lock(self) -> None:
        try:
            import fcntl  # noqa: PLC0415  not on every platform
        except ImportError:
            return
        file = self._open.enter_context((self.path / ".lock").open("a+b"))
        try:
            # The kernel lets go when the process dies, however it dies.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(20).decode("ascii", "replace").strip()
            self._open.close()
            raise RunDirectoryError(
                f"{self.path} is in use by another process" + (f" (PID {holder})" if holder else ""),
                hint="Wait for it to end, or choose another folder with -o RUN.",
            ) from None
        file.truncate(0)
        file.write(b"%d\n" % os.getpid())
        file.flush()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a JSONL file, one at a time; a file that is not there has none.

    Raises:
        RunDirectoryError: A line is no JSON object.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield msgspec.json.decode(line, type=dict[str, Any])
            except msgspec.MsgspecError as error:
                raise RunDirectoryError(f"{path}:{number}: {error}") from error


class _Metadata(msgspec.Struct):
    index: int


class _Indexed(msgspec.Struct):
    metadata: _Metadata


def _indices(path: Path) -> Iterator[int]:
    """Dialogue index of each line; nothing else of it is decoded."""
    decoder = msgspec.json.Decoder(_Indexed)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield decoder.decode(line).metadata.index
            except msgspec.MsgspecError as error:
                raise RunDirectoryError(f"{path}:{number}: not a dialogue: {error}") from error


def find_dialogue(run: Path, wanted: str | None) -> dict[str, Any] | None:
    """A line of dialogues.jsonl or rejected.jsonl by id or index; the first accepted one where none is named.

    Raises:
        RunDirectoryError: The folder holds no run.
    """
    if not (run / "run.json").exists():
        raise RunDirectoryError(f"{run} holds no run", hint="Name the folder given to toolflow synth -o.")
    if wanted is not None and wanted.isdigit():
        wanted = f"d{int(wanted):07d}"
    for name in ("dialogues.jsonl", "rejected.jsonl") if wanted else ("dialogues.jsonl",):
        for line in read_lines(run / name):
            if wanted is None or line["id"] == wanted:
                return line
    return None


def _appending(path: Path) -> BinaryIO:
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


def _write_line(file: BinaryIO, line: bytes) -> None:
    """Write all of a line or nothing: a nearly full disk takes a part of it without an error."""
    before = os.fstat(file.fileno()).st_size
    rest = memoryview(line)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except BaseException:
        with contextlib.suppress(OSError):
            file.truncate(before)
        raise


def _write_whole(path: Path, content: bytes) -> None:
    """Replace a file so that readers see the old content or the new, never a part."""
    beside = path.with_suffix(".tmp")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise RunDirectoryError(
            f"{path}: {error.strerror or error}",
            hint="Free some disk space, then run the same command again: it continues the run.",
        ) from error


def _differences(known: object, wanted: object, where: str = "") -> Iterator[str]:
    if isinstance(known, dict) and isinstance(wanted, dict):
        for key in sorted(known.keys() | wanted.keys()):
            yield from _differences(known.get(key), wanted.get(key), f"{where}.{key}" if where else key)
    elif known != wanted:
        yield f"{where}: {_short(known)} there, {_short(wanted)} here"


def _short(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else text[:77] + "…"
