from __future__ import annotations

import gzip
import hashlib
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolflow.catalog.catalogue import Catalogue
from toolflow.catalog.load import load_catalogue
from toolflow.catalog.tool import Tool
from toolflow.catalog.write import write_canonical
from toolflow.errors import CatalogueError

EMPTY = {"type": "object", "properties": {}}
TOOLS = (Tool("größe", "Misst\n\x85\x7f", EMPTY), Tool("b", "", EMPTY, {"type": "string"}, "c", "s", "1"))

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
notes: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "description": st.text(),
        "default": values,
        "enum": st.lists(values, max_size=3),
        "x-note": values,
    },
)


def typed(word: str) -> st.SearchStrategy[dict[str, Any]]:
    return notes.map(lambda drawn: {"type": word, **drawn})


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    properties = draw(st.dictionaries(st.text(), inner, max_size=4))
    schema: dict[str, Any] = {"type": "object", "properties": properties} | draw(notes)
    if properties:
        schema["required"] = draw(st.lists(st.sampled_from(sorted(properties)), unique=True))
    return schema


leaves = st.sampled_from(["string", "integer", "number", "boolean", "null"]).flatmap(typed) | notes
schemas: st.SearchStrategy[dict[str, Any]] = st.recursive(
    leaves,
    lambda inner: objects(inner) | inner.map(lambda items: {"type": "array", "items": items}),
    max_leaves=5,
)
texts = st.none() | st.text()
tools = st.builds(
    Tool,
    name=st.text(min_size=1).filter(str.strip),
    description=st.text(),
    parameters=objects(schemas),
    returns=st.none() | schemas,
    category=texts,
    source=texts,
    source_id=texts,
)
catalogues = st.lists(tools, min_size=1, max_size=5, unique_by=lambda tool: tool.name).map(
    lambda drawn: Catalogue(tuple(drawn))
)


@given(catalogue=catalogues, ending=st.sampled_from(["jsonl", "jsonl.gz"]))
def test_what_is_written_loads_back_equal(catalogue: Catalogue, ending: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"tools.{ending}"
        write_canonical(catalogue, path)
        report = load_catalogue([path])
    assert report.catalogue == catalogue
    assert report.catalogue.content_hash == catalogue.content_hash
    assert report.formats == {"canonical": len(catalogue)}
    assert (report.skipped, report.repeats, report.renamed) == ((), 0, {})


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    write_canonical(TOOLS, tmp_path / "tools.jsonl")
    content = (tmp_path / "tools.jsonl").read_bytes()
    assert content.count(b"\n") == len(TOOLS)
    assert hashlib.sha256(content).hexdigest() == Catalogue(TOOLS).content_hash


def test_compressed_if_the_name_says_so(tmp_path: Path) -> None:
    for name in ("tools.jsonl", "a.jsonl.gz", "b.jsonl.gz"):
        write_canonical(TOOLS, tmp_path / name)
    compressed = (tmp_path / "a.jsonl.gz").read_bytes()
    assert gzip.decompress(compressed) == (tmp_path / "tools.jsonl").read_bytes()
    assert compressed == (tmp_path / "b.jsonl.gz").read_bytes()


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "tools.jsonl"
    write_canonical(TOOLS, path)
    before = path.read_bytes()
    (tmp_path / "folder").mkdir()
    with pytest.raises(CatalogueError, match="folder: cannot be written"):
        write_canonical(TOOLS, tmp_path / "folder")
    with pytest.raises(CatalogueError, match="cannot be written"):
        write_canonical(TOOLS, tmp_path / "gone" / "tools.jsonl")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "tools.jsonl"]
    assert path.read_bytes() == before


def test_the_file_has_the_usual_mode(tmp_path: Path) -> None:
    write_canonical(TOOLS, tmp_path / "tools.jsonl")
    (tmp_path / "other").touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("tools.jsonl", "other")]
    assert modes[0] == modes[1]
