"""What each kind of evidence counts.

Written by ``python -m benchmarks.bench_links --fit``: a logistic regression on the known links of 72
catalogues of 15 sources. The kinds of evidence were chosen by how weights that are fitted without a family
of sources do on that family: BFCL, paths, read: toolalpaca, seal_tools, sgd, stabletoolbench, taskbench,
τ-bench. Kept aside until they were chosen: livemcpbench, read: t_eval, restbench.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WEIGHTS: Final[Mapping[str, float]] = {
    "alike": 0.42,
    "named": 0.44,
    "told": 2.66,
    "about": 0.97,
    "optional": -0.70,
    "only source": 1.50,
    "credential": 2.00,
    "close": 1.69,
    "category": 1.80,
    "variant": -3.00,
    "producer changes": -1.70,
    "gives nothing": -1.50,
}
MIDDLE: Final = 1.89
"""The score of weight 1/2: in the mean of the sources 7% of all pairs have a weight of 0.25 or more."""
