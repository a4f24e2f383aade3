"""How options are grouped in help texts, and how examples are written below them."""

from __future__ import annotations

from typing import Final

WHAT: Final = "What to make"
CONTINUE: Final = "Going on with a run"
CATALOGUE: Final = "Catalogue"
GRAPH: Final = "Tool graph"
MODELS: Final = "Models"
ACCESS: Final = "The way to endpoints"
HOW: Final = "How to run"
LIMITS: Final = "Limits and budgets"


def examples(*commands: str) -> str:
    """Examples for the end of a help text, a line each."""
    return "\n".join(["Examples:", *(f"$ {command}" for command in commands)])
