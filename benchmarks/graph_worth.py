"""What a tool graph is worth: beside the naive way to build one, by what it reaches, and in its tool sets."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import networkx as nx
import numpy as np

from benchmarks.tool_sets import relatedness, sets_a_second, text_vectors
from toolflow.catalog.tool import Tool
from toolflow.graph.adjacency import make_adjacency
from toolflow.graph.encoder import WordLlamaEncoder, encode_texts
from toolflow.graph.graph import ToolGraph
from toolflow.graph.linking.fields import parameter_fields, return_fields
from toolflow.graph.sampling.sampler import GraphSampler, Sampler, UniformSampler


def naive(tools: Sequence[Tool], threshold: float, seconds: float, our_seconds: float) -> dict[str, Any]:
    """The double loop over pairs of tools and their fields into networkx, as far as it gets.

    Vectors are made beforehand, and not counted.
    """
    encoder = WordLlamaEncoder()
    sides = [[parameter_fields(tool) for tool in tools], [return_fields(tool) for tool in tools]]
    vectors = [
        [encode_texts(encoder, [f"{field.path}: {field.description}" for field in fields]) for fields in side]
        for side in sides
    ]
    graph: nx.MultiDiGraph[int] = nx.MultiDiGraph()
    pairs = 0
    began = time.perf_counter()
    for one, other in combinations(range(len(tools)), 2):
        for kind, start, end in ((0, one, other), (1, one, other), (1, other, one)):
            for left in vectors[kind][start]:
                for right in vectors[0][end]:
                    if float(left @ right) > threshold:
                        graph.add_edge(start, end, kind=kind)
        pairs += 1
        if time.perf_counter() - began > seconds:
            break
    took = time.perf_counter() - began
    whole = took * (len(tools) * (len(tools) - 1) / 2) / max(1, pairs)
    return {
        "pairs": pairs,
        "seconds": took,
        "edges": graph.number_of_edges(),
        "seconds_for_all": whole,
        "ratio": whole / our_seconds,
    }


def sampling(graph: ToolGraph, sets: int) -> dict[str, Any]:
    """What the graph sampler draws, beside uniform draws."""
    vectors = text_vectors(graph.tools)
    samplers: dict[str, Sampler] = {
        "graph": GraphSampler(graph, 0),
        "uniform": UniformSampler(graph.tools, 0, graph=graph),
    }
    return {
        name: {**relatedness(sampler, vectors, sets), **sets_a_second(sampler)}
        for name, sampler in samplers.items()
    }


def reach(graph: ToolGraph) -> dict[str, Any]:
    """Largest degree and the share of tools with fields that are in a component of three or more."""
    adjacency = make_adjacency(graph.table, len(graph))
    component = adjacency.components()
    size = np.bincount(component)[component]
    fields = np.array([bool(parameter_fields(tool) or return_fields(tool)) for tool in graph.tools])
    return {
        "degree_max": int(adjacency.degrees().max(initial=0)),
        "degree_max_share": float(adjacency.degrees().max(initial=0) / len(graph)),
        "in_component_of_3": float((size >= 3)[fields].mean()),
    }
