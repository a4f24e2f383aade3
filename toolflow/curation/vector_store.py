"""Vectors that were paid for, kept on disk by the hash of their text."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolflow.errors import GraphError

_ASKED_AT_ONCE: Final = 500

Vector = NDArray[np.float32]


class VectorMemory:
    """The vectors of one model, kept as long as the process lives."""

    def __init__(self) -> None:
        self._vectors: dict[str, Vector] = {}

    def find(self, texts: Sequence[str]) -> dict[str, Vector]:
        """The vectors of those texts that are known."""
        return {text: self._vectors[text] for text in texts if text in self._vectors}

    def keep(self, vectors: Mapping[str, Vector]) -> None:
        """Keep vectors."""
        self._vectors.update(vectors)


class VectorStore:
    """The vectors of one model in one SQLite file. Use as a context manager.

    Args:
        path: The file; its folder is made.

    Raises:
        GraphError: The file cannot be opened, or is no such store.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        except (sqlite3.Error, OSError) as error:
            raise self._failure(error) from error
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS vectors "
                "(text BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"
            )
        except sqlite3.Error as error:
            self._connection.close()
            raise self._failure(error) from error

    def __enter__(self) -> VectorStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def find(self, texts: Sequence[str]) -> dict[str, Vector]:
        """The vectors of those texts that are known.

        Raises:
            GraphError: The file cannot be read.
        """
        by_hash = {_hash(text): text for text in texts}
        hashes = list(by_hash)
        found: dict[str, Vector] = {}
        try:
            for start in range(0, len(hashes), _ASKED_AT_ONCE):
                some = hashes[start : start + _ASKED_AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = self._connection.execute(
                    f"SELECT text, vector FROM vectors WHERE text IN ({marks})",  # noqa: S608  marks only
                    some,
                )
                found |= {by_hash[key]: np.frombuffer(vector, dtype="<f4") for key, vector in rows}
        except (sqlite3.Error, ValueError) as error:
            raise self._failure(error) from error
        return found

    def keep(self, vectors: Mapping[str, Vector]) -> None:
        """Keep vectors; they outlive the process once this returns.

        Raises:
            GraphError: The file cannot be written.
        """
        rows: Iterable[tuple[bytes, bytes]] = [
            (_hash(text), vector.astype("<f4").tobytes()) for text, vector in vectors.items()
        ]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> GraphError:
        return GraphError(
            f"{self._path}: the store of embeddings cannot be used: {error}",
            hint="Check that its folder is writable and the disk not full; a damaged file may be deleted.",
        )


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
