"""The catalogue formats. A new one is a module with a ``FORMAT`` and a line below."""

from __future__ import annotations

from toolflow.catalog.entry import Format
from toolflow.catalog.formats import bfcl, canonical, openai, rapidapi

FORMATS: tuple[Format, ...] = (
    rapidapi.FORMAT,
    bfcl.FORMAT,
    canonical.FORMAT,
    openai.FORMAT,
)
"""Asked in this order, the most telling shape first."""
