"""What each kind of evidence counts.

Written by ``python -m benchmarks.bench_links --fit``: a logistic regression on the known links of 72
catalogues of 15 sources. The kinds of evidence were chosen by how weights that are fitted without a family
of sources do on that family: BFCL, livemcpbench, paths, read: t_eval, read: toolalpaca, restbench,
seal_tools, sgd, stabletoolbench, taskbench, τ-bench.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WEIGHTS: Final[Mapping[str, float]] = {
    "alike": 0.63,
    "named": 0.85,
    "taken too": -0.59,
    "told": 2.44,
    "about": 1.26,
    "close": 1.42,
    "category": 2.33,
    "producer changes": -1.58,
}
MIDDLE: Final = 1.99
"""The score of weight 1/2: in the mean of the sources 7% of all pairs have a weight of 0.25 or more."""
