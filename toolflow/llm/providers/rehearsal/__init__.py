"""The rehearsal model: plays all four roles without a network, for trying things out and for tests."""

from toolflow.llm.providers.rehearsal.provider import DEFAULT_MISTAKES, RehearsalProvider

__all__ = ["DEFAULT_MISTAKES", "RehearsalProvider"]
