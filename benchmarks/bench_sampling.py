"""What the samplers give: related tool sets, even coverage, sets per second.

    python -m benchmarks.bench_sampling [CATALOGUE… | --graph FILE] [--rounds 5 50]

The graph sampler, the plain walk it grew from, and uniform draws are measured side by side on one graph.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import write
from benchmarks.tool_sets import relatedness, sets_a_second, text_vectors
from toolflow.catalog.load import load_catalogue, load_sample
from toolflow.clock import derive_random
from toolflow.graph.encoder import WordLlamaEncoder
from toolflow.graph.graph import ToolGraph, build_graph
from toolflow.graph.link import ToolSet
from toolflow.graph.sampling.sampler import GraphSampler, Sampler, SizeRange, UniformSampler

_JUDGED_SETS = 3_000


class PlainWalk:
    """The walk as the paper has it: a random linked tool, then random neighbours; begun anew when stuck."""

    def __init__(self, graph: ToolGraph, seed: int) -> None:
        self._graph = graph
        self._seed = seed
        self._sizes = SizeRange().drawer(len(graph))
        adjacency = graph.adjacency
        starts = adjacency.start.tolist()
        ends = adjacency.other.tolist()
        self._neighbours = [sorted(set(ends[begin:end])) for begin, end in pairwise(starts)]
        self._linked = [tool for tool, others in enumerate(self._neighbours) if others]

    def draw(self, index: int) -> list[int]:
        generator = derive_random(self._seed, "plain walk", index)
        size = self._sizes(generator)
        taken: dict[int, None] = {}
        tool = generator.choice(self._linked)
        while len(taken) < size:
            taken[tool] = None
            free = [other for other in self._neighbours[tool] if other not in taken]
            tool = generator.choice(free or self._linked)
        return list(taken)

    def sample(self, index: int) -> ToolSet:
        tools = [self._graph.tools[tool] for tool in self.draw(index)]
        return ToolSet(tuple(tools), self._graph.links_among(tool.name for tool in tools))


def coverage(draws: Iterable[Sequence[int]], graph: ToolGraph, rounds: Sequence[int]) -> Mapping[str, Any]:
    """How evenly linked tools are used after so many dialogues, as multiples of their number."""
    adjacency = graph.adjacency
    linked = np.flatnonzero(np.diff(adjacency.start)).tolist()
    pairs_linked = {
        (min(ends), max(ends))
        for ends in zip(graph.table.from_tool.tolist(), graph.table.to_tool.tolist(), strict=True)
    }
    used: Counter[int] = Counter()
    pairs: set[tuple[int, int]] = set()
    results: dict[str, Any] = {}
    for number, tools in enumerate(draws, 1):
        used.update(tools)
        ordered = sorted(tools)
        pairs.update((one, other) for at, one in enumerate(ordered) for other in ordered[at + 1 :])
        if number % len(linked) == 0 and number // len(linked) in rounds:
            counts = sorted(used[tool] for tool in linked)
            mean = statistics.fmean(counts)
            results[f"{number // len(linked)}n"] = {
                "dialogues": number,
                "mean": mean,
                "min": counts[0],
                "p01": counts[len(counts) // 100],
                "p99": counts[-1 - len(counts) // 100],
                "max": counts[-1],
                "coefficient_of_variation": statistics.pstdev(counts) / mean,
                "linked_pairs_used": len(pairs & pairs_linked) / max(len(pairs_linked), 1),
            }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("catalogues", nargs="*")
    parser.add_argument(
        "--graph", type=Path, help="a graph file instead of catalogues; without either: the shipped sample"
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--rounds", type=int, nargs="*", default=[5])
    arguments = parser.parse_args()
    encoder = WordLlamaEncoder()
    if arguments.graph:
        graph = ToolGraph.load(arguments.graph)
    else:
        paths = arguments.catalogues
        catalogue = load_catalogue(paths, skip_invalid=True).catalogue if paths else load_sample()
        graph = build_graph(catalogue, encoder)
    vectors = text_vectors(graph.tools)

    began = time.perf_counter()
    balanced = GraphSampler(graph, 0)
    prepared = time.perf_counter() - began
    plain = PlainWalk(graph, 0)
    uniform = UniformSampler(graph.tools, 0, graph=graph)
    samplers: Mapping[str, Sampler] = {"graph": balanced, "plain_walk": plain, "uniform": uniform}
    results: dict[str, Any] = {"tools": len(graph), "links": len(graph.table), "prepare_s": prepared}
    for name, sampler in samplers.items():
        results[name] = {
            **sets_a_second(sampler, arguments.repeats if name == "graph" else 1),
            **relatedness(sampler, vectors, _JUDGED_SETS),
        }
        median = {key: value["median"] for key, value in results[name].items() if isinstance(value, dict)}
        print(f"{name}: {results[name] | median}")

    linked = int(np.count_nonzero(np.diff(graph.adjacency.start)))
    dialogues = range(max(arguments.rounds, default=0) * linked)
    number = {tool.name: index for index, tool in enumerate(graph.tools)}
    generator = random.Random(0)
    draws: Mapping[str, Iterable[Sequence[int]]] = {
        "graph": ([number[tool.name] for tool in balanced.sample(index).tools] for index in dialogues),
        "plain_walk": (plain.draw(index) for index in dialogues),
        "uniform": (generator.sample(range(len(graph)), generator.randint(3, 7)) for _ in dialogues),
    }
    for name, drawn in draws.items():
        results[name]["coverage"] = coverage(drawn, graph, arguments.rounds)
        print(f"{name}: {results[name]['coverage']}")
    write("sampling", results)


if __name__ == "__main__":
    main()
