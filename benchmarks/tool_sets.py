"""What tool sets are worth: how related their tools are, and how many are drawn in a second."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.record import spread
from toolflow.catalog.tool import Tool
from toolflow.graph.encoder import WordLlamaEncoder, encode_texts
from toolflow.graph.linking.field_table import Floats
from toolflow.graph.sampling.sampler import Sampler

_TIMED = 10_000


def text_vectors(tools: Sequence[Tool]) -> Mapping[str, Floats]:
    """By name, the unit vector of what each tool says it does."""
    texts = [f"{tool.name}: {tool.description[:300]}" for tool in tools]
    vectors = encode_texts(WordLlamaEncoder(), texts)
    return {tool.name: vector for tool, vector in zip(tools, vectors, strict=True)}


def relatedness(sampler: Sampler, vectors: Mapping[str, Floats], sets: int) -> dict[str, float]:
    """How much the tools of a set have to do with each other, in the mean of so many sets."""
    cosines: list[float] = []
    links: list[float] = []
    flows = 0
    for index in range(sets):
        drawn = sampler.sample(index)
        rows = np.stack([vectors[tool.name] for tool in drawn.tools])
        pairs = np.triu_indices(len(rows), 1)
        cosines.append(float((rows @ rows.T)[pairs].mean()))
        links.append(len(drawn.links) / len(pairs[0]))
        flows += any(link.kind == "return-parameter" for link in drawn.links)
    return {
        "relatedness": statistics.fmean(cosines),
        "links_per_pair": statistics.fmean(links),
        "with_return_parameter_link": flows / sets,
    }


def sets_a_second(sampler: Sampler, repeats: int = 5) -> dict[str, Any]:
    """Whole tool sets, links included, by the clock and by the processor's time."""
    by_clock: list[float] = []
    by_processor: list[float] = []
    for repeat in range(repeats):
        began, used = time.perf_counter(), time.process_time()
        for index in range(repeat * _TIMED, (repeat + 1) * _TIMED):
            sampler.sample(index)
        by_clock.append(_TIMED / (time.perf_counter() - began))
        by_processor.append(_TIMED / (time.process_time() - used))
    return {"sets_per_second": spread(by_clock), "sets_per_cpu_second": spread(by_processor)}
