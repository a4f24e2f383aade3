"""The exit codes of the command line; README.md tells them to users."""

from __future__ import annotations

from typing import Final

OK: Final = 0
FAILURE: Final = 1
USAGE: Final = 2
PARTIAL: Final = 3
"""The candidates or a budget were used up, or something is missing or differs."""
INTERRUPTED: Final = 130
