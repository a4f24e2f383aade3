"""The tool graph: how fast it is built, and how good its links are.

    python -m benchmarks.bench_graph [--tools PATH ...] [--gold NAME ...] [--repeats N] [--naive-seconds S]

Builds run in fresh processes. Without --tools: rapidapi_core of ../shared/data, or else the sample; and all
its catalogues as one, once, with every n-th of their tools for what a tool costs at each size.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.graph_worth import naive, reach, sampling
from benchmarks.record import spread, write
from toolflow.catalog.load import load_catalogue, load_sample
from toolflow.catalog.tool import Tool
from toolflow.graph.cache import CachingEncoder, cached_graph
from toolflow.graph.encoder import WordLlamaEncoder
from toolflow.graph.graph import build_graph, with_candidates
from toolflow.graph.scoring import read_gold, score_graph, tools_of

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
GOLD = {
    "sgd": "sgd.jsonl",
    "taskbench": "taskbench.jsonl",
    "tau_bench": "tau_bench.jsonl",
    "bfcl_multi_turn": "bfcl.jsonl.gz",
    "restbench": "restbench_tmdb.jsonl",
    "livemcpbench": "livemcpbench.jsonl.gz",
    "seal_tools": "seal_tools.jsonl.gz",
    "stabletoolbench": "rapidapi_core.jsonl.gz",
}
"""Which catalogue each file of gold links is about."""

_ONE_BUILD = """
import json, sys, time
from pathlib import Path
from benchmarks.bench_graph import read_tools
from benchmarks.record import peak_mb
from toolflow.graph.cache import cached_graph
from toolflow.graph.encoder import WordLlamaEncoder
tools, size = read_tools(json.loads(sys.argv[1])), int(sys.argv[3])
tools = tools[:: len(tools) // size] if size else tools
began, used = time.perf_counter(), time.process_time()
graph = cached_graph(tools, WordLlamaEncoder(), Path(sys.argv[2]))
print(json.dumps({
    "seconds": time.perf_counter() - began,
    "cpu_seconds": time.process_time() - used,
    "peak_mb": peak_mb(),
    "tools": len(graph), "links": len(graph.table),
}))
"""


def read_tools(paths: Sequence[str]) -> tuple[Tool, ...]:
    if not paths:
        return load_sample().tools
    return load_catalogue(paths, skip_invalid=True).catalogue.tools


def builds(paths: Sequence[str], repeats: int) -> dict[str, Any]:
    """First builds with an empty cache, and loads from the cache that the last of them left."""
    first: list[dict[str, Any]] = []
    cached: list[dict[str, Any]] = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            first.append(_one_build(paths, folder))
            cached.append(_one_build(paths, folder))
    return {
        "tools": first[0]["tools"],
        "links": first[0]["links"],
        **{
            f"{name}_{figure}": spread([run[figure] for run in runs])
            for name, runs in (("first", first), ("cached", cached))
            for figure in ("seconds", "cpu_seconds", "peak_mb")
        },
    }


def _one_build(paths: Sequence[str], folder: str, limit: int = 0) -> dict[str, Any]:
    command = [sys.executable, "-c", _ONE_BUILD, json.dumps(list(paths)), folder, str(limit)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    record: dict[str, Any] = json.loads(finished.stdout)
    return record


def whole(sizes: Sequence[int]) -> dict[str, Any]:
    """First builds of all shared catalogues as one and of every n-th of their tools; what a tool costs."""
    paths = [str(path) for path in sorted((SHARED / "tools").glob("*.jsonl*"))]
    rows: list[dict[str, Any]] = []
    for size in (*sizes, 0):
        with tempfile.TemporaryDirectory() as folder:
            first = _one_build(paths, folder, size)
            cached = _one_build(paths, folder, size) if not size else None
        first["cpu_ms_a_tool"] = 1_000 * first["cpu_seconds"] / first["tools"]
        rows.append(first | ({"cached_seconds": cached["seconds"]} if cached else {}))
        print({key: round(value, 2) for key, value in rows[-1].items()})
    return {"catalogues": len(paths), "curve": rows}


def hundred_more(tools: Sequence[Tool]) -> dict[str, Any]:
    """How many texts are encoded when a hundred tools join a catalogue whose embeddings are kept."""

    class Counting(WordLlamaEncoder):
        asked = 0

        def encode(self, texts: Sequence[str]) -> Any:
            self.asked += len(texts)
            return super().encode(texts)

    with tempfile.TemporaryDirectory() as folder:
        first, second = Counting(), Counting()
        cached_graph(tools[:-100], first, Path(folder))
        began = time.perf_counter()
        cached_graph(tools, second, Path(folder))
        return {
            "texts_first": first.asked,
            "texts_more": second.asked,
            "seconds": time.perf_counter() - began,
        }


def gold_tables(names: Sequence[str]) -> dict[str, Any]:
    """Recall and precision at two densities, for the graph and both baselines, among the gold's own tools."""
    encoder = WordLlamaEncoder()
    tables: dict[str, Any] = {}
    for name in names:
        gold_file, catalogue = SHARED / "gold_edges" / f"{name}.jsonl", SHARED / "tools" / GOLD[name]
        if not gold_file.is_file() or not catalogue.is_file():
            continue
        tools = tools_of(gold_file, read_tools([str(catalogue)]))
        gold = read_gold(gold_file, tools)
        scores = score_graph(build_graph(tools, encoder), gold, encoder)
        tables[name] = {"tools": len(tools), "pairs": len(gold.pairs), "missing": gold.missing} | {
            score.method: [
                {"density": kept.density, "recall": kept.recall, "precision": kept.precision}
                for kept in score.densities
            ]
            for score in scores
        }
        recalls = "  ".join(
            f"{score.method} " + " ".join(f"{kept.recall:.2f}" for kept in score.densities)
            for score in scores
        )
        print(f"{name:16} {len(tools):4} tools {len(gold.pairs):4} pairs  {recalls}")
    return tables


def ranked_tables(names: Sequence[str]) -> dict[str, Any]:
    """Recall in whole catalogues of 1,500 to 5,000 tools, by links alone and with the pairs beyond them."""
    encoder = WordLlamaEncoder()
    tables: dict[str, Any] = {}
    for name in names:
        gold_file, catalogue = SHARED / "gold_edges" / f"{name}.jsonl", SHARED / "tools" / GOLD[name]
        if not gold_file.is_file() or not catalogue.is_file():
            continue
        graph = build_graph(read_tools([str(catalogue)]), encoder)
        began, used = time.perf_counter(), time.process_time()
        ranked = with_candidates(graph, encoder)
        tables[name] = {
            "tools": len(graph),
            "pairs_beyond": len(ranked.candidates),
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - used,
        }
        gold = read_gold(gold_file, graph.tools)
        for label, one in (("links", graph), ("ranking", ranked)):
            score, cosine, exact = score_graph(one, gold, encoder)
            tables[name][label] = [kept.recall for kept in score.densities]
        tables[name] |= {one.method: [kept.recall for kept in one.densities] for one in (cosine, exact)}
        print(name, tables[name])
    return tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tools", nargs="*")
    parser.add_argument("--gold", nargs="*", choices=sorted(GOLD), default=sorted(GOLD))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--naive-seconds", type=float, default=20.0)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_600, 16_000])
    parser.add_argument("--sets", type=int, default=2_000)
    arguments = parser.parse_args()
    paths = arguments.tools
    if paths is None:
        core = SHARED / "tools" / "rapidapi_core.jsonl.gz"
        paths = [str(core)] if core.is_file() else []
    results: dict[str, Any] = {"catalogue": [Path(path).name for path in paths] or ["sample"]}
    results["gold"] = gold_tables(arguments.gold)
    results["build"] = builds(paths, arguments.repeats)
    for name in ("first", "cached"):
        seconds, peak = (results["build"][f"{name}_{figure}"]["median"] for figure in ("seconds", "peak_mb"))
        print(f"{name} build of {results['build']['tools']:,} tools: {seconds:.2f} s, {peak:.0f} MB")
    if arguments.tools is None and SHARED.is_dir():
        results["whole"] = whole(arguments.sizes)
    tools = read_tools(paths)
    if len(tools) > 200:
        results["hundred_more"] = hundred_more(tools)
    with tempfile.TemporaryDirectory() as folder:
        graph = build_graph(tools, CachingEncoder(WordLlamaEncoder(), Path(folder)))
    ours = results["build"]["first_seconds"]["median"]
    results["naive"] = naive(tools, graph.threshold, arguments.naive_seconds, ours)
    results["reach"] = reach(graph)
    results["sampling"] = sampling(graph, arguments.sets)
    print(json.dumps({key: results[key] for key in ("naive", "reach", "sampling")}, indent=1))
    results["ranked"] = ranked_tables(["seal_tools", "bfcl_multi_turn"])
    write("graph", results)


if __name__ == "__main__":
    main()
