"""The catalogue formats. A new one is a module with a ``FORMAT`` and a line below."""

from __future__ import annotations

from toolflow.catalog.entry import Format
from toolflow.catalog.formats import (
    acebench,
    bfcl,
    canonical,
    mcp,
    metatool,
    openai,
    openapi,
    rapidapi,
    seal_tools,
    sgd,
    t_eval,
    taskbench,
    toolalpaca,
)

FORMATS: tuple[Format, ...] = (
    openapi.FORMAT,
    mcp.FORMAT,
    toolalpaca.FORMAT,
    t_eval.FORMAT,
    rapidapi.FORMAT,
    seal_tools.FORMAT,
    taskbench.FORMAT,
    sgd.FORMAT,
    metatool.FORMAT,
    acebench.FORMAT,
    bfcl.FORMAT,
    canonical.FORMAT,
    openai.FORMAT,
)
"""Asked in this order, the most telling shape first."""
