"""What a graph is made of is kept, so that it is made once: embeddings by text, graphs by content.

Below the cache folder lie ``graphs/<key>.graph``, graph files whose key is the hash of the catalogue, the
encoder, the threshold and the code that finds links, and ``embeddings/<encoder>/<hash>.npy``, arrays of
records: 16 bytes of hash of a text, and its vector. A file that is damaged is left out and made anew; a
folder that cannot be written costs time, not the graph.
"""

from __future__ import annotations

import hashlib
import io
import mmap
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolflow.catalog.catalogue import Catalogue
from toolflow.catalog.tool import Tool
from toolflow.errors import GraphError
from toolflow.files import write_whole
from toolflow.graph import linking
from toolflow.graph.encoder import Encoder, encode_texts
from toolflow.graph.graph import ToolGraph, build_graph
from toolflow.graph.linking.fields import Progress

_DIGEST = 16
_MOST_SEGMENTS = 32


def cached_graph(
    catalogue: Iterable[Tool],
    encoder: Encoder,
    folder: Path | None,
    *,
    threshold: float | None = None,
    with_tool: bool = False,
    progress: Progress | None = None,
) -> ToolGraph:
    """The graph of a catalogue: from the cache if it is there, else built and kept.

    Args:
        catalogue: Tools with distinct names.
        encoder: Says how alike texts are; texts that it encoded before are not encoded again.
        folder: The cache folder, made if need be; None builds without it.
        threshold: Cosine from which texts mean the same; the encoder's own if None.
        with_tool: Encode each field with the name of its tool.
        progress: Called as the work goes on.

    Raises:
        CatalogueError: Two tools have the same name.
        GraphError: The threshold is out of range.
        EncoderFailedError: The encoder broke its contract.
    """
    if folder is None:
        return build_graph(catalogue, encoder, threshold=threshold, with_tool=with_tool, progress=progress)
    known = Catalogue(tuple(catalogue))
    tau = encoder.threshold if threshold is None else threshold
    key = repr((linking_code(), known.content_hash, encoder.name, tau, with_tool))
    path = folder / "graphs" / f"{hashlib.sha256(key.encode()).hexdigest()}.graph"
    with suppress(GraphError):
        graph = ToolGraph.load(path, known)
        if graph.content_hash == known.content_hash:
            return graph
    remembering = CachingEncoder(encoder, folder)
    graph = build_graph(known, remembering, threshold=threshold, with_tool=with_tool, progress=progress)
    with suppress(GraphError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        graph.save(path)
    return graph


@cache
def linking_code() -> str:
    """Digest of the code that finds links: with other code the same tools may have others."""
    code = hashlib.sha256()
    for module in sorted(Path(linking.__file__).parent.glob("*.py")):
        code.update(module.read_bytes())
    return code.hexdigest()


class CachingEncoder:
    """An encoder that keeps what it encoded in a folder.

    Args:
        encoder: What encodes.
        folder: The cache folder, made if need be.
    """

    def __init__(self, encoder: Encoder, folder: Path) -> None:
        self._encoder = encoder
        slug = hashlib.sha256(encoder.name.encode()).hexdigest()[:16]
        self._folder = folder / "embeddings" / slug
        self._segments: list[NDArray[Any]] | None = None
        self._places: dict[bytes, tuple[int, int]] = {}

    @property
    def name(self) -> str:
        return self._encoder.name

    @property
    def threshold(self) -> float:
        return self._encoder.threshold

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        segments = self._read()
        digests = [
            hashlib.blake2b(text.encode(errors="replace"), digest_size=_DIGEST).digest() for text in texts
        ]
        new = [index for index, digest in enumerate(digests) if digest not in self._places]
        encoded = encode_texts(self._encoder, [texts[index] for index in new])
        if len(new) == len(texts):
            vectors = encoded
        else:
            vectors = self._known(digests, segments)
            if new:
                if encoded.shape[1] != vectors.shape[1]:
                    # Another model goes by the same name now: what was kept is of no use.
                    self._forget()
                    return self.encode(texts)
                vectors[new] = encoded
        if new:
            self._add([digests[index] for index in new], encoded)
        return vectors

    def _known(self, digests: Sequence[bytes], segments: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Vectors of the digests, zeros where one is not known."""
        vectors = np.zeros((len(digests), segments[0]["vector"].shape[1]), dtype=np.float32)
        places = np.array([self._places.get(digest, (-1, -1)) for digest in digests])
        for number, segment in enumerate(segments):
            rows = np.flatnonzero(places[:, 0] == number)
            vectors[rows] = segment["vector"][places[rows, 1]]
            _release(segment)
        return vectors

    def _read(self) -> list[NDArray[Any]]:
        if self._segments is None:
            self._segments = []
            for path in sorted(self._folder.glob("*.npy")):
                segment = _read_segment(path)
                if segment is None or (self._segments and segment.dtype != self._segments[0].dtype):
                    _remove(path)
                else:
                    keys = segment["digest"].tobytes()
                    self._index(segment, [keys[at : at + _DIGEST] for at in range(0, len(keys), _DIGEST)])
        return self._segments

    def _index(self, segment: NDArray[Any], digests: Sequence[bytes]) -> None:
        assert self._segments is not None
        number = len(self._segments)
        self._segments.append(segment)
        for row, digest in enumerate(digests):
            self._places.setdefault(digest, (number, row))

    def _add(self, digests: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        segments = self._read()
        segment = np.empty(len(digests), dtype=_record(vectors.shape[1]))
        segment["digest"] = np.frombuffer(b"".join(digests), dtype=f"V{_DIGEST}")
        segment["vector"] = vectors
        with suppress(OSError):
            old = list(self._folder.glob("*.npy")) if len(segments) >= _MOST_SEGMENTS else []
            path = _write_segment(self._folder, np.concatenate([*segments, segment]) if old else segment)
            # From the file only what is asked for takes memory, and most is never asked for again; so the
            # digests are not read back from it either.
            segment = np.load(path, mmap_mode="r", allow_pickle=False)[-len(digests) :]
            for path in old:
                _remove(path)
        self._index(segment, digests)

    def _forget(self) -> None:
        self._segments, self._places = [], {}
        for path in self._folder.glob("*.npy"):
            _remove(path)


def _record(dimensions: int) -> np.dtype[Any]:
    return np.dtype([("digest", f"V{_DIGEST}"), ("vector", np.float32, (dimensions,))])


def _read_segment(path: Path) -> NDArray[Any] | None:
    """The records of a file, or None if it is not what it was when it was written."""
    try:
        content = path.read_bytes()
        if _content_name(content) != path.name:
            return None
        segment: NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except (OSError, ValueError):
        return None
    fields = segment.dtype.names
    return segment if fields == ("digest", "vector") and len(segment) else None


def _write_segment(folder: Path, segment: NDArray[Any]) -> Path:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, segment, allow_pickle=False)
    content = buffer.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _content_name(content)
    write_whole(path, [content], unfinished=f".{os.getpid()}")
    return path


def _release(segment: NDArray[Any]) -> None:
    """Give back what reading a mapped file took: each page that was read brought its neighbours along."""
    mapped = getattr(segment, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _content_name(content: bytes) -> str:
    return f"{hashlib.blake2b(content, digest_size=_DIGEST).hexdigest()}.npy"


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
