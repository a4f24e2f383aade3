"""Where catalogues lie: files, folders, addresses and text at hand, read into plain UTF-8 bytes."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from toolflow.errors import CatalogueError

_PLAIN_ENDINGS = (".json", ".jsonl", ".ndjson", ".yaml", ".yml")
ENDINGS = (*_PLAIN_ENDINGS, *(f"{ending}.gz" for ending in _PLAIN_ENDINGS))
"""What files of a folder must end in to be read. A file that is named itself may end in anything."""

_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Source:
    """One file or address to read.

    Attributes:
        location: The file, or the http(s) address.
        in_folder: Found in a folder rather than named by the user: passed over if it is no catalogue.
        content: What to read, where it came from elsewhere (a live server, Python code): the location then
            only names it.
    """

    location: Path | str
    in_folder: bool = False
    content: bytes | None = None

    @property
    def label(self) -> str:
        """The name for messages. Credentials and queries of an address are left out: they may be secret."""
        if isinstance(self.location, Path) or self.content is not None:
            return str(self.location)
        address = urlsplit(self.location)
        return f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return self._path.name.partition(".")[0]

    @property
    def folder(self) -> str:
        """The name of the folder that the file lies in; empty if it is not known."""
        return self._path.parent.name

    @property
    def _path(self) -> PurePosixPath | Path:
        return (
            self.location if isinstance(self.location, Path) else PurePosixPath(urlsplit(self.location).path)
        )

    def read(self) -> bytes:
        """The content, decompressed if it is gzip, without a byte order mark.

        Raises:
            CatalogueError: The file is missing, unreadable, a broken gzip or not UTF-8; or the address gives
                no file.
        """
        data = self._read_raw()
        if data.startswith(_GZIP_MAGIC):
            try:
                data = gzip.decompress(data)
            except (EOFError, OSError, zlib.error) as error:
                raise CatalogueError(
                    f"{self.label}: the gzip data is cut off or damaged: {error}",
                    hint="Fetch or compress the file again.",
                ) from error
        data = data.removeprefix(_BYTE_ORDER_MARK)
        try:
            data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            found = "it looks like UTF-16" if data.startswith(_UTF16_MARKS) else error.reason
            raise CatalogueError(
                f"{self.label}:{line}: not UTF-8 text: {found}", hint="Save the file as UTF-8."
            ) from error
        return data

    def _read_raw(self) -> bytes:
        if self.content is not None:
            return self.content
        if isinstance(self.location, str):
            from toolflow.catalog.fetch import fetch  # noqa: PLC0415 - an HTTP client is needed here only

            return fetch(self.location, label=self.label)
        try:
            return self.location.read_bytes()
        except OSError as error:
            raise _unreadable(self.location, error) from error


def find_sources(paths: Sequence[Path | str | Source]) -> Iterator[Source]:
    """The files of the paths, in order; those of a folder and its subfolders sorted by path. Sources stay.

    Raises:
        CatalogueError: An address is malformed, a path cannot be looked at, or a folder holds no file with a
            known ending.
    """
    for path in paths:
        if isinstance(path, Source):
            yield path
            continue
        if isinstance(path, str) and path.lower().startswith(("http://", "https://")):
            yield _at_address(path)
            continue
        if isinstance(path, str) and "://" in path:
            raise CatalogueError(
                f"{path.partition('://')[0]}:// addresses cannot be read",
                hint="Give an http(s) address, or the path of a file.",
            )
        file = Path(path)
        try:
            is_folder = file.is_dir()
        except OSError as error:
            raise _unreadable(file, error) from error
        if is_folder:
            yield from _in_folder(file)
        else:
            yield Source(file)


def _at_address(address: str) -> Source:
    try:
        urlsplit(address)
    except ValueError as error:
        raise CatalogueError(f"not a valid address: {error}", hint="Check the address.") from error
    return Source(address)


def _in_folder(folder: Path) -> Iterator[Source]:
    try:
        files = [
            file
            for file in sorted(folder.rglob("*"))
            if file.name.endswith(ENDINGS)
            and not any(part.startswith(".") for part in file.relative_to(folder).parts)
            and file.is_file()
        ]
    except OSError as error:
        raise _unreadable(folder, error) from error
    if not files:
        raise CatalogueError(
            f"{folder}: the folder holds no catalogue", hint=f"Files in it must end in {', '.join(ENDINGS)}."
        )
    yield from (Source(file, in_folder=True) for file in files)


def _unreadable(path: Path, error: OSError) -> CatalogueError:
    if isinstance(error, FileNotFoundError):
        return CatalogueError(f"{path}: no such file or folder", hint="Check the path.")
    return CatalogueError(
        f"{path}: cannot be read: {error.strerror}", hint="Check the path and its permissions."
    )
