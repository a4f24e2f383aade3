"""Draws tool sets from a tool graph."""
