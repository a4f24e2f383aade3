"""How well a graph finds known links: recall and precision against gold, beside two plain baselines.

A pair is a pair of tools in order, producer first. Scores order all pairs; at a density d the strongest d of
all possible ordered pairs are kept. Ties are broken at random, by a fixed seed, so that no order of the tools
helps.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from toolflow.catalog.tool import Tool
from toolflow.errors import GraphError
from toolflow.graph.encoder import Encoder, encode_texts
from toolflow.graph.graph import ToolGraph
from toolflow.graph.linking.field_table import Floats
from toolflow.graph.linking.fields import Field, parameter_fields, return_fields
from toolflow.graph.linking.link_table import RETURN_PARAMETER
from toolflow.spelling import names_like

DENSITIES: Final = (0.10, 0.05)
GOLD_KINDS: Final = (
    "return-param",
    "return-parameter",
    "param-param",
    "parameter-parameter",
    "resource-type",
    "sequence",
    "co-relevance",
)
"""What a gold link may say of itself; ``resource-type`` says that the gold links are complete."""

_THRESHOLDS: Final = tuple(round(step / 20, 2) for step in range(1, 20))
_MOST_TOOLS = 5_000
_HIGHEST_THRESHOLD = 0.99
_TIES_SEED = 0


class _GoldLine(msgspec.Struct):
    from_tool: str
    to_tool: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Gold:
    """Known pairs of tools in a catalogue.

    Attributes:
        pairs: Indices of producer and consumer, distinct, sorted.
        kinds: How many lines of each kind were read.
        missing: Lines whose tools are not in the catalogue.
        missing_examples: Up to three names that were not found.
    """

    pairs: tuple[tuple[int, int], ...]
    kinds: Mapping[str, int]
    missing: int
    missing_examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of the pairs, and how right that is.

    Attributes:
        threshold: Least score that was kept.
        density: Pairs kept, as a share of all ordered pairs of the catalogue.
        recall: Share of the gold pairs that are kept.
        precision: Share of the kept pairs that are gold: a lower bound, as gold is seldom complete.
        f1: Harmonic mean of both.
    """

    threshold: float
    density: float
    recall: float
    precision: float
    f1: float


@dataclass(frozen=True, slots=True)
class Score:
    """One way of ordering pairs, measured.

    Attributes:
        method: ``graph``, ``cosine`` or ``exact-name``.
        densities: What is kept at each of :data:`DENSITIES`.
        sweep: What is kept from each threshold of the weight on.
    """

    method: str
    densities: tuple[Kept, ...]
    sweep: tuple[Kept, ...]

    def to_json(self) -> dict[str, Any]:
        """The figures as a JSON object with the attributes' names."""
        return asdict(self)


def read_gold(path: Path, tools: Sequence[Tool]) -> Gold:
    """Read gold links: one JSON object a line with ``from_tool``, ``to_tool`` and maybe ``kind``.

    An end may be a tool's name or its ``source_id``; a source_id that several tools have means each.

    Raises:
        GraphError: The file cannot be read, holds no gold links, a line is none or of an unknown kind, or no
            line's tools are in the catalogue.
    """
    known: dict[str, list[int]] = defaultdict(list)
    for index, tool in enumerate(tools):
        for name in {tool.name, tool.source_id} - {None}:
            known[str(name)].append(index)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise GraphError(
            f"{path}: the gold links cannot be read: {error.strerror or error}",
            hint="Name a file of gold links, one JSON object a line, with --gold.",
        ) from error
    decoder = msgspec.json.Decoder(_GoldLine)
    pairs: set[tuple[int, int]] = set()
    kinds: Counter[str] = Counter()
    unknown: dict[str, None] = {}
    missing = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            gold = decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise GraphError(
                f"{path}:{number}: not a gold link: {error}",
                hint='A line looks like {"from_tool": "find_flight", "to_tool": "book_flight"}.',
            ) from error
        if gold.kind and gold.kind not in GOLD_KINDS:
            raise GraphError(
                f"{path}:{number}: {gold.kind[:80]!r} is no kind of gold link",
                hint=f"Leave it out, or give one of {', '.join(GOLD_KINDS)}.",
            )
        kinds[gold.kind or "unknown"] += 1
        unknown.update((end, None) for end in (gold.from_tool, gold.to_tool) if end not in known)
        found = {
            (producer, consumer)
            for producer in known.get(gold.from_tool, ())
            for consumer in known.get(gold.to_tool, ())
            if producer != consumer
        }
        missing += not found
        pairs |= found
    if not kinds:
        raise GraphError(
            f"{path}: it holds no gold links",
            hint='It needs a line such as {"from_tool": "find_flight", "to_tool": "book_flight"} for each.',
        )
    if not pairs:
        raise GraphError(
            f"{path}: none of its {sum(kinds.values())} gold links is between two tools of the catalogue",
            hint=_unknown(list(unknown)[:3], known) if unknown else "Each is from a tool to itself.",
        )
    return Gold(tuple(sorted(pairs)), dict(kinds), missing, tuple(unknown)[:3])


def _unknown(names: Sequence[str], known: Iterable[str]) -> str:
    """Names that no tool has, each with one that looks like it."""
    named = list(known)
    told: list[str] = []
    for name in names:
        close = names_like(name, named, most=1)
        told.append(f"{name!r} (like {close[0]!r})" if close else repr(name))
    return f"Unknown: {', '.join(told)}."


def tools_of(path: Path, tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """The tools that are an end of a gold link.

    Raises:
        GraphError: As :func:`read_gold`.
    """
    ends = {index for pair in read_gold(path, tools).pairs for index in pair}
    return tuple(tool for index, tool in enumerate(tools) if index in ends)


def score_graph(graph: ToolGraph, gold: Gold, encoder: Encoder) -> tuple[Score, ...]:
    """Score the graph's return-parameter links, candidates too, and, on the same pairs, the two baselines.

    Args:
        graph: What is scored.
        gold: Known pairs of its tools.
        encoder: What the plain cosine is of.

    Raises:
        GraphError: The catalogue is too large to weigh every pair.
        EncoderFailedError: The encoder broke its contract.
    """
    if len(graph) > _MOST_TOOLS:
        raise GraphError(
            f"every pair of {len(graph):,} tools cannot be weighed; {_MOST_TOOLS:,} is the most",
            hint="Score a smaller catalogue, or among the tools of the gold links: --among-gold.",
        )
    weights = np.zeros((len(graph), len(graph)), dtype=np.float32)
    for table in (graph.table, graph.candidates):
        flows = table.kind == RETURN_PARAMETER
        weights[table.from_tool[flows], table.to_tool[flows]] = table.weight[flows]
    exact, cosine = baselines(graph.tools, encoder)
    return tuple(
        measure_pairs(method, scores, gold)
        for method, scores in (("graph", weights), ("cosine", cosine), ("exact-name", exact))
    )


def measure_pairs(method: str, scores: Floats, gold: Gold) -> Score:
    """Recall and precision of scores of shape (tools, tools); 0 or less means no link."""
    tools = len(scores)
    off = ~np.eye(tools, dtype=np.bool_)
    is_gold = np.zeros((tools, tools), dtype=np.bool_)
    is_gold[tuple(zip(*gold.pairs, strict=True))] = True
    values, right = scores[off], is_gold[off]
    order = np.lexsort((np.random.default_rng(_TIES_SEED).random(len(values)), -values))
    values, right = values[order], right[order]
    hits = np.cumsum(right)

    def kept(count: int, threshold: float) -> Kept:
        found = int(hits[count - 1]) if count else 0
        recall, precision = found / len(gold.pairs), found / count if count else 0.0
        f1 = 2 * recall * precision / (recall + precision) if found else 0.0
        figures = (threshold, count / max(1, len(values)), recall, precision, f1)
        return Kept(*(round(figure, 4) for figure in figures))

    at_density = []
    for density in DENSITIES:
        count = round(density * len(values))
        at_density.append(kept(count, float(values[count - 1]) if count else 0.0))
    sweep = [kept(int((values >= threshold).sum()), threshold) for threshold in _THRESHOLDS]
    return Score(method, tuple(at_density), tuple(sweep))


def calibrate(score: Score, gold: Gold) -> Kept:
    """The threshold of the weight to take: of best F1 where gold is complete, else for a density of 0.10.

    Only ``resource-type`` gold is complete: a pair that it lacks is known not to be a link.
    """
    if set(gold.kinds) == {"resource-type"}:
        return max(score.sweep, key=lambda kept: kept.f1)
    return score.densities[0]


def calibrate_threshold(cosine: Score, gold: Gold) -> float | None:
    """The encoder's threshold τ: the cosine from which the fields of two tools are taken to mean the same.

    It is the cosine that :func:`calibrate` picks. Where results have too few fields for a density of 0.10, it
    is that of the best F1; None where no cosine finds a gold link.
    """
    picked = calibrate(cosine, gold)
    if picked.threshold <= 0 or not picked.f1:
        picked = max(cosine.sweep, key=lambda kept: (kept.f1, kept.threshold))
    return min(round(picked.threshold, 2), _HIGHEST_THRESHOLD) if picked.f1 > 0 else None


def baselines(tools: Sequence[Tool], encoder: Encoder) -> tuple[Floats, Floats]:
    """Exact-name matching and plain cosine of every ordered pair, both of shape (tools, tools).

    The largest over all pairs of a return and a parameter: 1 where both have the same name, and the cosine of
    their texts ``name: description``, as in the paper. Pairs without any have -1.
    """
    given, taken = [return_fields(tool) for tool in tools], [parameter_fields(tool) for tool in tools]
    names = np.full((len(tools), len(tools)), -1, dtype=np.float32)
    texts = names.copy()
    parameters = [(tool, field) for tool, fields in enumerate(taken) for field in fields]
    if not parameters:
        return names, texts
    starts = np.flatnonzero(np.diff([tool for tool, _ in parameters], prepend=-1))
    consumers = np.array([parameters[start][0] for start in starts])
    parameter_names = np.array([_own_name(field) for _, field in parameters])
    parameter_vectors = encode_texts(encoder, [_text(field) for _, field in parameters])
    for producer, fields in enumerate(given):
        if not fields:
            continue
        own = {_own_name(field) for field in fields}
        same: NDArray[np.float32] = np.isin(parameter_names, sorted(own)).astype(np.float32)
        alike = (encode_texts(encoder, [_text(field) for field in fields]) @ parameter_vectors.T).max(axis=0)
        names[producer, consumers] = np.maximum.reduceat(same, starts)
        texts[producer, consumers] = np.maximum.reduceat(alike, starts)
    return names, texts


def _own_name(field: Field) -> str:
    return field.path.rsplit(".", 1)[-1].replace("[]", "").casefold()


def _text(field: Field) -> str:
    name = field.path.rsplit(".", 1)[-1].replace("[]", "")
    return f"{name}: {field.description}" if field.description else name
