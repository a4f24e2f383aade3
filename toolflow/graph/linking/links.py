"""From tools to links: flatten, encode, compare, join, weigh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np

from toolflow.catalog.tool import Tool
from toolflow.garbage import collection_paused
from toolflow.graph.encoder import Encoder
from toolflow.graph.linking.cores import cores
from toolflow.graph.linking.evidence import Side, one_side
from toolflow.graph.linking.field_table import Floats, Ints, Paths, tabulate
from toolflow.graph.linking.fields import Field, in_context, parameter_fields, return_fields
from toolflow.graph.linking.joining import DIGITS, Closeness, Limits, join_tools
from toolflow.graph.linking.key_set import KeySet
from toolflow.graph.linking.likelihood import WHOLE_RESULT, Likelihoods, weigh_pairs
from toolflow.graph.linking.link_table import LIKELY, Ends, LinkTable, hold_down_hubs, make_link_table, once
from toolflow.graph.linking.matching import ANY, SURE, match_keys

Progress = Callable[[str, int, int], None]
"""Called with the stage, how much of it is done, and of how much."""

SMALL: Final = 1_500
"""Up to this many tools every pair is weighed: nothing that may be a link is left out."""

_LARGE = 10_000
_HUB_SHARE = 0.02
_SHARED_ALONE = 0.45
_LEAST_WEIGHT_BELOW_LARGE = 0.1
_MOST_JOINS = 32
_MOST_JOINS_BELOW_LARGE = 128


def find_links(
    tools: Sequence[Tool],
    encoder: Encoder,
    threshold: float,
    progress: Progress,
    *,
    with_tool: bool = False,
) -> LinkTable:
    """Find the links of a catalogue.

    Two tools are linked at most three times: once each way from a result to a parameter and once by a shared
    parameter, always by the best pair of fields. In a catalogue of up to 1,500 tools every possible pair is
    there, weak ones with small weights; in one of 10,000 or more only likely links are, and no tool is linked
    to more than 2 % of it.

    Args:
        tools: Tools with distinct names.
        encoder: Encodes the fields and the tools.
        threshold: The encoder's cosine from which texts mean the same.
        progress: Called as the work goes on.
        with_tool: Encode each field with the name of its tool. Fields of unlike tools are then less alike,
            and equal ones of two tools are encoded and compared each for itself, which takes longer.

    Raises:
        GraphError: The encoder broke its contract.
    """
    with collection_paused():
        taken_fields: list[tuple[Field, ...]] = []
        given_fields: list[tuple[Field, ...]] = []
        for done, tool in enumerate(tools, 1):
            for fields, found in (
                (parameter_fields(tool), taken_fields),
                (return_fields(tool), given_fields),
            ):
                found.append(in_context(fields, tool) if with_tool else fields)
            progress("reading fields", done, len(tools))
        parameters, returns, taken_keys, given_keys, specificity, paths = tabulate(
            tools, taken_fields, given_fields
        )
    small = len(tools) <= SMALL
    if not small:
        taken_fields, given_fields = [], []
    progress("encoding", 0, 3)
    taken = KeySet(taken_keys, encoder, specificity)
    del taken_keys
    progress("encoding", 1, 3)
    given = KeySet(given_keys, encoder, specificity)
    del given_keys
    progress("encoding", 2, 3)
    closeness = Closeness(tools, encoder, threshold)
    progress("encoding", 3, 3)
    flow_limits, shared_limits = _limits(len(tools))
    with cores() as threads:
        match = partial(
            match_keys,
            taken,
            specificity=specificity,
            threshold=threshold,
            bar=ANY if small else SURE,
            threads=threads,
        )
        flow_matches = match(given, progress=partial(progress, "comparing with results"))
        del given
        shared_matches = match(taken, progress=partial(progress, "comparing with parameters"))
        del taken, match
        flows, shared = join_tools(
            parameters,
            [(returns, flow_matches, flow_limits), (parameters, shared_matches, shared_limits)],
            closeness,
            threads=threads,
            progress=partial(progress, "joining"),
        )
    del flow_matches, shared_matches
    flow_ends = Ends(
        returns.tool[flows.other],
        parameters.tool[flows.parameter],
        returns.path[flows.other],
        parameters.path[flows.parameter],
        flows.weight,
    )
    shared_ends = once(
        Ends(
            parameters.tool[shared.other],
            parameters.tool[shared.parameter],
            parameters.path[shared.other],
            parameters.path[shared.parameter],
            shared.weight,
        )
    )
    if small:
        sides = one_side(taken_fields), one_side(given_fields)
        matching = _square(flow_ends, flow_ends.weight, len(tools))
        likely = weigh_pairs(
            tools,
            *sides,
            matching=matching,
            closeness=closeness,
            encoder=encoder,
            threshold=threshold,
        )
        flow_ends = _weighed(flow_ends, likely, *sides, paths)
        shared_ends = _held_down(shared_ends, likely.weight)
    table = make_link_table(flow_ends, shared_ends, paths.known)
    return hold_down_hubs(table, len(tools), int(len(tools) * _HUB_SHARE)) if len(tools) >= _LARGE else table


def _limits(tools: int) -> tuple[Limits, Limits]:
    """Which joins with results and with parameters are kept."""
    if tools <= SMALL:
        return Limits(weight=1e-4, joins=tools), Limits(_LEAST_WEIGHT_BELOW_LARGE, _MOST_JOINS)
    if tools < _LARGE:
        return Limits(_LEAST_WEIGHT_BELOW_LARGE, _MOST_JOINS_BELOW_LARGE), Limits(LIKELY, _MOST_JOINS)
    return Limits(LIKELY, _MOST_JOINS), Limits(LIKELY, _MOST_JOINS)


def _square(ends: Ends, values: Floats | Ints, tools: int) -> Floats:
    square = np.zeros((tools, tools), dtype=np.float32)
    square[ends.from_tool, ends.to_tool] = values
    return square


def _weighed(flows: Ends, likely: Likelihoods, parameters: Side, returns: Side, paths: Paths) -> Ends:
    """Every possible pair with its likelihood, by its matching fields where there are any."""
    tools = len(likely.weight)
    whole = paths.numbers([WHOLE_RESULT])
    given_path = np.append(paths.numbers([field.path for field in returns.fields]), whole)
    taken_path = paths.numbers([field.path for field in parameters.fields])
    from_path, to_path = given_path[likely.given], np.zeros((tools, tools), dtype=np.int32)
    possible = likely.weight > 0
    to_path[possible] = taken_path[likely.taken[possible]]
    from_path[flows.from_tool, flows.to_tool] = flows.from_path
    to_path[flows.from_tool, flows.to_tool] = flows.to_path
    from_tool, to_tool = (index.astype(np.int32) for index in np.nonzero(possible))
    return Ends(
        from_tool,
        to_tool,
        from_path[from_tool, to_tool],
        to_path[from_tool, to_tool],
        likely.weight[from_tool, to_tool],
    )


def _held_down(shared: Ends, weight: Floats) -> Ends:
    """Shared parameters weigh no more than the tools' likelier flow, or little more than a likely link.

    They take its order, too: so whoever takes the strongest links meets tools by their flow first.
    """
    forth, back = weight[shared.from_tool, shared.to_tool], weight[shared.to_tool, shared.from_tool]
    turned = back > forth
    likelier = np.where(turned, back, forth)
    alone = LIKELY + (_SHARED_ALONE - LIKELY) * (shared.weight - LIKELY) / (1 - LIKELY)
    held = np.round(np.minimum(shared.weight, np.maximum(likelier, alone)), DIGITS).astype(np.float32)
    return Ends(
        np.where(turned, shared.to_tool, shared.from_tool),
        np.where(turned, shared.from_tool, shared.to_tool),
        np.where(turned, shared.to_path, shared.from_path),
        np.where(turned, shared.from_path, shared.to_path),
        held,
    ).where(held > 0)
