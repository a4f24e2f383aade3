"""From tools to links: flatten, encode, compare, join."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from toolflow.catalog.tool import Tool
from toolflow.graph.encoder import Encoder
from toolflow.graph.field_table import FieldTable, tabulate
from toolflow.graph.joining import Closeness, Joins, join_tools
from toolflow.graph.link_table import LinkTable, make_link_table
from toolflow.graph.matching import KeySet, match_keys

Progress = Callable[[str, int, int], None]
"""Called with the stage, how much of it is done, and of how much."""


def find_links(tools: Sequence[Tool], encoder: Encoder, threshold: float, progress: Progress) -> LinkTable:
    """Find the links of a catalogue.

    Two tools are linked at most three times: once each way from a result to a parameter and once by a shared
    parameter, always by the best pair of fields.

    Args:
        tools: Tools with distinct names.
        encoder: Encodes the fields and the tools.
        threshold: The encoder's cosine from which texts mean the same.
        progress: Called as the work goes on.

    Raises:
        GraphError: The encoder broke its contract.
    """
    parameters, returns, specificity = tabulate(
        tools, lambda done, total: progress("reading fields", done, total)
    )
    progress("encoding", 0, 3)
    taken = KeySet(parameters.keys, encoder, specificity)
    progress("encoding", 1, 3)
    given = KeySet(returns.keys, encoder, specificity)
    progress("encoding", 2, 3)
    closeness = Closeness(tools, encoder, threshold)
    progress("encoding", 3, 3)

    def join(columns: KeySet, others: FieldTable, what: str) -> Joins:
        matches = match_keys(
            taken,
            columns,
            specificity,
            threshold,
            lambda done, total: progress(f"comparing with {what}", done, total),
        )
        return join_tools(
            parameters,
            others,
            matches,
            closeness,
            lambda done, total: progress(f"joining with {what}", done, total),
        )

    flows = join(given, returns, "results")
    shared = join(taken, parameters, "parameters")
    return make_link_table(parameters, returns, flows, shared)
