"""How good the links of small catalogues are, on sources that the weights know and on others.

    python -m benchmarks.bench_links [--fit]

Recall and precision at equal density of the graph, of plain cosine and of exact names, in catalogues of
the shared data (see link_catalogues). "left out" are weights fitted to all families of sources but the
one of the catalogue: those figures are the ones to believe.
--fit fits the weights anew and writes them into the package.
"""

from __future__ import annotations

import argparse
import math
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.fit_links import Prepared, fit, left_out, names_of, prepare, scores
from benchmarks.link_catalogues import known_links
from benchmarks.record import write
from toolflow.catalog.tool import Tool
from toolflow.graph.encoder import Encoder, WordLlamaEncoder
from toolflow.graph.graph import build_graph
from toolflow.graph.linking import likelihood, likelihood_weights
from toolflow.graph.linking.field_table import Floats
from toolflow.graph.linking.link_table import LIKELY, RETURN_PARAMETER
from toolflow.graph.scoring import DENSITIES, Gold, baselines, measure_pairs

_LIKELY_DENSITY = 0.07
_WEIGHTS = Path(likelihood_weights.__file__)
_METHODS = ("graph", "left out", "cosine", "exact-name")


def measured(prepared: Prepared, weights_left_out: Mapping[str, float], encoder: Encoder) -> dict[str, Any]:
    """Recall and precision of each method in one catalogue."""
    tools = prepared.known.tools
    built = _built(tools, encoder)
    with patch.object(likelihood, "WEIGHTS", weights_left_out):
        unseen = _built(tools, encoder)
    exact, cosine = baselines(tools, encoder)
    gold = Gold(prepared.known.pairs, {"sequence": len(prepared.known.pairs)}, 0, ())
    found: dict[str, Any] = {
        "source": prepared.known.source,
        "family": prepared.family,
        "tools": len(tools),
        "pairs": len(gold.pairs),
        "likely": float((built >= LIKELY).sum() / (len(tools) * (len(tools) - 1))),
    }
    for method, matrix in zip(_METHODS, (built, unseen, cosine, exact), strict=True):
        kept = measure_pairs(method, matrix, gold).densities
        found[method] = {
            f"{density:.2f}": {"recall": one.recall, "precision": one.precision}
            for density, one in zip(DENSITIES, kept, strict=True)
        }
    return found


def _built(tools: Sequence[Tool], encoder: Encoder) -> Floats:
    """Weights of the return-parameter links of the graph, shape (tools, tools)."""
    graph = build_graph(tools, encoder)
    weights = np.zeros((len(tools), len(tools)), dtype=np.float32)
    for table in (graph.table, graph.candidates):
        flows = table.kind == RETURN_PARAMETER
        weights[table.from_tool[flows], table.to_tool[flows]] = table.weight[flows]
    return weights


def by_source(catalogues: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the catalogues of each source."""
    of_source: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for catalogue in catalogues:
        of_source[catalogue["source"]].append(catalogue)
    return {
        source: {
            method: {
                density: {
                    figure: fmean(one[method][density][figure] for one in mine)
                    for figure in ("recall", "precision")
                }
                for density in mine[0][method]
            }
            for method in _METHODS
        }
        | {"catalogues": len(mine)}
        for source, mine in of_source.items()
    }


def write_weights(catalogues: Sequence[Prepared]) -> None:
    """Fit to everything, and write the weights into the package."""
    weights = fit(catalogues, names_of(catalogues))
    of_source: dict[str, list[Prepared]] = defaultdict(list)
    for prepared in catalogues:
        of_source[prepared.known.source].append(prepared)
    middle = _middle(of_source, weights)
    lines = [f'    "{name}": {weights[name]:.2f},' for name in names_of(catalogues)]
    chosen_by = sorted({prepared.family for prepared in catalogues})
    provenance = (
        "Written by ``python -m benchmarks.bench_links --fit``: a logistic regression on the known links of "
        f"{len(catalogues)} catalogues of {len(of_source)} sources. The kinds of evidence were chosen by how "
        f"weights that are fitted without a family of sources do on that family: {', '.join(chosen_by)}."
    )
    _WEIGHTS.write_text(
        f'"""What each kind of evidence counts.\n\n{textwrap.fill(provenance, 108)}\n"""\n\n'
        "from __future__ import annotations\n\nfrom collections.abc import Mapping\n"
        "from typing import Final\n\n"
        "WEIGHTS: Final[Mapping[str, float]] = {\n" + "\n".join(lines) + "\n}\n"
        f"MIDDLE: Final = {middle:.2f}\n"
        f'"""The score of weight 1/2: in the mean of the sources {_LIKELY_DENSITY:.0%} of all pairs have a '
        f'weight of {LIKELY} or more."""\n'
    )
    print(f"written: {_WEIGHTS.name}; format it")


def _middle(of_source: Mapping[str, Sequence[Prepared]], weights: Mapping[str, float]) -> float:
    values = {
        source: [scores(prepared, weights)[prepared.possible] for prepared in mine]
        for source, mine in of_source.items()
    }
    low, high = -10.0, 10.0
    while high - low > 1e-3:
        cut = (low + high) / 2
        density = fmean(fmean(float((one >= cut).mean()) for one in mine) for mine in values.values())
        low, high = (cut, high) if density > _LIKELY_DENSITY else (low, cut)
    return low + math.log((1 - LIKELY) / LIKELY)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="fit the weights anew, write them, and stop")
    arguments = parser.parse_args()
    encoder = WordLlamaEncoder()
    catalogues = [prepare(known, encoder) for known in known_links()]
    if arguments.fit:
        write_weights(catalogues)
        return
    found: dict[str, Any] = {}
    families: dict[str, Any] = {}
    for family, weights in left_out(catalogues, names_of(catalogues)):
        families[family] = weights
        for prepared in catalogues:
            if prepared.family == family:
                found[prepared.known.name] = measured(prepared, weights, encoder)
    ordered = [found[prepared.known.name] for prepared in catalogues]
    sources = by_source(ordered)
    for density in (f"{density:.2f}" for density in DENSITIES):
        print(f"recall at density {density}         " + "".join(f"{method:>12}" for method in _METHODS))
        for source, figures in sources.items():
            row = "".join(f"{figures[method][density]['recall']:>12.3f}" for method in _METHODS)
            print(f"  {source[:24]:24} ({figures['catalogues']:2}) {row}")
        means = [fmean(one[method][density]["recall"] for one in sources.values()) for method in _METHODS]
        print(f"  {'mean':29} " + "".join(f"{mean:>12.3f}" for mean in means))
    for name in (name for name in found if name.startswith("taskbench")):
        for density in (f"{density:.2f}" for density in DENSITIES):
            row = "".join(f"{found[name][method][density]['precision']:>12.3f}" for method in _METHODS)
            print(f"precision, {name} {density}".ljust(36) + row)
    write("links", {"catalogues": found, "sources": sources, "left_out_weights": families})


if __name__ == "__main__":
    main()
