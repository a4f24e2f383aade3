from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from toolflow.catalog.load import LoadReport, load_catalogue
from toolflow.catalog.tool import Tool

# Patterns such as [\w-\.] are valid in JavaScript's old mode only.
REFUSED = [("acebench_en.jsonl.gz", 2056), ("acebench_en.jsonl.gz", 2137)]


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "tools"


@pytest.fixture(scope="module")
def everything(folder: Path) -> LoadReport:
    return load_catalogue(sorted(folder.glob("*.jsonl*")), skip_invalid=True)


def by_source_id(tools: Iterable[Tool]) -> dict[str, list[Tool]]:
    found: dict[str, list[Tool]] = {}
    for tool in tools:
        assert tool.source_id is not None
        found.setdefault(tool.source_id, []).append(tool)
    return found


def test_all_canonical_catalogues_load_in_one_go(everything: LoadReport) -> None:
    refused = [(Path(refusal.place.file).name, refusal.place.line) for refusal in everything.skipped]
    assert refused == REFUSED
    assert len(everything.catalogue) + everything.repeats + len(refused) == 72_294
    assert set(everything.formats) == {"canonical"}
    assert all(re.fullmatch(rf"{re.escape(name)}_\d+", new) for new, name in everything.renamed.items())


def test_most_catalogues_need_no_skipping(folder: Path) -> None:
    report = load_catalogue([folder / "rapidapi_core.jsonl.gz"])
    assert len(report.catalogue) == 16_464
    assert (report.repeats, report.skipped) == (0, ())


def test_bfcl_native_files_give_the_canonical_tools(folder: Path) -> None:
    canonical = by_source_id(load_catalogue([folder / "bfcl.jsonl.gz"]).catalogue)
    report = load_catalogue([folder / "native" / "bfcl"])
    assert report.ignored == ()
    compared: Counter[bool] = Counter()
    for tool in report.catalogue:
        for other in canonical.get(tool.source_id or "", ()):
            compared[
                (tool.description, tool.parameters, tool.returns, tool.category)
                == (other.description, other.parameters, other.returns, other.category)
            ] += 1
    # The two hold tuples of unlike items, which the canonical rows tell by their first item only.
    assert compared == {True: 297, False: 2}


def test_rapidapi_native_files_come_close_to_the_canonical_tools(folder: Path) -> None:
    files = [folder / f"rapidapi_{part}.jsonl.gz" for part in ("core", "rest")]
    canonical = by_source_id(load_catalogue(files).catalogue)
    report = load_catalogue([folder / "native" / "rapidapi"])
    assert (len(report.catalogue), report.skipped, report.ignored) == (568, (), ())
    same: Counter[str] = Counter()
    for tool in report.catalogue:
        others = canonical[tool.source_id or ""]
        original = report.renamed.get(tool.name, tool.name)
        same["name"] += any(other.name.startswith(original) for other in others)
        same["parameters"] += any(tool.parameters == other.parameters for other in others)
        # Canonical rows also know results from a cache, and the samples blank large examples.
        same["returns"] += tool.returns is None or any(tool.returns == other.returns for other in others)
    assert same["name"] == 568
    assert same["parameters"] == 560  # canonical rows cut long descriptions
    assert same["returns"] >= 540


def test_tools_of_the_reference_dialogues(folder: Path) -> None:
    path = folder.parent / "reference_dialogues" / "reference.jsonl.gz"
    report = load_catalogue([path])
    assert report.formats == {"openai": len(report.catalogue)}
    assert report.repeats > len(report.catalogue)
    assert report.renamed == {}


def originals(report: LoadReport) -> list[Tool]:
    """The tools under the names that their source gives."""
    return [replace(tool, name=report.renamed.get(tool.name, tool.name)) for tool in report.catalogue]


SAME = "name", "description", "parameters", "returns"


# How many tools of each native sample have a canonical row, and how many equal it in each field. Rows of SGD
# keep defaults that are not of the slot's type; rows of OpenAPI leave bounds, headers and null out.
@pytest.mark.parametrize(
    ("native", "canonical", "tools", "equal"),
    [
        ("acebench", ["acebench_en", "acebench_zh"], 110, (110, 110, 110, 110)),
        ("livemcpbench", ["livemcpbench"], 181, (181, 181, 180, 181)),
        ("metatool", ["metatool"], 60, (60, 60, 60, 60)),
        ("seal-tools/tool.sample.jsonl", ["seal_tools"], 200, (200, 200, 200, 199)),
        ("sgd", ["sgd"], 53, (53, 53, 24, 53)),
        ("t-eval", ["t_eval"], 50, (50, 50, 48, 49)),
        ("taskbench", ["taskbench"], 103, (103, 103, 103, 103)),
        ("toolalpaca", ["toolalpaca"], 94, (94, 94, 88, 78)),
    ],
)
def test_native_files_give_the_canonical_tools(
    folder: Path, native: str, canonical: list[str], tools: int, equal: tuple[int, ...]
) -> None:
    rows: dict[tuple[str | None, str | None], Tool] = {}
    for stem in canonical:
        (path,) = folder.glob(f"{stem}.jsonl*")
        for row in originals(load_catalogue([path], skip_invalid=True)):
            rows.setdefault((row.source, row.source_id), row)
    compared: Counter[str] = Counter()
    for tool in originals(load_catalogue([folder / "native" / native])):
        if (found := rows.get((tool.source, tool.source_id))) is not None:
            compared["tools"] += 1
            compared["category"] += tool.category == found.category
            compared.update(field for field in SAME if getattr(tool, field) == getattr(found, field))
    assert compared["tools"] == compared["category"] == tools
    assert tuple(compared[field] for field in SAME) == equal


def test_openapi_documents_give_the_operations_of_the_canonical_rows(folder: Path) -> None:
    rows = by_source_id(load_catalogue([folder / "openapi_directory.jsonl.gz"], skip_invalid=True).catalogue)
    for path in sorted((folder / "native" / "openapi").glob("*.json")):
        for tool in load_catalogue([path]).catalogue:
            _, _, place = (tool.source_id or "").partition("#")
            (row,) = rows[f"{path.stem.replace('__', '/')}#{place}"]
            assert row.name.startswith(tool.name)
            # Rows hold no headers, keep what only the server sets, and cut descriptions.
            told = {name for name, schema in tool.properties.items() if schema["x-in"] != "header"}
            assert told <= set(row.properties)
            assert tool.description[:300] == row.description[:300]
            assert set((tool.returns or {}).get("properties", ())) >= set(
                (row.returns or {}).get("properties", ())
            )
