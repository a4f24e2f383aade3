"""All pairs of tools in the order of how likely they are, as links."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolflow.catalog.tool import Tool
from toolflow.graph.encoder import Encoder
from toolflow.graph.linking.evidence import Side, one_side
from toolflow.graph.linking.field_table import Floats, Ints, Paths
from toolflow.graph.linking.fields import Progress, read_fields
from toolflow.graph.linking.joining import DIGITS, Closeness
from toolflow.graph.linking.likelihood import LEAST_MATCH, Likelihoods, weigh_pairs
from toolflow.graph.linking.link_table import LIKELY, RETURN_PARAMETER, Ends, LinkTable, make_link_table

SMALL: Final = 1_500
"""Up to this many tools every pair is weighed: nothing that may be a link is left out."""

MOST_TOOLS: Final = 10_000
"""Up to this many tools candidates are found where a ranking is asked for, and above that none."""

WHOLE_RESULT: Final = "$"
"""The path of a whole result, where no field of it is known to be what the other tool takes."""

_SCALE = 10**DIGITS
_DENSITY = 0.10
_NUMBERS_AT_ONCE = 1 << 24


def find_candidates(
    tools: Sequence[Tool],
    links: LinkTable,
    encoder: Encoder,
    threshold: float,
    progress: Progress,
    *,
    with_tool: bool = False,
) -> tuple[LinkTable, LinkTable]:
    """The likeliest pairs of tools that no link leads from the one to the other of, strongest first.

    As many as it takes to have a tenth of all ordered pairs, those of links included; in a catalogue so small
    that this is less than the pairs of 1,500 tools, that many. Memory: twelve bytes for every ordered pair.

    Args:
        tools: The catalogue, of 10,000 tools at most.
        links: Its likely links.
        encoder: What they were found with.
        threshold: Its cosine from which texts mean the same.
        progress: Called as the work goes on.
        with_tool: Whether fields were encoded with the names of their tools.

    Returns:
        The links and the candidates, over the same paths. A candidate weighs less than any likely link.
    """
    taken, given = (one_side(fields) for fields in read_fields(tools, progress, with_tool=with_tool))
    flow = np.flatnonzero(links.kind == RETURN_PARAMETER)
    flows = Ends(
        links.from_tool[flow],
        links.to_tool[flow],
        links.from_path[flow],
        links.to_path[flow],
        links.weight[flow],
    )
    likely = weigh_pairs(
        tools,
        taken,
        given,
        matched=matched_by(flows, len(tools)),
        closeness=Closeness(tools, encoder, threshold),
        encoder=encoder,
        threshold=threshold,
        progress=partial(progress, "weighing pairs"),
    )
    likely.weight[flows.from_tool, flows.to_tool] = 0
    everything = len(tools) * (len(tools) - 1)
    most = max(SMALL * (SMALL - 1), math.ceil(_DENSITY * everything))
    pairs = strongest(likely.weight, most - len(flow))
    paths = Paths(links.paths)
    ends = weighed_ends(likely, pairs, parameters=taken, returns=given, paths=paths, flows=flows)
    below = np.clip(LIKELY * ends.weight, 1 / _SCALE, LIKELY - 1 / _SCALE).astype(np.float32)
    candidates = make_link_table(
        ends._replace(weight=below), ends.where(slice(0)), paths.known, keep_paths=True
    )
    return replace(links, paths=candidates.paths), candidates


def matched_by(flows: Ends, tools: int) -> Callable[[range], NDArray[np.bool_]]:
    """Tells for some producers which tools a link joins them to by fields that surely match."""
    sure = flows.where(flows.weight >= LEAST_MATCH)
    sure = sure.where(np.argsort(sure.from_tool, kind="stable"))

    def matched(producers: range) -> NDArray[np.bool_]:
        low, high = np.searchsorted(sure.from_tool, [producers.start, producers.stop])
        square = np.zeros((len(producers), tools), dtype=np.bool_)
        square[sure.from_tool[low:high] - producers.start, sure.to_tool[low:high]] = True
        return square

    return matched


def weighed_ends(
    likely: Likelihoods,
    pairs: NDArray[np.int64],
    *,
    parameters: Side,
    returns: Side,
    paths: Paths,
    flows: Ends,
) -> Ends:
    """Pairs of tools with their likelihood, by their matching fields where there are any.

    Args:
        likely: What all pairs weigh.
        pairs: Positions in its flattened arrays, ascending.
        parameters: The parameters of the tools.
        returns: Their returns.
        paths: Numbers of paths.
        flows: Links by matching fields.
    """
    tools = len(likely.weight)
    from_tool, to_tool = (tool.astype(np.int32) for tool in np.divmod(pairs, tools))
    given, taken = likely.given.ravel()[pairs], likely.taken.ravel()[pairs]
    first_given, first_taken = (
        np.searchsorted(side.tool, range(tools)).astype(np.int32) for side in (returns, parameters)
    )
    (whole,) = paths.numbers([WHOLE_RESULT])
    given_path = np.append(paths.numbers(field.path for field in returns.fields), whole)
    taken_path = paths.numbers(field.path for field in parameters.fields)
    from_path = given_path[np.where(given < 0, -1, first_given[from_tool] + given)]
    to_path = taken_path[first_taken[to_tool] + taken]
    matching = flows.from_tool.astype(np.int64) * tools + flows.to_tool
    place = np.searchsorted(pairs, matching)
    there = np.flatnonzero(np.append(pairs, -1)[place] == matching)
    from_path[place[there]], to_path[place[there]] = flows.from_path[there], flows.to_path[there]
    return Ends(from_tool, to_tool, from_path, to_path, likely.weight.ravel()[pairs])


def strongest(weight: Floats, most: int) -> NDArray[np.int64]:
    """Positions of the largest weights above 0 in the flattened array, ascending; of equals the first."""
    counts = np.zeros(_SCALE + 1, dtype=np.int64)
    for _, levels in _levels(weight):
        counts += np.bincount(levels, minlength=_SCALE + 1)
    reached = np.append(np.cumsum(counts[::-1])[::-1], 0)  # how many are of a level or above
    least = max(1, int(np.count_nonzero(reached > most)))
    room = most - int(reached[least]) if least > 1 else 0
    found: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    for low, levels in _levels(weight):
        kept = levels >= least
        equals = np.flatnonzero(levels == least - 1)[:room] if room else np.zeros(0, dtype=np.int64)
        kept[equals] = True
        room -= len(equals)
        found.append(low + np.flatnonzero(kept))
    return np.concatenate(found)


def _levels(weight: Floats) -> Iterator[tuple[int, Ints]]:
    """Weights as whole numbers, some at a time, and where they begin in the flattened array."""
    flat = weight.ravel()
    for low in range(0, len(flat), _NUMBERS_AT_ONCE):
        yield low, np.round(flat[low : low + _NUMBERS_AT_ONCE] * _SCALE).astype(np.int32)
