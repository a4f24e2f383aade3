"""From tools to links: flatten, encode, compare, join, weigh."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from toolflow.catalog.tool import Tool
from toolflow.garbage import collection_paused
from toolflow.graph.encoder import Encoder
from toolflow.graph.linking.cores import cores
from toolflow.graph.linking.evidence import one_side
from toolflow.graph.linking.field_table import Floats, tabulate
from toolflow.graph.linking.fields import Progress, read_fields
from toolflow.graph.linking.joining import DIGITS, Closeness, join_tools
from toolflow.graph.linking.joins import Limits
from toolflow.graph.linking.key_set import KeySet
from toolflow.graph.linking.likelihood import weigh_pairs
from toolflow.graph.linking.link_table import LIKELY, Ends, LinkTable, hold_down_hubs, make_link_table, once
from toolflow.graph.linking.matching import ANY, SURE, match_keys
from toolflow.graph.linking.ranking import SMALL, matched_by, weighed_ends

_LARGE = 10_000
_HUB_SHARE = 0.02
_SHARED_ALONE = 0.45
_LEAST_WEIGHT_SHARED = 0.1
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
    there, weak ones with small weights. In a larger one only likely links are, and in one of 10,000 or more
    no tool is linked to more than 2 % of it.

    Args:
        tools: Tools with distinct names.
        encoder: Encodes the fields and the tools.
        threshold: The encoder's cosine from which texts mean the same.
        progress: Called as the work goes on.
        with_tool: Encode each field with the name of its tool. Fields of unlike tools are then less alike,
            and equal ones of two tools are encoded and compared each for itself, which takes longer.

    Raises:
        EncoderFailedError: It broke its contract.
    """
    with collection_paused():
        taken_fields, given_fields = read_fields(tools, progress, with_tool=with_tool)
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
        likely = weigh_pairs(
            tools,
            *sides,
            matched=matched_by(flow_ends, len(tools)),
            closeness=closeness,
            encoder=encoder,
            threshold=threshold,
            progress=partial(progress, "weighing pairs"),
        )
        flow_ends = weighed_ends(
            likely,
            np.flatnonzero(likely.weight),
            parameters=sides[0],
            returns=sides[1],
            paths=paths,
            flows=flow_ends,
        )
        shared_ends = _held_down(shared_ends, likely.weight)
    table = make_link_table(flow_ends, shared_ends, paths.known)
    return hold_down_hubs(table, len(tools), int(len(tools) * _HUB_SHARE)) if len(tools) >= _LARGE else table


def _limits(tools: int) -> tuple[Limits, Limits]:
    """Which joins with results and with parameters are kept."""
    if tools <= SMALL:
        return Limits(weight=1e-4, joins=tools), Limits(_LEAST_WEIGHT_SHARED, _MOST_JOINS)
    if tools < _LARGE:
        return Limits(LIKELY, _MOST_JOINS_BELOW_LARGE), Limits(LIKELY, _MOST_JOINS)
    return Limits(LIKELY, _MOST_JOINS), Limits(LIKELY, _MOST_JOINS)


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
