"""Benchmarks: each module prints and writes JSON; ``python -m benchmarks`` runs them all."""
